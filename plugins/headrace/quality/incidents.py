"""Incident states and changes: pure decisions about when a failing check needs a person; either interpreter."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.quality.verdict import SEVERITY_RANK, is_contained

FLAPPING_REOPENINGS = 3
"""So many re-openings within :data:`FLAPPING_WINDOW` are flapping."""
FLAPPING_WINDOW = timedelta(hours=24)
FLAPPING_PASSES = 3
"""So many passes in a row end it."""
PROMOTION_GRACE = timedelta(hours=1)
"""How long a consequence waits, after its cause was resolved, for its own check to be run again."""
SKIPPED = "it was skipped, because something before it failed"
"""What the sentence of a skipped dbt test says; see :mod:`headrace.dbt.run_results`."""

SUITE_CHECK = "suite"
"""Of a GX suite that could not be run at all, the check that failed."""


class IncidentState(str, Enum):
    """What is being done about an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


class PartitionState(str, Enum):
    """What became of one partition that an incident affects. The first two keep the incident open."""

    FAILING = "failing"
    QUARANTINED = "quarantined"
    PASSED = "passed"
    RELEASED = "released"
    WAIVED = "waived"
    RETIRED = "retired"  # the check is not made any more

    @property
    def unsettled(self) -> bool:
        return self in (PartitionState.FAILING, PartitionState.QUARANTINED)


class Resolution(str, Enum):
    """How an incident was resolved."""

    PASSED = "passed"
    RELEASED = "released"
    WAIVED = "waived"
    RETIRED = "retired"
    MANUAL = "manual"


class Change(str, Enum):
    """A change of an incident that people are told about."""

    OPENED = "opened"
    ESCALATED = "escalated"
    REOPENED = "reopened"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Standing:
    """How an incident stands, as far as decisions need it.

    Attributes:
        state: What is being done about it.
        severity: The worst since it was opened.
        flapping: It goes back and forth; such an incident is not resolved by one pass.
        passes_in_row: Passing results since the last failure, counted while it flaps.
        consequence: Another incident, upstream, is its cause.
        told: People know of this opening.
    """

    state: IncidentState
    severity: Severity
    flapping: bool = False
    passes_in_row: int = 0
    consequence: bool = False
    told: bool = False


@dataclass(frozen=True)
class Step:
    """What a decision makes of an incident.

    Attributes:
        after: How it stands then.
        change: What happened; None where nothing did that people could be told.
        tell: Whether people are told.
        resolution: How it was resolved, where ``change`` is ``RESOLVED``.
    """

    after: Standing
    change: Change | None = None
    tell: bool = False
    resolution: Resolution | None = None


def weigh_failure(result: CheckResult) -> Severity | None:
    """Return how much a result weighs as an incident; None where it is none.

    A pass, an excused failure and a failed ``info`` check are none. A failure whose rows were all set aside weighs no
    more than a warning. A check that could not be evaluated weighs at least a warning, for it blocks.
    """
    if result.passed or result.excused is not None:
        return None
    if result.status is Status.ERROR:
        return Severity.WARNING if result.severity is Severity.INFO else result.severity
    if result.severity is Severity.INFO:
        return None
    return Severity.WARNING if is_contained(result) else result.severity


def decide_partition(result: CheckResult, *, waived: bool = False) -> PartitionState:
    """Return what a result says about its partition.

    Args:
        result: The newest of a check on the partition.
        waived: A waiver holds for them; else an excuse is a release.
    """
    if weigh_failure(result) is not None:
        return PartitionState.QUARANTINED if is_contained(result) else PartitionState.FAILING
    if result.excused is not None and not result.passed:
        return PartitionState.WAIVED if waived else PartitionState.RELEASED
    return PartitionState.PASSED


def decide_failure(before: Standing | None, severity: Severity, *, new: bool = True, reopenings: int = 0) -> Step:
    """Decide what a failure makes of its check's incident.

    Args:
        before: How the incident stands; None: there is none.
        severity: From :func:`weigh_failure`, ``CRITICAL`` or ``WARNING``.
        new: False where this try had recorded the failure before: it is no second failure.
        reopenings: How often Headrace re-opened it within the last :data:`FLAPPING_WINDOW`, without this one.
    """
    if before is None:
        return Step(Standing(IncidentState.OPEN, severity), Change.OPENED, tell=True)
    if before.state is IncidentState.RESOLVED:
        if not new:
            return Step(before)
        flapping = reopenings + 1 >= FLAPPING_REOPENINGS
        return Step(Standing(IncidentState.OPEN, severity, flapping=flapping), Change.REOPENED, tell=True)
    after = replace(before, passes_in_row=0) if new else before
    if SEVERITY_RANK[severity] < SEVERITY_RANK[before.severity]:
        after = replace(after, severity=severity, state=IncidentState.OPEN)
        return Step(after, Change.ESCALATED, tell=not before.consequence)
    return Step(after)


def decide_pass(before: Standing, unsettled: int, endings: Collection[PartitionState], *, new: bool = True) -> Step:
    """Decide what results that do not fail make of their check's incident.

    Args:
        before: How the incident stands.
        unsettled: Partitions that are still failing or quarantined, after these results.
        endings: What became of the partitions that these results are about.
        new: False where this try had recorded the pass before: it is no second one.
    """
    if before.state is IncidentState.RESOLVED:
        return Step(before)
    decided = bool({PartitionState.WAIVED, PartitionState.RELEASED, PartitionState.RETIRED} & set(endings))
    if before.flapping and not decided:
        before = replace(before, passes_in_row=before.passes_in_row + new)
        if before.passes_in_row < FLAPPING_PASSES:
            return Step(before)
    # What flapped ends with its last pass, though that may be about a partition that never failed.
    if unsettled or not (endings or before.flapping):
        return Step(before)
    return resolve(before, _name_resolution(endings or {PartitionState.PASSED}))


def resolve(before: Standing, resolution: Resolution) -> Step:
    """Resolve; people are told of the end of what they were told of."""
    after = Standing(IncidentState.RESOLVED, before.severity, consequence=before.consequence)
    return Step(after, Change.RESOLVED, tell=before.told, resolution=resolution)


def decide_due(before: Standing, unsettled: int, now: datetime, until: datetime | None) -> Step:
    """Decide what the passing of time makes of a snoozed incident: open again, and told, where it still fails."""
    if before.state is not IncidentState.SNOOZED or until is None or until > now:
        return Step(before)
    after = replace(before, state=IncidentState.OPEN)
    if not unsettled:
        return Step(after)
    return Step(after, Change.REOPENED, tell=not before.consequence)


def decide_grouping(before: Standing, has_cause: bool) -> Step:
    """Decide what it makes of an unresolved incident that an upstream one is its cause, or is so no more.

    A consequence that loses its cause, and of which people do not know, is told as opened.
    """
    after = replace(before, consequence=has_cause)
    if before.consequence and not has_cause and not before.told and before.state is IncidentState.OPEN:
        return Step(after, Change.OPENED, tell=True)
    return Step(after)


def explain_unwaivable(tool: str, check: str) -> str | None:
    """Say why a waiver of a check could let nothing go on; None where it can."""
    if tool in ("tfma", "tfx"):
        return "a model that was refused is not pushed on anybody's word: train again, or change its thresholds"
    if (tool, check) == ("dbt", "build"):
        return "dbt could not build it, so there is nothing to go on with: mend the model"
    if (tool, check) == ("gx", SUITE_CHECK):
        return "its suite could not be run, so nobody knows what it would have said: mend the suite or its table"
    if tool == "landing":
        return "the file did not land, so there is nothing to go on with: mend the file and clear the task"
    if (tool, check) == ("registry", "rolled_back"):
        return "what keeps the version from answering is its block: 'headrace models unblock' lifts it"
    return None


def says_skipped(message: str) -> bool:
    """Tell from its sentence whether a check was not made because something before it failed; dbt skips tests so."""
    return SKIPPED in message


def match_partitions(one: str, other: str) -> bool:
    """Tell whether two partition keys may be about the same rows: ``''`` is a whole dataset, so it is about any."""
    return one == other or not one or not other


def _name_resolution(endings: Collection[PartitionState]) -> Resolution:
    for ending in (PartitionState.WAIVED, PartitionState.RELEASED, PartitionState.PASSED):
        if ending in endings:
            return Resolution(ending.value)
    return Resolution.RETIRED
