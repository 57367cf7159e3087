"""From written results to changed incidents: opened, failing again, passing, resolved; orchestration interpreter."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from headrace.contracts.check_result import Severity
from headrace.ledger.grouping import group_incidents
from headrace.ledger.incidents import HEADRACE, Case, Entry, Line, load_cases, write_cases, write_timeline
from headrace.ledger.quarantine import RELEASED, RELEASING
from headrace.ledger.results import Written
from headrace.ledger.schema import check, dataset, incident_event, quarantine
from headrace.ledger.search_text import build_search_text
from headrace.ledger.statements import chunk
from headrace.quality.incidents import (
    FLAPPING_WINDOW,
    Change,
    IncidentState,
    PartitionState,
    Resolution,
    decide_failure,
    decide_partition,
    decide_pass,
    weigh_failure,
)
from headrace.quality.verdict import SEVERITY_RANK

_SHOWN_PARTITIONS = 20


def update_incidents(connection: Connection, dag_id: str, results: Sequence[Written], now: datetime) -> list[int]:
    """Change the incidents of some results' checks as the policy says, with their timelines and the outbox.

    Args:
        connection: A write transaction.
        dag_id: The DAG that recorded them.
        results: Of one try, written.
        now: The time.

    Returns:
        Ids of the incidents that were opened or re-opened.
    """
    of_check: dict[int, list[Written]] = {}
    for written in results:
        of_check.setdefault(written.check_id, []).append(written)
    keys = {written.partition_key for written in results}
    failing = {check_id for check_id, some in of_check.items() if any(map(_fails, some))}
    passing = {
        check_id for check_id in of_check.keys() - failing if not any(w.failed_before for w in of_check[check_id])
    }
    cases = load_cases(connection, check_ids=of_check.keys() - passing, partition_keys=keys)
    cases |= load_cases(connection, check_ids=passing, partition_keys=keys, settled=False)
    known = {case.check_id: case for case in cases.values()}
    if not known and not failing:
        return []
    facts = _load_facts(connection, failing)
    reopenings = count_reopenings(connection, [known[each] for each in failing if each in known], now)
    entries: list[Entry] = []
    for check_id, found in of_check.items():
        some = sorted(found, key=_order)
        if check_id in failing:
            case = known[check_id] = known.get(check_id) or _begin(some[0], now)
            entries += _take_failures(case, some, reopenings.get(case.id, 0), now)
            _describe(case, some[0], dag_id, facts[check_id])
        elif check_id in known:
            entries += _take_passes(connection, known[check_id], some, now)
    entries += write_and_group(connection, list(known.values()), failing, entries, now)
    write_timeline(connection, entries, now)
    return [entry.case.id for entry in entries if entry.kind in (Change.OPENED.value, Change.REOPENED.value)]


def write_and_group(
    connection: Connection, cases: Sequence[Case], failing: Collection[int], entries: Sequence[Entry], now: datetime
) -> list[Entry]:
    """Write changed incidents, then group those that fail; of a consequence people are not told that it opened.

    Args:
        connection: A write transaction.
        cases: Changed incidents.
        failing: Checks of those that fail.
        entries: What happened to them; those of consequences are hushed.
        now: The time.

    Returns:
        What grouping adds to the timelines.
    """
    write_cases(connection, cases)
    grouped = group_incidents(connection, [case for case in cases if case.check_id in failing], now)
    hushed = []
    for entry in entries:
        if entry.change in (Change.OPENED, Change.REOPENED) and entry.case.caused_by is not None and entry.tell:
            entry.tell = entry.case.told = False
            hushed.append(entry.case)
    write_cases(connection, hushed)
    return grouped


def _fails(written: Written) -> bool:
    return written.newest and weigh_failure(written.result) is not None


def _order(written: Written) -> tuple[bool, int, int]:
    """Order failures first, the worst of them first, then the newest."""
    severity = weigh_failure(written.result)
    return not _fails(written), SEVERITY_RANK[severity or Severity.INFO], -written.result_id


def _begin(written: Written, now: datetime) -> Case:
    result = written.result
    return Case(
        check_id=written.check_id, dataset=result.dataset, tool=result.tool, dag_id="", search="", title=result.message,
        state=IncidentState.RESOLVED, severity=Severity.INFO, opened_at=now, first_seen=now, last_seen=now,
    )  # fmt: skip


def _take_failures(case: Case, some: Sequence[Written], reopenings: int, now: datetime) -> list[Entry]:
    """Take the results of one check into its incident, where at least one fails."""
    new, entries = _take_lines(case, some, now)
    severities = [severity for written in some if _fails(written) and (severity := weigh_failure(written.result))]
    severity = min(severities, key=lambda each: SEVERITY_RANK[each])
    before = case.severity
    step = decide_failure(case.standing if case.id else None, severity, new=new, reopenings=reopenings)
    case.take(step, now)
    if new:
        case.last_seen = max(case.last_seen, now)
    if step.change is None:
        return entries
    detail: dict[str, Any] = {"severity": case.severity.value, "partition_keys": _list_failing(some)}
    if step.change is Change.REOPENED:
        case.reopened += 1
        detail |= {"reopened": case.reopened, "flapping": case.flapping}
    if step.change is Change.ESCALATED:
        detail |= {"before": before.value, "after": case.severity.value}
    else:
        case.told, case.caused_by = step.tell, None
        entries = [entry for entry in entries if entry.kind != "failed"]  # the opening says as much
    return [*entries, Entry(case, step.change.value, {**detail, "message": some[0].result.message},
                            _only(_list_failing(some)), change=step.change, tell=step.tell)]  # fmt: skip


def _take_passes(connection: Connection, case: Case, some: Sequence[Written], now: datetime) -> list[Entry]:
    """Take the results of one check into its incident, where none fails."""
    _, entries = _take_lines(case, some, now)
    about = [written for written in some if written.newest and written.partition_key in case.lines]
    endings = {case.lines[written.partition_key].state for written in about}
    new = any(not written.passed_before for written in some if written.newest)
    step = decide_pass(case.standing, len(case.unsettled), endings, new=new)
    keys = [written.partition_key for written in about]
    by, why = HEADRACE, None
    if step.resolution is Resolution.RELEASED:
        by, why = _load_releaser(connection, case.check_id, keys)
    case.take(step, now, actor=by, reason=why)
    if step.change is not Change.RESOLVED:
        return entries
    detail = {"resolution": case.resolution, "partition_keys": keys}
    if why is not None:
        detail |= {"by": by, "reason": why}
    return [Entry(case, "resolved", detail, _only(detail["partition_keys"]), change=step.change, tell=step.tell)]


def _load_releaser(connection: Connection, check_id: int, keys: Sequence[str]) -> tuple[str, str | None]:
    """Return who let go what a check had set aside, and why; of several the last."""
    c = quarantine.c
    query = select(c.actor, c.actor_reason).where(c.check_id == check_id, c.partition_key.in_(keys))
    query = query.where(c.actor.is_not(None), c.state.in_((RELEASING, RELEASED))).order_by(
        c.changed_at.desc(), c.id.desc()
    )
    row = connection.execute(query.limit(1)).first()
    return (HEADRACE, None) if row is None else (str(row.actor), row.actor_reason)


def _take_lines(case: Case, some: Sequence[Written], now: datetime) -> tuple[bool, list[Entry]]:
    """Take results into an incident's partitions.

    Returns:
        Whether there is a failure that was not known, and what the timeline says of each partition that changed.
    """
    new, entries = False, []
    for written in some:
        key, line, fails = written.partition_key, case.lines.get(written.partition_key), weigh_failure(written.result)
        counts = (fails is not None) - written.failed_before
        if fails is None and line is None:
            continue
        if line is None:
            line = case.lines[key] = Line(PartitionState.PASSED, 0, now, now, None)
        case.touched.add(key)
        line.failures += counts
        case.occurrences += counts
        if not written.newest:
            continue
        before, line.state = line.state, decide_partition(written.result, waived=written.waived)
        if fails is not None:
            new = new or counts > 0 or not before.unsettled
            line.result_id, line.last_seen = written.result_id, max(line.last_seen, now)
        if before is not line.state and (before.unsettled or line.state.unsettled):
            kind = "failed" if line.state.unsettled else line.state.value
            entries.append(Entry(case, kind, {"state": line.state.value, "message": written.result.message}, key))
    return new, entries


def _describe(case: Case, worst: Written, dag_id: str, facts: Mapping[str, Any]) -> None:
    if case.state is not IncidentState.RESOLVED:
        case.title, case.last_result_id, case.dag_id = worst.result.message, worst.result_id, dag_id
        case.search = build_search_text(case.title, case.dataset, worst.result.check, worst.result.column)
        case.owner, case.tier, case.runbook = facts["owner"], facts["tier"], facts["runbook"]


def _list_failing(some: Sequence[Written]) -> list[str]:
    return sorted({written.partition_key for written in some if _fails(written)})[:_SHOWN_PARTITIONS]


def _only(keys: Any) -> str | None:
    return keys[0] if len(keys) == 1 else None


def _load_facts(connection: Connection, check_ids: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """Load who looks after each check: what is written beside it, else what its dataset says."""
    names = ("owner", "tier", "runbook")
    columns = [func.coalesce(check.c[name], dataset.c[name]).label(name) for name in names]
    query = select(check.c.id, *columns).outerjoin(dataset, dataset.c.name == check.c.dataset)
    facts: dict[int, Mapping[str, Any]] = {}
    for some in chunk(sorted(check_ids)):
        rows: Any = connection.execute(query.where(check.c.id.in_(some))).mappings()
        facts |= {int(row["id"]): row for row in rows}
    return facts


def count_reopenings(connection: Connection, cases: Collection[Case], now: datetime) -> dict[int, int]:
    """Count how often Headrace re-opened incidents that are resolved now, within the window of flapping."""
    c = incident_event.c
    ids = sorted(case.id for case in cases if case.state is IncidentState.RESOLVED and case.reopened)
    counts: dict[int, int] = {}
    for some in chunk(ids):
        query = select(c.incident_id, func.count().label("times")).where(c.incident_id.in_(some))
        query = query.where(c.kind == Change.REOPENED.value, c.actor == HEADRACE, c.at > now - FLAPPING_WINDOW)
        for row in connection.execute(query.group_by(c.incident_id)):
            counts[int(row.incident_id)] = int(row.times)
    return counts
