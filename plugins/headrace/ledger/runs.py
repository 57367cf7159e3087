"""What each run of the chain read and wrote: lineage at the grain of a partition's content; orchestration interpreter.

A data version is a partition of a dataset with the content that it had. Landing it anew makes another version, and what
was made of the one before still says so (docs/adr/0018).
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from headrace.contracts.json_safe import make_json_safe, make_name_safe, make_text_safe
from headrace.ledger.database import Ledger
from headrace.ledger.results import write_attempt
from headrace.ledger.schema import data_version, lineage_io, lineage_run, verdict
from headrace.ledger.statements import chunk, read_on, tell_time, upsert, upsert_rows, write_on
from headrace.ledger.views import TaskTry

READ, WRITTEN = 0, 1
ALL_EARLIER = -1
_PLACES = 300  # two values each, and SQLite bounds them
Place = tuple[str, str]
"""Dataset and partition key."""
VersionKey = tuple[str, str, str]
"""Dataset, partition key and fingerprint."""


@dataclass(frozen=True)
class DataVersion:
    """A partition of a dataset with one content.

    Attributes:
        dataset: Its name.
        partition_key: ``""`` for a dataset that has no partitions.
        fingerprint: Of the content; None: derived from the code and the contents that it was made of, for what is not
            read again to be known.
        kind: ``file``, ``source``, ``model``, ``seed``, ``snapshot``, ``features``, ``artifact``, ``model_version``,
            ``deployment`` or ``predictions``.
        rows: How many; None where nobody counted.
        uri: Where it lies.
        detail: JSON-safe.
    """

    dataset: str
    partition_key: str
    fingerprint: str | None
    kind: str
    rows: int | None = None
    uri: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Newest:
    """The content that a place has when it is recorded; where nothing is known of it, it is left out.

    Attributes:
        dataset: Its name.
        partition_key: The partition.
        earlier: How many partitions before that one are read too; :data:`ALL_EARLIER`: all. One that is held is not.
    """

    dataset: str
    partition_key: str
    earlier: int = 0


@dataclass(frozen=True)
class LineageRun:
    """One run of one job.

    Attributes:
        job: For example dbt's id of a node, or ``<pipeline>.<node>``.
        kind: ``land``, ``dbt``, ``gate``, ``publish``, ``tfx``, ``register``, ``deploy`` or ``score``.
        inputs: What it read.
        outputs: What it wrote; one that it read too is only written.
        code: SHA-256 of what ran.
        execution_id: MLMD's.
        state: ``complete`` or ``failed``.
        started: When it began.
        ended: When it ended.
        detail: JSON-safe.
    """

    job: str
    kind: str
    inputs: Sequence[DataVersion | Newest] = ()
    outputs: Sequence[DataVersion] = ()
    code: str | None = None
    execution_id: int | None = None
    state: str = "complete"
    started: datetime | None = None
    ended: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def derive_fingerprint(code: str | None, inputs: Iterable[str], rows: int | None = None) -> str:
    """Return what stands for a content that nobody reads again: other code, or other inputs, may have made another."""
    return hashlib.sha256(json.dumps([code, sorted(inputs), rows]).encode()).hexdigest()


def record_runs(
    ledger: Ledger | Connection,
    task: TaskTry,
    partition_key: str | None,
    runs: Sequence[LineageRun],
    *,
    now: datetime | None = None,
) -> dict[VersionKey, int]:
    """Record what a try read and wrote, in the order in which it happened; again for the same run: replaced.

    Args:
        ledger: The ledger, or a write transaction of it.
        task: The try.
        partition_key: Of the run; None for a whole project.
        runs: A later one may read what an earlier one wrote.
        now: The time; by default the clock's.

    Returns:
        The ids of the data versions that were read or written.

    Raises:
        LedgerError: Nothing was recorded.
    """
    if not runs:
        return {}
    now, key = tell_time(now), make_name_safe(partition_key or "", 100)
    with write_on(ledger) as connection:
        attempt_id = write_attempt(connection, task, key, now)
        gathered = _gather(connection, runs)
        ids = _write_versions(connection, gathered, now)
        rows = {
            make_name_safe(run.job): {
                "attempt_id": attempt_id,
                "job": make_name_safe(run.job),
                "kind": run.kind,
                "code": run.code,
                "execution_id": run.execution_id,
                "state": run.state,
                "dag_id": make_name_safe(task.dag_id, 250),
                "run_id": make_name_safe(task.run_id, 250),
                "partition_key": key,
                "started": run.started,
                "ended": run.ended or now,
                "detail": make_json_safe(dict(run.detail)),
            }
            for run in runs
        }
        made = {make_name_safe(job): {ids[version] for version in each} for job, (_, each) in gathered.edges.items()}
        _set_earlier_apart(connection, task, key, made)
        unique = ("dag_id", "run_id", "job", "partition_key")
        written = {row.job: int(row.id) for row in upsert_rows(connection, lineage_run, list(rows.values()), unique)}
        for some in chunk(sorted(written.values())):
            connection.execute(delete(lineage_io).where(lineage_io.c.run_id.in_(some)))
        edges = {
            (written[job], ids[version], role)
            for job, (read, made) in gathered.edges.items()
            for role, versions in ((READ, read - made), (WRITTEN, made))
            for version in versions
        }
        for part in chunk(sorted(edges)):
            names = ("run_id", "version_id", "role")
            connection.execute(insert(lineage_io), [dict(zip(names, edge, strict=True)) for edge in part])
        return ids


def _set_earlier_apart(
    connection: Connection, task: TaskTry, partition_key: str, made: Mapping[str, Collection[int]]
) -> None:
    """Let what the same run wrote before, and does not write again, keep what it was made of.

    A run that is cleared after its data was landed anew writes other contents; models were trained on the old ones.
    """
    run = lineage_run.c
    of = (run.dag_id == make_name_safe(task.dag_id, 250)) & (run.run_id == make_name_safe(task.run_id, 250))
    wrote: dict[tuple[int, str], set[int]] = {}
    for some in chunk(sorted(made)):
        query = (
            select(run.id, run.job, lineage_io.c.version_id)
            .join(lineage_io, lineage_io.c.run_id == run.id)
            .where(of, run.partition_key == partition_key, run.job.in_(some), lineage_io.c.role == WRITTEN)
        )
        rows: Any = connection.execute(query)
        for id_, job, version in rows:
            wrote.setdefault((id_, job), set()).add(version)
    for (id_, job), versions in wrote.items():
        if not versions <= set(made[job]):
            renamed = make_name_safe(f"{job} (earlier, {id_})")
            connection.execute(update(lineage_run).where(run.id == id_).values(job=renamed))


def load_current(ledger: Ledger | Connection, places: Iterable[Place]) -> dict[Place, Any]:
    """Return the newest data version of each place of which anything is known."""
    found: dict[Place, Any] = {}
    with read_on(ledger) as connection:
        for some in chunk(sorted(set(places)), _PLACES):
            of = tuple_(data_version.c.dataset, data_version.c.partition_key).in_(list(some))
            oldest_first = select(data_version).where(of).order_by(data_version.c.last_seen, data_version.c.id)
            for row in connection.execute(oldest_first):
                found[row.dataset, row.partition_key] = row
    return found


def find_contents(ledger: Ledger | Connection, kind: str, contents: Iterable[tuple[str, str]]) -> dict[Any, Any]:
    """Return the newest data version of a kind with each of these partition keys and fingerprints."""
    found: dict[tuple[str, str], Any] = {}
    with read_on(ledger) as connection:
        for some in chunk(sorted(set(contents)), _PLACES):
            of = tuple_(data_version.c.partition_key, data_version.c.fingerprint).in_(list(some))
            query = select(data_version).where(of, data_version.c.kind == kind).order_by(data_version.c.last_seen)
            for row in connection.execute(query):
                found[row.partition_key, row.fingerprint] = row
    return found


def load_published_from(ledger: Ledger | Connection, name: str, partition_key: str) -> list[str]:
    """Return the datasets that the newest content of a published partition was written from."""
    with read_on(ledger) as connection:
        newest = load_current(connection, [(make_name_safe(name), make_name_safe(partition_key, 100))])
        ids = [int(row.id) for row in newest.values()]
        made, read = lineage_io.alias("made"), lineage_io.alias("read")
        query = (
            select(data_version.c.dataset)
            .join(read, read.c.version_id == data_version.c.id)
            .join(made, made.c.run_id == read.c.run_id)
            .where(made.c.version_id.in_(ids), made.c.role == WRITTEN, read.c.role == READ)
            .distinct()
        )
        return sorted(connection.scalars(query))


@dataclass
class _Gathered:
    """What is to be written: versions by key, those that are there already, and by job what was read and written."""

    read: dict[VersionKey, DataVersion] = field(default_factory=dict)
    made: dict[VersionKey, DataVersion] = field(default_factory=dict)
    known: dict[VersionKey, int] = field(default_factory=dict)
    edges: dict[str, tuple[set[VersionKey], set[VersionKey]]] = field(default_factory=dict)


def _gather(connection: Connection, runs: Sequence[LineageRun]) -> _Gathered:
    """Resolve what each run read, and what it wrote by that."""
    reads = {each: _list_places(connection, each) for run in runs for each in run.inputs if isinstance(each, Newest)}
    gathered, newest = _Gathered(), dict[Place, str]()
    for place, row in load_current(connection, [place for places in reads.values() for place in places]).items():
        newest[place] = row.fingerprint
        gathered.known[(*place, row.fingerprint)] = int(row.id)
    for run in runs:
        read: set[VersionKey] = set()
        for each in run.inputs:
            if isinstance(each, Newest):
                places = reads[each] if each.earlier else [_place(each)]
                read |= {(*place, newest[place]) for place in places if place in newest}
            else:
                key = (*_place(each), _cut(each.fingerprint or ""))
                gathered.read[key] = each
                read.add(key)
        made: set[VersionKey] = set()
        for output in run.outputs:
            print_ = output.fingerprint or derive_fingerprint(run.code, (key[2] for key in read), output.rows)
            key = (*_place(output), _cut(print_))
            gathered.made[key] = output
            newest[_place(output)] = key[2]
            made.add(key)
        gathered.edges[make_name_safe(run.job)] = (read, made)
    return gathered


def _list_places(connection: Connection, newest: Newest) -> list[Place]:
    """Return the places that are read: the partition, and those before it that no verdict blocks."""
    name, key = _place(newest)
    if not newest.earlier:
        return [(name, key)]
    c = data_version.c
    query = select(c.partition_key).where(c.dataset == name, c.partition_key != "").distinct()
    if key:
        query = query.where(c.partition_key < key)
    before: list[str] = sorted(connection.scalars(query), reverse=True)
    blocked = _list_blocked(connection, name)
    usable = [each for each in before if each not in blocked]
    return [(name, key), *((name, each) for each in (usable if newest.earlier < 0 else usable[: newest.earlier]))]


def _list_blocked(connection: Connection, name: str) -> set[str]:
    v = verdict.c
    query = select(v.partition_key, v.decision).where(v.dataset == name).order_by(v.id)
    rows: Any = connection.execute(query)
    newest = {key: decision for key, decision in rows}  # noqa: C416 - the last one of each stands
    return {key for key, decision in newest.items() if decision == "block"}


def _write_versions(connection: Connection, gathered: _Gathered, now: datetime) -> dict[VersionKey, int]:
    """Write the versions; one that is only read is not thereby the newest of its place, if it was there."""
    names = ("dataset", "partition_key", "fingerprint")
    ids = dict(gathered.known)
    if gathered.made:
        rows = [_row(key, version, now) for key, version in sorted(gathered.made.items())]
        for row in upsert_rows(connection, data_version, rows, names, ("first_seen",)):
            ids[row.dataset, row.partition_key, row.fingerprint] = int(row.id)
    only_read = sorted(gathered.read.keys() - ids.keys())
    for some in chunk(only_read, _PLACES // 2):
        rows = [_row(key, gathered.read[key], now) for key in some]
        connection.execute(upsert(connection, data_version).values(rows).on_conflict_do_nothing())
        c = data_version.c
        found = connection.execute(
            select(c.id, *(c[name] for name in names)).where(tuple_(*(c[name] for name in names)).in_(list(some)))
        )
        ids |= {(row.dataset, row.partition_key, row.fingerprint): int(row.id) for row in found}
    return ids


def _row(key: VersionKey, version: DataVersion, now: datetime) -> dict[str, Any]:
    dataset, partition_key, fingerprint = key
    return {
        "dataset": dataset,
        "partition_key": partition_key,
        "fingerprint": fingerprint,
        "kind": version.kind,
        "rows": version.rows,
        "uri": None if version.uri is None else make_text_safe(version.uri),
        "first_seen": now,
        "last_seen": now,
        "detail": make_json_safe(dict(version.detail)),
    }


def _place(of: DataVersion | Newest) -> Place:
    return make_name_safe(of.dataset), make_name_safe(of.partition_key or "", 100)


def _cut(fingerprint: str) -> str:
    return make_name_safe(fingerprint, 100)
