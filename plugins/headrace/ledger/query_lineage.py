"""What is made from a dataset, directly or not; orchestration interpreter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from headrace.ledger.schema import dataset_edge

Edges = Mapping[str, Sequence[str]]
"""Upstream dataset to those that are made from it."""


@dataclass(frozen=True)
class Reach:
    """What each dataset reaches, itself included, as a bit for each dataset: many of them share most of it."""

    bits: Mapping[str, int]
    masks: Mapping[str, int]

    def count_downstream(self, name: str) -> int:
        return (self.masks.get(name, 0) & ~self.bits.get(name, 0)).bit_count()

    def includes(self, name: str, other: str) -> bool:
        return name == other or bool(self.masks.get(name, 0) & self.bits.get(other, 0))


def load_edges_below(connection: Connection, names: Iterable[str]) -> Edges:
    """Load the edges that can be reached from these datasets."""
    edge = select(dataset_edge.c.upstream, dataset_edge.c.downstream)
    reached = edge.where(dataset_edge.c.upstream.in_(sorted(set(names)))).cte("reached", recursive=True)
    reached = reached.union(edge.where(dataset_edge.c.upstream == reached.c.downstream))
    rows: Any = connection.execute(select(reached.c.upstream, reached.c.downstream))
    edges: dict[str, list[str]] = {}
    for upstream, downstream in rows:
        edges.setdefault(upstream, []).append(downstream)
    return edges


def list_downstream(edges: Edges, name: str) -> list[str]:
    """Return what is made from the dataset, nearest first, by name within a step; itself not among them."""
    seen, level, found = {name}, [name], list[str]()
    while level:
        level = sorted({downstream for each in level for downstream in edges.get(each, ())} - seen)
        seen.update(level)
        found += level
    return found


def build_reach(edges: Edges) -> Reach:
    """Follow all edges at once; a circle of datasets, which two projects together may make, ends as well."""
    names = sorted({*edges, *(downstream for each in edges.values() for downstream in each)})
    bits = {name: 1 << number for number, name in enumerate(names)}
    masks = dict(bits)
    order = _leaves_first(edges)
    changed = True
    while changed:
        changed = False
        for name in order:
            mask = masks[name]
            for downstream in edges[name]:
                mask |= masks[downstream]
            changed = changed or mask != masks[name]
            masks[name] = mask
    return Reach(bits, masks)


def _leaves_first(edges: Edges) -> list[str]:
    """Return the upstream datasets so that, circles aside, each comes after what is made from it."""
    found: list[str] = []
    entered: set[str] = set()
    for root in edges:
        stack = [(root, False)]
        while stack:
            name, left = stack.pop()
            if left:
                found.append(name)
            elif name not in entered and name in edges:
                entered.add(name)
                stack.append((name, True))
                stack += [(downstream, False) for downstream in edges[name]]
    return found
