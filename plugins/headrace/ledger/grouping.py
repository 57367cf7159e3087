"""Which incident is a consequence of which, by lineage and partition; orchestration interpreter."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, false, func, or_, select

from headrace.contracts.check_result import Severity, Status
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import Case, Entry, load_cases, write_cases, write_timeline
from headrace.ledger.lineage import LineageGraph, load_downstream_names, load_upstream
from headrace.ledger.schema import check_state, incident, incident_event, incident_partition
from headrace.ledger.statements import chunk
from headrace.quality.incidents import (
    PROMOTION_GRACE,
    SKIPPED,
    IncidentState,
    PartitionState,
    decide_failure,
    decide_grouping,
    match_partitions,
    says_skipped,
)
from headrace.quality.verdict import SEVERITY_RANK

_PROMOTED_AT_ONCE = 200


@dataclass
class Candidate:
    """An unresolved incident that may be the cause of others.

    Attributes:
        id: Of the incident.
        dataset: Whose check fails.
        severity: Of the incident.
        skipped: Its check was not made, because something before it failed.
        partitions: Those that fail, and whether the failure blocks there: a warning stops nothing.
    """

    id: int
    dataset: str
    severity: Severity
    skipped: bool = False
    partitions: dict[str, bool] = field(default_factory=dict)


class Causes:
    """Unresolved incidents, and which of them is the cause of what fails downstream.

    Whole datasets fail at once, so that the same question is asked for many incidents: each is answered once.

    Args:
        candidates: Unresolved incidents, with the partitions that fail in them.
        graph: Everything upstream of the datasets of all of them.
        in_error: Check and partition of what could not be evaluated, or built, when it was looked at last.
    """

    def __init__(
        self, candidates: Iterable[Candidate], graph: LineageGraph, in_error: Collection[tuple[int, str]] = ()
    ) -> None:
        self.candidates = {each.id: each for each in candidates}
        self._graph = graph
        self._in_error = in_error
        self._on: dict[str, list[Candidate]] = {}
        for each in self.candidates.values():
            for key in each.partitions:
                self._on.setdefault(key, []).append(each)
        self._oldest: dict[tuple[str, bool, bool], dict[str, int]] = {}
        self._tops: dict[tuple[str, bool], dict[str, int]] = {}
        self._found: dict[tuple[str, str, bool, bool], int | None] = {}

    def find(self, case: Case, partition_key: str) -> int | None:
        """Find the most upstream incident that covers a partition of an incident's dataset; of several, the oldest.

        One that blocks the partition goes before one that only warns of it. What could not be evaluated says nothing
        of the data, so no warning is its cause. A check that was skipped because something before it failed has its
        cause in its own dataset too.
        """
        skipped, in_error = says_skipped(case.title), (case.check_id, partition_key) in self._in_error
        asked = case.dataset, partition_key, skipped, in_error
        if asked not in self._found:
            found = self._find_able(case.dataset, partition_key, skipped=skipped, blocking=True)
            if found is None and not (skipped or in_error):
                found = self._find_able(case.dataset, partition_key, skipped=skipped, blocking=False)
            self._found[asked] = found
        return self._found[asked]

    def _find_able(self, dataset: str, partition_key: str, *, skipped: bool, blocking: bool) -> int | None:
        tops = self._list_tops(partition_key, blocking=blocking)
        found = min((tops[name] for name in self._graph.list_upstream(dataset) if name in tops), default=None)
        if found is None and skipped:
            return self._list_oldest(partition_key, with_skipped=False, blocking=blocking).get(dataset)
        return found

    def choose(self, ids: Collection[int | None]) -> int | None:
        """Choose the most upstream of some incidents; of several, the oldest."""
        oldest: dict[str, int] = {}
        for each in (self.candidates[id_] for id_ in ids if id_ is not None):
            oldest[each.dataset] = min(each.id, oldest.get(each.dataset, each.id))
        return min(self._keep_tops(oldest).values(), default=None)

    def _keep_tops(self, oldest: Mapping[str, int]) -> dict[str, int]:
        """Keep the datasets that have none of the others upstream."""
        names = oldest.keys()
        return {name: id_ for name, id_ in oldest.items() if self._graph.list_upstream(name).isdisjoint(names)}

    def _list_tops(self, partition_key: str, *, blocking: bool) -> Mapping[str, int]:
        """Return the most upstream datasets that cover a partition: whatever is upstream of them is so of all below."""
        asked = partition_key, blocking
        if asked not in self._tops:
            self._tops[asked] = self._keep_tops(self._list_oldest(partition_key, with_skipped=True, blocking=blocking))
        return self._tops[asked]

    def _list_oldest(self, partition_key: str, *, with_skipped: bool, blocking: bool) -> Mapping[str, int]:
        """Return dataset to its oldest incident that covers a partition; with ``blocking``, that blocks it."""
        asked = partition_key, with_skipped, blocking
        if asked not in self._oldest:
            found = self._oldest.setdefault(asked, {})
            for key, candidates in self._on.items():
                for each in candidates if match_partitions(partition_key, key) else ():
                    if (with_skipped or not each.skipped) and (each.partitions[key] or not blocking):
                        found[each.dataset] = min(each.id, found.get(each.dataset, each.id))
        return self._oldest[asked]


def load_downstream_cases(connection: Connection, failing: Mapping[str, Collection[str]]) -> dict[int, Case]:
    """Load the unresolved incidents downstream of datasets that begin to fail on some partitions.

    Args:
        connection: A transaction.
        failing: Dataset to partition keys.
    """
    names = load_downstream_names(connection, list(failing))
    keys = {key for some in failing.values() for key in some}
    found: set[int] = set()
    for some in chunk(sorted(names)):
        query = (
            select(incident_partition.c.incident_id)
            .join(incident, incident.c.id == incident_partition.c.incident_id)
            .where(incident.c.dataset.in_(some), incident.c.state != IncidentState.RESOLVED.value)
            .where(incident_partition.c.state == PartitionState.FAILING.value)
        )
        if "" not in keys:
            query = query.where(incident_partition.c.partition_key.in_(sorted({*keys, ""})))
        found |= set(connection.execute(query).scalars())
    return load_cases(connection, incident_ids=found) if found else {}


def load_causes(connection: Connection, cases: Collection[Case]) -> Causes:
    """Load the unresolved incidents that may be causes of some, with the partitions that fail in them."""
    datasets = {case.dataset for case in cases}
    graph = load_upstream(connection, datasets)
    names = graph.list_all_upstream()
    names |= {case.dataset for case in cases if says_skipped(case.title)}
    keys = {key for case in cases for key in case.unsettled}
    found: dict[int, Candidate] = {}
    query = _build_oldest(with_keys="" not in keys)
    for some in chunk(sorted(names)):
        rows: Any = connection.execute(query, {"datasets": list(some), "keys": sorted({*keys, ""})})
        for id_, dataset, severity, key, blocks, skipped in rows:
            candidate = found.setdefault(id_, Candidate(id_, dataset, Severity(severity), bool(skipped)))
            candidate.partitions[key] = bool(blocks)
    return Causes(found.values(), graph, _load_in_error(connection, [case.check_id for case in cases]))


def _load_in_error(connection: Connection, check_ids: Sequence[int]) -> set[tuple[int, str]]:
    found: set[tuple[int, str]] = set()
    for some in chunk(check_ids):
        query = select(check_state.c.check_id, check_state.c.partition_key)
        query = query.where(check_state.c.check_id.in_(some), check_state.c.status == Status.ERROR.value)
        found |= {(row.check_id, row.partition_key) for row in connection.execute(query)}
    return found


@cache
def _build_oldest(*, with_keys: bool) -> Any:
    """Return the query for the oldest unresolved incident of each dataset, partition and kind of failure.

    No other can be chosen as a cause, and a dataset may have thousands.
    """
    newest = (check_state.c.check_id == incident.c.check_id) & (
        check_state.c.partition_key == incident_partition.c.partition_key
    )
    blocks = or_(check_state.c.severity == Severity.CRITICAL.value, check_state.c.status == Status.ERROR.value)
    failing = (
        select(
            incident.c.id,
            incident.c.dataset,
            incident_partition.c.partition_key,
            func.coalesce(blocks, false()).label("blocks"),
            incident.c.title.contains(SKIPPED, autoescape=True).label("skipped"),
        )
        .join(incident, incident.c.id == incident_partition.c.incident_id)
        .outerjoin(check_state, newest)
        .where(incident.c.dataset.in_(bindparam("datasets", expanding=True)))
        .where(incident.c.state != IncidentState.RESOLVED.value)
        .where(incident_partition.c.state == PartitionState.FAILING.value)
    )
    if with_keys:
        failing = failing.where(incident_partition.c.partition_key.in_(bindparam("keys", expanding=True)))
    each = failing.subquery().c
    kind = (each.partition_key, each.blocks, each.skipped)
    oldest = select(func.min(each.id).label("id"), *kind).group_by(each.dataset, *kind).subquery()
    found = select(incident.c.id, incident.c.dataset, incident.c.severity, *list(oldest.c)[1:])
    return found.join(oldest, oldest.c.id == incident.c.id)


def group_incidents(connection: Connection, failing: Sequence[Case], now: datetime) -> list[Entry]:
    """Find the causes of incidents that fail, and make consequences of those that fail downstream of them.

    An incident that became a consequence says so in its timeline only. A cause weighs no less than what comes of it:
    it is escalated where one is worse. Everything is written.

    Args:
        connection: A write transaction; the incidents are written already.
        failing: Incidents that were just recorded as failing.
        now: The time.

    Returns:
        What is to go into the timelines.
    """
    own = {case.id: case for case in failing if case.state is not IncidentState.RESOLVED}
    if not own:
        return []
    beginning: dict[str, set[str]] = {}
    for case in own.values():
        beginning.setdefault(case.dataset, set()).update(case.list_keys(PartitionState.FAILING))
    others = load_downstream_cases(connection, {name: keys for name, keys in beginning.items() if keys})
    cases = {**others, **own}
    causes = load_causes(connection, list(cases.values()))
    entries: list[Entry] = []
    for case in cases.values():
        entries += _group(case, causes, own=case.id in own)
    entries += _escalate_causes(connection, cases, causes, now)
    told = {entry.case.id for entry in entries}
    changed = [case for case in cases.values() if case.touched or case.id in told]
    write_cases(connection, changed)
    return entries


def _group(case: Case, causes: Causes, *, own: bool) -> list[Entry]:
    of_keys = {key: causes.find(case, key) for key in case.list_keys(PartitionState.FAILING) or case.unsettled}
    for key, found in of_keys.items():
        if found != case.lines[key].caused_by and (own or found is not None):
            case.lines[key].caused_by = found
            case.touched.add(key)
    cause = None
    if of_keys and None not in of_keys.values():
        cause = causes.choose(of_keys.values())
    if cause == case.caused_by or (cause is None and not own):  # another's result does not make it an alert again
        return []
    before, case.caused_by = case.caused_by, cause
    step = decide_grouping(replace(case.standing, consequence=before is not None), cause is not None)
    case.told = case.told or step.tell
    kind = "grouped" if cause is not None else "promoted"
    return [
        Entry(case, kind, {"before": before, "after": cause, "caused_by": cause}, change=step.change, tell=step.tell)
    ]


def _escalate_causes(connection: Connection, cases: dict[int, Case], causes: Causes, now: datetime) -> list[Entry]:
    worst: dict[int, Case] = {}
    for case in cases.values():
        cause = case.caused_by
        if cause is not None and (cause not in worst or _rank(case) < _rank(worst[cause])):
            worst[cause] = case
    known = [causes.candidates[id_] for id_ in worst if id_ in causes.candidates]
    weak = {each.id for each in known if SEVERITY_RANK[each.severity] > _rank(worst[each.id])}
    cases |= load_cases(connection, incident_ids=weak - cases.keys())
    entries = []
    for cause in sorted(weak):
        case, before = cases[cause], cases[cause].severity
        step = decide_failure(case.standing, worst[cause].severity, new=False)
        case.take(step, now)
        if step.change is not None:
            detail = {"before": before.value, "after": case.severity.value, "because": worst[cause].id}
            entries.append(Entry(case, step.change.value, detail, change=step.change, tell=step.tell))
    return entries


def _rank(case: Case) -> int:
    return SEVERITY_RANK[case.severity]


def promote_consequences(ledger: Ledger, now: datetime) -> list[int]:
    """Let incidents stand on their own that have no cause any more since a while, and were not checked again since.

    Their cause was resolved, or fails on none of their partitions. Until then they wait: after a repair, what is
    downstream is usually run again within minutes. One that has another cause by now becomes its consequence instead,
    and nobody is told of it.

    Returns:
        Ids of those that stand on their own.
    """
    with ledger.connect() as connection:
        if not _load_without_cause(connection, now):
            return []
    with ledger.begin() as connection:
        cases = load_cases(connection, incident_ids=_load_without_cause(connection, now))
        ids = sorted(cases)
        causes = load_causes(connection, list(cases.values()))
        entries = [entry for id_ in ids for entry in _group(cases[id_], causes, own=True)]
        entries += _escalate_causes(connection, cases, causes, now)
        write_cases(connection, list(cases.values()))
        write_timeline(connection, entries, now)
    return [id_ for id_ in ids if cases[id_].caused_by is None]


def _load_without_cause(connection: Connection, now: datetime) -> list[int]:
    cause = incident.alias("cause")
    mine, its = incident_partition.alias("mine"), incident_partition.alias("its")
    before = now - PROMOTION_GRACE
    consequences = (
        select(incident.c.id)
        .join(cause, cause.c.id == incident.c.caused_by)
        .where(incident.c.state != IncidentState.RESOLVED.value)
        .order_by(incident.c.id)
        .limit(_PROMOTED_AT_ONCE)
    )
    resolved = (cause.c.state == IncidentState.RESOLVED.value) & (cause.c.resolved_at <= before)
    same = or_(its.c.partition_key == mine.c.partition_key, its.c.partition_key == "", mine.c.partition_key == "")
    unsettled = [state.value for state in PartitionState if state.unsettled]
    shared = (
        select(mine.c.incident_id)
        .join(its, same)
        .where(mine.c.incident_id == incident.c.id, mine.c.state.in_(unsettled))
        .where(its.c.incident_id == cause.c.id, its.c.state == PartitionState.FAILING.value)
        .correlate(incident, cause)
    )
    # A partition that passed says so in the timeline: the last such line is when the cause was mended.
    e = incident_event.c
    mended = select(e.id).where(e.incident_id == cause.c.id, e.at > before, e.kind.in_(_MENDED)).correlate(cause)
    elsewhere = (cause.c.state != IncidentState.RESOLVED.value) & ~shared.exists() & ~mended.exists()
    found: Any = connection.execute(consequences.where(resolved | elsewhere)).scalars()
    return [int(each) for each in found]


_MENDED = ("passed", "released", "waived", "retired", "withdrawn", "quarantined")
