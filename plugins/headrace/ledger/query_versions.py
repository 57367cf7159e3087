"""Reading lineage: what a partition's content was made of, and what was made of it; orchestration interpreter."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from headrace.exceptions import UnknownDatasetError
from headrace.ledger.database import Ledger
from headrace.ledger.query_distinct import select_distinct
from headrace.ledger.query_verdicts import load_decisions
from headrace.ledger.runs import READ, WRITTEN, Place
from headrace.ledger.schema import (
    column_edge,
    data_version,
    dataset,
    lineage_io,
    lineage_run,
    model_alias,
    model_version,
    trained_on,
    verdict,
)
from headrace.ledger.statements import chunk

MOST = 5_000
FEW, NEWEST_MODELS = 200, 100
"""Of more data versions than these, only the models that answer are named, and of the others the newest."""
UNTOLD = 0
"""Stands for a run in an edge, where who reads may not know it."""


@dataclass(frozen=True)
class Walk:
    """Data versions and the runs between them.

    Attributes:
        versions: Ids, those that it began with included.
        edges: From id, run id, to id; in the direction of the data.
        truncated: Whether it ended because there are more than asked for.
    """

    versions: frozenset[int]
    edges: frozenset[tuple[int, int, int]]
    truncated: bool = False


@dataclass(frozen=True)
class LineageView:
    """Lineage around one place, for people and machines.

    Attributes:
        dataset: Its name.
        partition_key: ``""`` for all of it.
        start: Ids of the versions that were asked about.
        versions: By id: dataset, partition_key, fingerprint, kind, rows, uri, first_seen, last_seen, and ``verdict``
            (the decision that stands, or None) and ``models`` (names of the model versions trained on it, and aliases;
            of many data versions those that answer, and the newest).
        runs: By id: job, kind, state, dag_id, run_id, partition_key, ended, code, execution_id.
        edges: From version, run, to version; run :data:`UNTOLD` where who reads is not told which.
        truncated: There is more.
    """

    dataset: str
    partition_key: str
    start: Sequence[int]
    versions: Mapping[int, Mapping[str, Any]]
    runs: Mapping[int, Mapping[str, Any]]
    edges: Sequence[tuple[int, int, int]]
    truncated: bool


def walk(
    connection: Connection,
    versions: Iterable[int],
    *,
    upwards: bool,
    kinds: Collection[str] | None = None,
    most: int = MOST,
) -> Walk:
    """Walk from data versions to those that they were made of, or that were made of them, breadth first.

    Each is visited once, so that a ring which bad metadata claims ends.

    Args:
        connection: To the ledger.
        versions: Ids to begin with.
        upwards: To what they were made of.
        kinds: Only through runs of these kinds.
        most: Versions to stop at.
    """
    near, far = lineage_io.alias("near"), lineage_io.alias("far")
    roles = (WRITTEN, READ) if upwards else (READ, WRITTEN)
    seen, level, edges = set(versions), sorted(set(versions)), set[tuple[int, int, int]]()
    while level and len(seen) <= most:
        found: set[int] = set()
        for some in chunk(level):
            query = (
                select(near.c.version_id, near.c.run_id, far.c.version_id)
                .join(far, far.c.run_id == near.c.run_id)
                .where(near.c.version_id.in_(some), near.c.role == roles[0], far.c.role == roles[1])
            )
            if kinds is not None:
                query = query.join(lineage_run, lineage_run.c.id == near.c.run_id)
                query = query.where(lineage_run.c.kind.in_(list(kinds)))
            rows: Any = connection.execute(query)
            for one, run, other in rows:
                edges.add((other, run, one) if upwards else (one, run, other))
                found.add(other)
        level = sorted(found - seen)
        seen |= found
    return Walk(frozenset(seen), frozenset(edges), truncated=bool(level))


def load_lineage(
    ledger: Ledger, name: str, partition_key: str = "", *, upstream: bool = True, downstream: bool = True
) -> LineageView:
    """Load what the newest content of a place was made of, and what was made of it.

    Args:
        ledger: The ledger.
        name: Of the dataset.
        partition_key: ``""`` for all of its partitions.
        upstream: What it was made of.
        downstream: What was made of it.

    Raises:
        UnknownDatasetError: Nothing is known of such a dataset, or of such a partition of it.
        LedgerError: The ledger cannot be read.
    """
    with ledger.connect() as connection:
        start = _list_newest(connection, name, partition_key)
        if not start:
            refuse_unknown(connection, name, partition_key)
        walks = [
            walk(connection, start, upwards=each) for each, asked in ((True, upstream), (False, downstream)) if asked
        ]
        ids = sorted({*start, *(id_ for each in walks for id_ in each.versions)})
        edges = sorted({edge for each in walks for edge in each.edges})
        versions = _load_versions(connection, ids)
        return LineageView(
            dataset=name,
            partition_key=partition_key,
            start=start,
            versions=versions,
            runs=_load_runs(connection, sorted({run for _, run, _ in edges})),
            edges=[edge for edge in edges if edge[0] in versions and edge[2] in versions],
            truncated=any(each.truncated for each in walks),
        )


def list_columns(ledger: Ledger, name: str, *, upstream: bool) -> list[dict[str, str]]:
    """List the columns that a dataset's own are made from, or are used for, directly: one edge a row."""
    of = column_edge.c.dataset if upstream else column_edge.c.from_dataset
    order = (column_edge.c.dataset, column_edge.c.name, column_edge.c.from_dataset, column_edge.c.from_name)
    with ledger.connect() as connection:
        rows = connection.execute(select(column_edge).where(of == name).order_by(*order)).mappings()
        return [{key: str(value) for key, value in row.items()} for row in rows]


def is_known(connection: Connection, name: str) -> bool:
    """Return whether a dataset of this name was compiled, whether or not any run of it was recorded."""
    return connection.execute(select(dataset.c.name).where(dataset.c.name == name)).first() is not None


def refuse_unknown(connection: Connection, name: str, partition_key: str = "") -> None:
    """Raise: nothing is known of a dataset, or only nothing of that partition.

    Raises:
        UnknownDatasetError: Always.
    """
    names, found = set[str](connection.scalars(select(dataset.c.name))), set[str]()
    for table in (data_version, trained_on, verdict):
        names.update(connection.scalars(select_distinct(table.c.dataset)))
        found.update(connection.scalars(select(table.c.partition_key).where(table.c.dataset == name).distinct()))
    known, keys = sorted(names), sorted(found - {""})
    if name in known:
        told = f"; recorded are {', '.join(keys[-10:])}" if keys else ": no run of it was recorded yet"
        raise UnknownDatasetError(
            f"No content of {f'{name}@{partition_key}'.rstrip('@')} is known{told}.", dataset=name
        )
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known[:20]) or 'none yet'}."
    raise UnknownDatasetError(f"Nothing is known of a dataset {name!r}: {hint}", dataset=name)


def require_recorded(connection: Connection, name: str, partition_keys: Iterable[str], *, known: bool = False) -> None:
    """Raise where nothing was recorded of a dataset, or of its partitions: a key typed wrong reaches nothing.

    Args:
        connection: To the ledger.
        name: Of the dataset.
        partition_keys: Of these one at least is to be recorded, where any is; none: whatever is recorded.
        known: That nothing was recorded of it yet is no error.

    Raises:
        UnknownDatasetError: The message names what is recorded.
    """
    tables = (data_version, trained_on, verdict)

    def is_recorded(*conditions: Any) -> bool:
        of = (select(table.c.dataset).where(table.c.dataset == name) for table in tables)
        matching = (query.where(*(each(t) for each in conditions)) for query, t in zip(of, tables, strict=True))
        return any(connection.execute(query.limit(1)).first() is not None for query in matching)

    keys = sorted({*partition_keys})
    if not is_recorded():
        if not (known or is_known(connection, name)):
            refuse_unknown(connection, name)
    elif keys and not is_recorded(lambda table: table.c.partition_key.in_(keys)):
        refuse_unknown(connection, name, next(key for key in keys if key))


def _list_newest(connection: Connection, name: str, partition_key: str) -> list[int]:
    c = data_version.c
    query = select(c.id, c.partition_key).where(c.dataset == name).order_by(c.last_seen, c.id)
    if partition_key:
        query = query.where(c.partition_key == partition_key)
    rows: Any = connection.execute(query)
    return sorted({key: int(id_) for id_, key in rows}.values())


def _load_versions(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for some in chunk(ids):
        rows = connection.execute(select(data_version).where(data_version.c.id.in_(some))).mappings()
        found |= {int(row["id"]): {**row, "verdict": None, "models": []} for row in rows}
    places: set[Place] = {(each["dataset"], each["partition_key"]) for each in found.values()}
    decisions = load_decisions(connection, places)
    for each in found.values():
        each["verdict"] = decisions.get((each["dataset"], each["partition_key"]))
    v = model_version.c
    named = None if len(ids) <= FEW else _list_named_models(connection)
    for some in chunk(ids):
        query = (
            select(trained_on.c.version_id, v.model, v.number, model_alias.c.alias)
            .join(model_version, v.trained_model_id == trained_on.c.model_id)
            .outerjoin(model_alias, model_alias.c.model_version_id == v.id)
            .where(trained_on.c.version_id.in_(some))
            .order_by(v.model, v.number, model_alias.c.alias)
        )
        if named is not None:
            query = query.where(trained_on.c.model_id.in_(named))
        trained: Any = connection.execute(query)
        for version, model, number, alias in trained:
            models = found[version]["models"]
            if not models or models[-1]["name"] != f"{model}@{number}":
                models.append({"name": f"{model}@{number}", "aliases": []})
            models[-1]["aliases"] += [alias] if alias else []
    return found


def _list_named_models(connection: Connection) -> list[int]:
    v = model_version.c
    answering = select(v.trained_model_id).join(model_alias, model_alias.c.model_version_id == v.id)
    newest = select(v.trained_model_id).order_by(v.trained_model_id.desc()).limit(NEWEST_MODELS)
    return sorted({*connection.scalars(answering), *connection.scalars(newest)})


def _load_runs(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for some in chunk(ids):
        rows = connection.execute(select(lineage_run).where(lineage_run.c.id.in_(some))).mappings()
        found |= {int(row["id"]): dict(row) for row in rows}
    return found
