"""How many TFX nodes run at once, and what one may use; standard library only, either interpreter."""

from dataclasses import dataclass, field

from headrace.jobs.memory import count_cores, total_memory

NODE_BYTES = 2e9
"""What a TFX node takes at its peak, with what it imports: 1.4 GB, and some room."""


def default_most_nodes() -> int:
    """Return as many nodes as there are cores, and as fit into three quarters of the memory; at least one."""
    return max(1, min(count_cores(), int(0.75 * total_memory() / NODE_BYTES)))


def default_memory_bytes() -> int:
    """Return four fifths of the memory: what uses more is about to be ended by the system, which says nothing."""
    return int(0.8 * total_memory())


@dataclass(frozen=True)
class NodeLimits:
    """What TFX nodes may use, and how long the warm runtime waits for the next one.

    Attributes:
        most_nodes: So many run at once.
        memory_bytes: A node is ended when it and all that it started use more; 0: never.
        idle_seconds: The runtime ends itself so long after its last node.
    """

    most_nodes: int = field(default_factory=default_most_nodes)
    memory_bytes: int = field(default_factory=default_memory_bytes)
    idle_seconds: float = 1800
