"""Incidents as they are read, changed and written within one transaction; orchestration interpreter."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update
from sqlalchemy import delete as sql_delete

from headrace.contracts.check_result import Severity
from headrace.contracts.json_safe import make_json_safe
from headrace.ledger.outbox import enqueue_all
from headrace.ledger.schema import (
    attempt,
    check,
    check_result,
    incident,
    incident_event,
    incident_partition,
    severity_number,
)
from headrace.ledger.statements import chunk, upsert_rows
from headrace.quality.incidents import Change, IncidentState, PartitionState, Standing, Step

HEADRACE = "headrace"
"""The actor of what no person did."""


@dataclass
class Line:
    """One partition of an incident."""

    state: PartitionState
    failures: int
    first_seen: datetime
    last_seen: datetime
    result_id: int | None
    caused_by: int | None = None


@dataclass
class Case:
    """An incident with its partitions: those that are unsettled, and those that were asked for."""

    check_id: int
    dataset: str
    tool: str
    dag_id: str
    search: str
    state: IncidentState
    severity: Severity
    title: str
    opened_at: datetime
    first_seen: datetime
    last_seen: datetime
    owner: str | None = None
    tier: str | None = None
    runbook: str | None = None
    assignee: str | None = None
    caused_by: int | None = None
    occurrences: int = 0
    last_result_id: int | None = None
    snoozed_until: datetime | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None
    resolved_by: str | None = None
    resolve_reason: str | None = None
    reopened: int = 0
    flapping: bool = False
    passes_in_row: int = 0
    told: bool = False
    id: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    stored: Mapping[str, Any] = field(default_factory=dict)
    """Its row as the database has it; empty for a new one."""

    @property
    def standing(self) -> Standing:
        return Standing(
            self.state, self.severity, self.flapping, self.passes_in_row, self.caused_by is not None, self.told
        )

    @property
    def unsettled(self) -> list[str]:
        return sorted(key for key, line in self.lines.items() if line.state.unsettled)

    def list_keys(self, state: PartitionState) -> list[str]:
        return sorted(key for key, line in self.lines.items() if line.state is state)

    def take(self, step: Step, now: datetime, *, actor: str = HEADRACE, reason: str | None = None) -> None:
        """Become what a decision says."""
        after = step.after
        if after.state is not IncidentState.SNOOZED:
            self.snoozed_until = None
        self.state, self.severity = after.state, after.severity
        self.flapping, self.passes_in_row = after.flapping, after.passes_in_row
        if step.change is Change.RESOLVED:
            self.resolved_at, self.resolved_by, self.resolve_reason = now, actor, reason
            self.resolution = step.resolution.value if step.resolution else None
        elif step.change in (Change.OPENED, Change.REOPENED):
            self.resolved_at = self.resolution = self.resolved_by = self.resolve_reason = None
            if step.change is Change.REOPENED and self.standing.state is IncidentState.OPEN:
                self.opened_at = max(self.opened_at, now)


@dataclass
class Entry:
    """A line of the timeline that is to be written, and whether people are told."""

    case: Case
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    partition_key: str | None = None
    actor: str = HEADRACE
    change: Change | None = None
    tell: bool = False


_ROW = [each.name for each in fields(Case) if each.name not in ("id", "lines", "touched", "stored")]


def load_cases(
    connection: Connection,
    *,
    check_ids: Collection[int] = (),
    incident_ids: Collection[int] = (),
    partition_keys: Collection[str] = (),
    settled: bool = True,
) -> dict[int, Case]:
    """Load incidents by their checks or their ids, each with its unsettled partitions and those asked for.

    Args:
        connection: A transaction.
        check_ids: Of the checks whose incidents are wanted.
        incident_ids: Of incidents.
        partition_keys: Partitions that are wanted though they are settled.
        settled: Also those that a pass on these partitions changes nothing of, which most are.

    Returns:
        Incidents by id.
    """
    cases: dict[int, Case] = {}
    for column, wanted in ((incident.c.check_id, check_ids), (incident.c.id, incident_ids)):
        for some in chunk(sorted(wanted)):
            query = select(incident).where(column.in_(some))
            if not settled:
                query = query.where(_is_unsettled(partition_keys))
            for found in connection.execute(query).mappings():
                cases[found["id"]] = _build_case(dict(found))
    c = incident_partition.c
    unsettled = [state.value for state in PartitionState if state.unsettled]
    for some in chunk(sorted(cases)):
        asked: Any = c.state.in_(unsettled)
        if partition_keys:
            asked |= c.partition_key.in_(sorted(partition_keys))
        for row in connection.execute(select(incident_partition).where(c.incident_id.in_(some), asked)):
            cases[int(row.incident_id)].lines[str(row.partition_key)] = Line(
                PartitionState(row.state), row.failures, row.first_seen, row.last_seen, row.result_id, row.caused_by
            )
    return cases


def _is_unsettled(partition_keys: Collection[str]) -> Any:
    """Return the condition for an incident that a pass on some partitions changes something of."""
    c = incident_partition.c
    others = select(c.state).where(c.incident_id == incident.c.id, c.partition_key.in_(sorted(partition_keys)))
    others = others.where(c.state != PartitionState.PASSED.value)
    standing = incident.c.state != IncidentState.RESOLVED.value
    return or_(standing, incident.c.failing_partitions > 0, others.exists())


def _build_case(row: Mapping[str, Any]) -> Case:
    values = {name: row[name] for name in _ROW}
    values |= {"state": IncidentState(row["state"]), "severity": Severity(row["severity"])}
    return Case(**values, id=row["id"], stored=row)


def write_cases(connection: Connection, cases: Sequence[Case]) -> None:
    """Write incidents, new ones with an id from here on, and the partitions of them that were touched."""
    new = [case for case in cases if not case.id]
    if new:
        statement = insert(incident).returning(incident.c.id, sort_by_parameter_order=True)
        ids: Any = connection.execute(statement, [_build_row(case) for case in new]).scalars().all()
        for case, incident_id in zip(new, ids, strict=True):
            case.id = int(incident_id)
    # Only what changed: a column that is set, even to what it was, has its indexes written, and there are many.
    changed: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for case in cases:
        row = _build_row(case)
        names = tuple(name for name, value in row.items() if case.stored and case.stored[name] != value)
        if names:
            changed.setdefault(names, []).append({"of": case.id, **{f"new_{name}": row[name] for name in names}})
        case.stored = row
    for names, rows in changed.items():
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        connection.execute(update(incident).where(incident.c.id == bindparam("of")).values(values), rows)
    _write_lines(connection, cases)


def _write_lines(connection: Connection, cases: Sequence[Case]) -> None:
    written = [
        {
            "incident_id": case.id,
            "partition_key": key,
            "state": line.state.value,
            "failures": line.failures,
            "first_seen": line.first_seen,
            "last_seen": line.last_seen,
            "result_id": line.result_id,
            "caused_by": line.caused_by,
        }
        for case in cases
        for key in sorted(case.touched)
        if (line := case.lines.get(key)) is not None
    ]
    gone = [{"of": case.id, "on": key} for case in cases for key in sorted(case.touched) if key not in case.lines]
    if written:
        upsert_rows(connection, incident_partition, written, ("incident_id", "partition_key"))
    if gone:
        c = incident_partition.c
        connection.execute(
            sql_delete(incident_partition).where(c.incident_id == bindparam("of"), c.partition_key == bindparam("on")),
            gone,
        )
    for case in cases:
        case.touched.clear()


def _build_row(case: Case) -> dict[str, Any]:
    row = {name: getattr(case, name) for name in _ROW}
    return row | {
        "state": case.state.value,
        "severity": case.severity.value,
        "severity_rank": severity_number[case.severity.value],
        "failing_partitions": len(case.unsettled),
    }


def write_timeline(connection: Connection, entries: Sequence[Entry], now: datetime) -> None:
    """Write lines of timelines, in order, and put what people are told in the outbox."""
    if not entries:
        return
    rows = [
        {
            "incident_id": entry.case.id,
            "at": now,
            "kind": entry.kind,
            "actor": entry.actor,
            "partition_key": entry.partition_key,
            "detail": make_json_safe(dict(entry.detail)),
        }
        for entry in entries
    ]
    statement = insert(incident_event).returning(incident_event.c.id, sort_by_parameter_order=True)
    written: Any = connection.execute(statement, rows).scalars()
    ids = [int(event_id) for event_id in written]
    told = [(entry, event_id) for entry, event_id in zip(entries, ids, strict=True) if entry.tell and entry.change]
    if told:
        sources = _load_sources(connection, [entry.case for entry, _ in told])
        outgoing: list[tuple[int, int, Change | str, Mapping[str, Any]]] = []
        for entry, event_id in told:
            assert entry.change is not None
            payload = build_payload(entry.case, entry, sources.get(entry.case.check_id, {}), now)
            outgoing.append((entry.case.id, event_id, entry.change, payload))
        enqueue_all(connection, outgoing, now=now)


def build_payload(case: Case, entry: Entry, source: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Build what a notification says: the incident as it stood when it changed.

    Returns:
        ``incident_id``, ``change``, ``at``, ``title``, ``severity``, ``state``, ``dataset``, ``check``, ``tool``,
        ``column``, ``owner``, ``tier``, ``runbook``, ``assignee``, ``partition_keys`` (unsettled ones, at most 20),
        ``failing_partitions``, ``occurrences``, ``reopened``, ``flapping``, ``opened_at``, ``resolution``,
        ``resolved_by``, ``reason``, ``actor``, and the newest failure's ``dag_id``, ``run_id``, ``task_id``,
        ``map_index`` and ``try_number``; times ISO 8601. None where unknown.
    """
    names = ("check", "tool", "column", "dag_id", "run_id", "task_id", "map_index", "try_number")
    return {
        "incident_id": case.id,
        "change": entry.change.value if entry.change else None,
        "at": now.isoformat(),
        "title": case.title,
        "severity": case.severity.value,
        "state": case.state.value,
        "dataset": case.dataset,
        "owner": case.owner,
        "tier": case.tier,
        "runbook": case.runbook,
        "assignee": case.assignee,
        "partition_keys": case.unsettled[:20],
        "failing_partitions": len(case.unsettled),
        "occurrences": case.occurrences,
        "reopened": case.reopened,
        "flapping": case.flapping,
        "opened_at": case.opened_at.isoformat(),
        "resolution": case.resolution,
        "resolved_by": case.resolved_by,
        "reason": case.resolve_reason,
        "actor": entry.actor,
        **{name: source.get(name) for name in names},
    }


def _load_sources(connection: Connection, cases: Sequence[Case]) -> dict[int, dict[str, Any]]:
    """Return each incident's check and the task of its newest failure, by check id."""
    a = attempt.c
    columns = (a.dag_id, a.run_id, a.task_id, a.map_index, a.try_number)
    query = select(check.c.id, check.c.name.label("check"), check.c.tool, check.c.column, *columns)
    query = query.join(incident, incident.c.check_id == check.c.id)
    query = query.outerjoin(check_result, check_result.c.id == incident.c.last_result_id)
    query = query.outerjoin(attempt, a.id == check_result.c.attempt_id)
    sources: dict[int, dict[str, Any]] = {}
    for some in chunk(sorted({case.check_id for case in cases})):
        for row in connection.execute(query.where(check.c.id.in_(some))).mappings():
            sources[int(row["id"])] = dict(row)
    return sources
