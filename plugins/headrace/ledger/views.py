"""What is read from the ledger, as plain values: for the UI, the REST API, the command line and the notifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

COUNTED = 10_000
"""Incidents of one state are counted this far."""


@dataclass(frozen=True)
class TaskTry:
    """One try of one task instance: by what a result was found."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    instance: str | None = None  # Airflow's own id of this try, where it is known


@dataclass(frozen=True)
class Rerun:
    """A task to clear with what is downstream of it, so that a decision takes effect."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@dataclass(frozen=True)
class BlastRadius:
    """What a failure reaches.

    Attributes:
        datasets: Names of the datasets downstream of the failing one, nearest first.
        dag_runs: Runs stopped by a failing partition of it, as ``(dag_id, run_id)``.
        models: Models trained on a failing partition of it or of what is made from it: pipeline, run, where pushed.
    """

    datasets: Sequence[str] = ()
    dag_runs: Sequence[tuple[str, str]] = ()
    models: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class IncidentRow:
    """One line of the inbox; ``state`` is as it is now: a snooze that has run out counts as open."""

    id: int
    state: str
    severity: str
    title: str
    dataset: str
    tool: str
    check: str
    column: str | None
    owner: str | None
    tier: str | None
    assignee: str | None
    opened_at: datetime
    first_seen: datetime
    last_seen: datetime
    occurrences: int
    failing_partitions: int
    snoozed_until: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    flapping: bool
    caused_by: int | None
    consequences: int
    dag_id: str
    downstream_datasets: int
    blocked_runs: int
    models: int


@dataclass(frozen=True)
class IncidentPage:
    """A page of the inbox.

    Attributes:
        rows: Worst and newest first.
        total: Rows that match; None where counting them stopped at ``COUNTED``.
        next: Cursor of the next page; None on the last.
        counts: Incidents by effective state, each state named, under the same filters other than the state's.
            Counting stops behind ``COUNTED``: a larger number means "more than that".
    """

    rows: Sequence[IncidentRow]
    total: int | None
    next: str | None
    counts: Mapping[str, int]


@dataclass(frozen=True)
class IncidentFilter:
    """Which incidents; an empty sequence or None is no condition.

    Attributes:
        states: Effective states; by default those that want somebody.
        severities: ``critical``, ``warning``, ``info``.
        owners, datasets, tools, assignees: Exact.
        partition_key: Incidents that affect or affected it.
        dag_ids: Only incidents whose newest failure was recorded by one of these DAGs; None is no condition, and an
            empty sequence matches nothing (a user who may read no DAG).
        text: Words that must all be in title, dataset, check or column, whatever their case.
        consequences: Also incidents that are a consequence of another that is not resolved. Without it they are left
            out, except where ``dag_ids`` leaves their cause out.
    """

    states: Sequence[str] = ("open", "acknowledged")
    severities: Sequence[str] = ()
    owners: Sequence[str] = ()
    datasets: Sequence[str] = ()
    tools: Sequence[str] = ()
    assignees: Sequence[str] = ()
    partition_key: str | None = None
    dag_ids: Sequence[str] | None = None
    text: str = ""
    consequences: bool = False


@dataclass(frozen=True)
class PartitionRow:
    """One partition that an incident affects or affected."""

    partition_key: str
    state: str
    failures: int
    first_seen: datetime
    last_seen: datetime
    caused_by: int | None


@dataclass(frozen=True)
class ResultRow:
    """One recorded check result."""

    id: int
    dataset: str
    partition_key: str
    tool: str
    check: str
    column: str | None
    severity: str
    status: str
    message: str
    observed: Any
    expected: Any
    failed_rows: int | None
    total_rows: int | None
    quarantined_rows: int
    excused: str | None
    sample: Sequence[Mapping[str, Any]]
    recorded_at: datetime
    task: TaskTry
    incident_id: int | None


@dataclass(frozen=True)
class EventRow:
    """One line of an incident's timeline."""

    id: int
    at: datetime
    kind: str
    actor: str
    partition_key: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class SeriesPoint:
    """The newest value of a check on one partition, for the chart over partitions.

    Attributes:
        value: A number where the check observes one; else failed rows; None where neither is a number.
        low, high: The bounds that were expected then, where they are numbers.
    """

    partition_key: str
    value: float | None
    low: float | None
    high: float | None
    status: str
    result_id: int


@dataclass(frozen=True)
class QuarantineRow:
    """What one check of one run set aside."""

    id: int
    dataset: str
    relation: str
    partition_key: str
    check: str
    column: str | None
    incident_id: int | None
    rows: int
    total_rows: int
    reason: str
    state: str
    at: datetime
    changed_at: datetime
    actor: str | None
    actor_reason: str | None
    task: TaskTry
    sample: Sequence[Mapping[str, Any]] = ()  # {"row_id", "state", "row"}; only where one is shown


@dataclass(frozen=True)
class GraphNode:
    """A dataset around an incident: ``state`` is its verdict on the incident's newest failing partition, or None."""

    name: str
    kind: str
    state: str | None
    incident_ids: Sequence[int] = ()


@dataclass(frozen=True)
class Graph:
    """Datasets up- and downstream of one, with the edges among them; bounded to 60 nodes."""

    nodes: Sequence[GraphNode]
    edges: Sequence[tuple[str, str]]
    truncated: bool = False


@dataclass(frozen=True)
class IncidentDetail:
    """Everything that an incident's page shows."""

    row: IncidentRow
    runbook: str | None
    description: str | None
    docs: str | None
    resolved_by: str | None
    resolve_reason: str | None
    reopened: int
    result: ResultRow | None  # the newest failure; None where the try that found it was recorded again without it
    partitions: Sequence[PartitionRow]
    events: Sequence[EventRow]
    series: Sequence[SeriesPoint]
    results: Sequence[ResultRow]  # newest first, at most 50
    quarantine: Sequence[QuarantineRow]
    consequences: Sequence[IncidentRow]
    cause: IncidentRow | None
    graph: Graph
    blast: BlastRadius
    statistics: Mapping[str, Any] = field(default_factory=dict)  # {"current": {...}, "baseline": {...}}, of TFDV
    unit: str | None = None  # of what the check observes: ``meta.unit``
    pending: Sequence[Rerun] = ()  # what decisions wait for: not cleared since, nor run


@dataclass(frozen=True)
class VerdictRow:
    """A verdict on a dataset's partition; ``causes`` as in the ledger, worst first."""

    id: int
    dataset: str
    partition_key: str
    decision: str
    checked: int
    causes: Sequence[Mapping[str, Any]]
    why: str
    actor: str | None
    decided_at: datetime
    task: TaskTry | None


@dataclass(frozen=True)
class Overview:
    """The health of the inbox, in one line.

    Attributes:
        counts: Incidents by effective state, counted as in :class:`IncidentPage`.
        severities: Of those that are open, by severity.
        oldest_open: Id and opening of the incident that waits longest for somebody to acknowledge it.
        notifier_seen: When the notifier last said that it is alive; None: never.
        notifier_detail: What it said.
        outbox_waiting: Notifications that are not delivered yet.
        outbox_oldest: When the oldest of these was written.
        outbox_dead: Notifications that were given up.
        last_recorded: When a check was last recorded; None: never.
    """

    counts: Mapping[str, int]
    severities: Mapping[str, int]
    oldest_open: tuple[int, datetime] | None
    notifier_seen: datetime | None
    notifier_detail: Mapping[str, Any]
    outbox_waiting: int
    outbox_oldest: datetime | None
    outbox_dead: int
    last_recorded: datetime | None = None
