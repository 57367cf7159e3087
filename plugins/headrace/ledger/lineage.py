"""Which dataset is made from which: told by each project, asked to group and to block; orchestration interpreter."""

from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from headrace.contracts.json_safe import make_name_safe, make_text_safe
from headrace.contracts.lineage import Dataset, Lineage
from headrace.ledger.database import Ledger
from headrace.ledger.schema import dataset, dataset_edge, lineage_source
from headrace.ledger.statements import chunk, read_on, upsert, write_on

__all__ = [
    "Dataset", "Lineage", "LineageGraph", "load_downstream_names", "load_upstream", "load_upstream_names",
    "sync_lineage",
]  # fmt: skip


def sync_lineage(ledger: Ledger | Connection, lineage: Lineage) -> bool:
    """Replace what a project said of its datasets, if it says something else now.

    Of a dataset that two projects know, the first by name is heard, and the other where that one says nothing.

    Returns:
        Whether anything was replaced.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    project = make_name_safe(lineage.project)
    known = select(lineage_source.c.fingerprint).where(lineage_source.c.project == project)
    with read_on(ledger) as connection:  # every task asks; hardly any has something new to say
        if connection.execute(known).scalar() == lineage.fingerprint:
            return False
    with write_on(ledger) as connection:
        source = {
            "project": project,
            "fingerprint": lineage.fingerprint,
            "datasets": [_build_row(project, each) for each in lineage.datasets],
        }
        written = upsert(connection, lineage_source)
        said = {name: written.excluded[name] for name in ("fingerprint", "datasets")}
        connection.execute(written.on_conflict_do_update(index_elements=["project"], set_=said), [source])
        connection.execute(delete(dataset_edge).where(dataset_edge.c.project == project))
        edges = {(make_name_safe(up), make_name_safe(down)) for up, down in lineage.edges if up != down}
        rows = [{"upstream": up, "downstream": down, "project": project} for up, down in sorted(edges)]
        if rows:
            connection.execute(insert(dataset_edge), rows)
        _merge_datasets(connection)
    return True


def _merge_datasets(connection: Connection) -> None:
    """Make the table of datasets anew from what every project says."""
    merged: dict[str, dict[str, Any]] = {}
    query = select(lineage_source.c.datasets).order_by(lineage_source.c.project)
    sources: Any = connection.execute(query).scalars()
    for said in sources:
        for row in said:
            known = merged.setdefault(row["name"], row)
            merged[row["name"]] = {name: row[name] if value is None else value for name, value in known.items()}
    connection.execute(delete(dataset))
    if merged:
        connection.execute(insert(dataset), list(merged.values()))


def _build_row(project: str, each: Dataset) -> dict[str, Any]:
    def text(value: str | None, limit: int = 500) -> str | None:
        return None if value in (None, "") else make_text_safe(value, limit)

    return {
        "name": make_name_safe(each.name),
        "kind": make_name_safe(each.kind, 50),
        "relation": text(each.relation),
        "owner": text(each.owner),
        "tier": text(each.tier, 50),
        "runbook": text(each.runbook, 2_000),
        "description": text(each.description, 2_000),
        "docs": text(each.docs, 2_000),
        "project": project,
    }


class LineageGraph:
    """A few edges, in memory: what is strictly upstream of what."""

    def __init__(self, edges: Iterable[tuple[str, str]]) -> None:
        self._parents: dict[str, set[str]] = {}
        for upstream, downstream in edges:
            self._parents.setdefault(downstream, set()).add(upstream)
        self._all: dict[str, frozenset[str]] = {}
        self._upstream: dict[str, frozenset[str]] = {}

    def list_all_upstream(self) -> set[str]:
        """Return every dataset from which another is made."""
        return {parent for parents in self._parents.values() for parent in parents}

    def list_upstream(self, name: str) -> frozenset[str]:
        """Return everything upstream of a dataset, save what is downstream of it too: a ring has no upstream."""
        if name not in self._upstream:
            found = self._reach(name)
            if name in found:  # only what is on a ring meets itself
                found = frozenset(other for other in found if name not in self._reach(other))
            self._upstream[name] = found
        return self._upstream[name]

    def _reach(self, name: str) -> frozenset[str]:
        if name not in self._all:
            found: set[str] = set()
            waiting = [name]
            while waiting:
                new = self._parents.get(waiting.pop(), set()) - found
                found |= new
                waiting += new
            self._all[name] = frozenset(found)
        return self._all[name]


def load_upstream(connection: Connection, names: Collection[str]) -> LineageGraph:
    """Load the part of the graph that is upstream of some datasets."""
    return LineageGraph(_walk(connection, names, dataset_edge.c.downstream, dataset_edge.c.upstream))


def load_upstream_names(connection: Connection, names: Collection[str]) -> set[str]:
    """Return the names of everything upstream of some datasets."""
    return {up for up, _ in _walk(connection, names, dataset_edge.c.downstream, dataset_edge.c.upstream)}


def load_downstream_names(connection: Connection, names: Collection[str]) -> set[str]:
    """Return the names of everything downstream of some datasets."""
    return {down for _, down in _walk(connection, names, dataset_edge.c.upstream, dataset_edge.c.downstream)}


def _walk(connection: Connection, names: Collection[str], here: Any, there: Any) -> set[tuple[str, str]]:
    """Return the edges met on the way from some names; the database walks, and a ring ends it."""
    edges: set[tuple[str, str]] = set()
    query = _build_walk(here, there)
    for some in chunk(sorted(names)):
        rows: Any = connection.execute(query, {"names": list(some)})
        edges.update((up, down) for up, down in rows)
    return edges


@cache
def _build_walk(here: Any, there: Any) -> Any:
    c = dataset_edge.c
    start = select(c.upstream, c.downstream).where(here.in_(bindparam("names", expanding=True)))
    reached = start.cte("reached", recursive=True)
    reached = reached.union(select(c.upstream, c.downstream).join(reached, here == reached.c[there.name]))
    return select(reached.c.upstream, reached.c.downstream)
