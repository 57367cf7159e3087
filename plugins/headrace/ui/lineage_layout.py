"""What the picture of a lineage shows: data versions, folded where they are many; pure; orchestration interpreter."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.ledger.query_versions import UNTOLD, LineageView

MOST_NODES = 150
"""Beyond these, contents of one dataset and kind are one node."""
MOST_FOLDED = 250
"""Beyond these, folded, only the nearest are shown."""
_WORST_FIRST = ("block", "warn", "pass")


@dataclass(frozen=True)
class LineageNode:
    """A data version, or those of one dataset and kind together.

    Attributes:
        id: Of the element on the page.
        dataset: Its name.
        partition_key: Of the newest of those that are folded.
        kind: ``file``, ``source``, ``model``, …
        content: The fingerprint, shortened, or the number of the artifact.
        fingerprint: The whole of it.
        rows: Of all; None where nobody counted.
        verdict: The worst that stands.
        verdicts: How many have which; None stands for those that were never checked.
        models: Model versions that were trained on it: ``name`` and ``aliases``, those that answer first.
        asked: Whether it is what the page is about.
        members: How many data versions it stands for.
        place: Distance from what was asked about, in steps.
    """

    id: str
    dataset: str
    partition_key: str
    kind: str
    content: str
    fingerprint: str
    rows: int | None
    verdict: str | None
    verdicts: Mapping[str | None, int]
    models: Sequence[Mapping[str, Any]]
    asked: bool = False
    members: int = 1
    place: int = 0


@dataclass(frozen=True)
class LineageEdge:
    """Data that was read and data that was written, by these runs, newest first; none of them is told where empty."""

    up: str
    down: str
    runs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Picture:
    """Nodes and edges; ``left_out`` says how many nodes are too far away to be shown."""

    nodes: Sequence[LineageNode]
    edges: Sequence[LineageEdge]
    folded: bool = False
    left_out: int = 0
    above: Mapping[str, Sequence[LineageEdge]] = field(default_factory=dict)


def fold_lineage(view: LineageView, most: int = MOST_NODES, most_folded: int = MOST_FOLDED) -> Picture:
    """Return what is drawn of a lineage.

    Args:
        view: The lineage.
        most: Data versions of which each is a node of its own. Beyond, those of one dataset and kind are one; the
            one that was asked about stays by itself.
        most_folded: Nodes that are shown then, the nearest to what was asked about.
    """
    folded = len(view.versions) > most
    groups = _group(view, folded)
    distance = _measure(view)
    shown = sorted(groups, key=lambda key: (min(distance.get(id_, 1 << 30) for id_ in groups[key]), groups[key][0]))
    kept = {key: f"{'f' if len(groups[key]) > 1 else 'v'}{groups[key][0]}" for key in shown[:most_folded]}
    names = {id_: name for key, name in kept.items() for id_ in groups[key]}
    nodes = [_build(view, groups[key], name, distance.get(groups[key][0], 0)) for key, name in kept.items()]
    edges = _build_edges(view, names)
    above: dict[str, list[LineageEdge]] = defaultdict(list)
    for edge in edges:
        above[edge.down].append(edge)
    return Picture(nodes, edges, folded, len(groups) - len(kept), above)


def _group(view: LineageView, folded: bool) -> dict[Any, list[int]]:
    if not folded:
        return {id_: [id_] for id_ in sorted(view.versions)}
    alone = set(view.start) if len(view.start) == 1 else set()
    groups: dict[Any, list[int]] = defaultdict(list)
    for id_, row in view.versions.items():
        groups[id_ if id_ in alone else (row["dataset"], row["kind"])].append(id_)
    return {key: sorted(ids, key=lambda id_: _age(view.versions[id_]), reverse=True) for key, ids in groups.items()}


def _age(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["partition_key"], row["last_seen"], row["id"]


def _measure(view: LineageView) -> dict[int, int]:
    """Return how many edges each data version is away from what was asked about."""
    around: dict[int, list[int]] = defaultdict(list)
    for one, _, other in view.edges:
        around[one].append(other)
        around[other].append(one)
    distance = dict.fromkeys(view.start, 0)
    level = list(view.start)
    while level:
        step = distance[level[0]] + 1
        level = [other for other in dict.fromkeys(o for id_ in level for o in around[id_]) if other not in distance]
        distance.update(dict.fromkeys(level, step))
    return distance


def _build(view: LineageView, ids: Sequence[int], name: str, place: int) -> LineageNode:
    rows = [view.versions[id_] for id_ in ids]
    newest = rows[0]
    verdicts = Counter(row["verdict"] for row in rows)
    counted = [row["rows"] for row in rows if row["rows"] is not None]
    models = {each["name"]: each for row in rows for each in row["models"]}
    artifact = newest["detail"].get("mlmd_id")
    return LineageNode(
        id=name,
        dataset=newest["dataset"],
        partition_key=newest["partition_key"],
        kind=newest["kind"],
        content=newest["fingerprint"][:8] if artifact is None else f"artifact {artifact}",
        fingerprint=newest["fingerprint"],
        rows=sum(counted) if counted else None,
        verdict=next((each for each in _WORST_FIRST if verdicts[each]), None),
        verdicts=verdicts,
        models=sorted(models.values(), key=lambda each: not each["aliases"]),
        asked=any(id_ in view.start for id_ in ids),
        members=len(ids),
        place=place,
    )


def _build_edges(view: LineageView, names: Mapping[int, str]) -> list[LineageEdge]:
    runs: dict[tuple[str, str], set[int]] = defaultdict(set)
    for one, run, other in view.edges:
        up, down = names.get(one), names.get(other)
        if up is not None and down is not None and up != down:
            runs[up, down] |= {run} - {UNTOLD}
    return [
        LineageEdge(up, down, [view.runs[run] for run in sorted(by, reverse=True) if run in view.runs])
        for (up, down), by in sorted(runs.items())
    ]
