"""When a failing check needs a person: every state against everything that can happen to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.quality.incidents import (
    FLAPPING_PASSES,
    FLAPPING_REOPENINGS,
    Change,
    IncidentState,
    PartitionState,
    Resolution,
    Standing,
    decide_due,
    decide_failure,
    decide_grouping,
    decide_partition,
    decide_pass,
    match_partitions,
    resolve,
    weigh_failure,
)

CRITICAL, WARNING, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO
OPEN, ACKNOWLEDGED, SNOOZED, RESOLVED = IncidentState
UNRESOLVED = (OPEN, ACKNOWLEDGED, SNOOZED)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def result(
    severity: Severity, status: str, *, failed: int = 9, aside: int = 0, excused: str | None = None
) -> CheckResult:
    return CheckResult(
        "gx", "raw_weather", "2013-02", "max", "wind_speed", severity, Status(status), "", failed_rows=failed,
        quarantined_rows=aside, excused=excused,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "weight", "state"),
    [
        (result(CRITICAL, "passed"), None, PartitionState.PASSED),
        (result(CRITICAL, "failed"), CRITICAL, PartitionState.FAILING),
        (result(WARNING, "failed"), WARNING, PartitionState.FAILING),
        (result(INFO, "failed"), None, PartitionState.PASSED),
        (result(CRITICAL, "error"), CRITICAL, PartitionState.FAILING),
        (result(WARNING, "error"), WARNING, PartitionState.FAILING),
        (result(INFO, "error"), WARNING, PartitionState.FAILING),
        (result(CRITICAL, "failed", aside=9), WARNING, PartitionState.QUARANTINED),
        (result(CRITICAL, "failed", aside=8), CRITICAL, PartitionState.FAILING),
        (result(CRITICAL, "failed", failed=0, aside=0), CRITICAL, PartitionState.FAILING),
        (result(CRITICAL, "error", aside=9), CRITICAL, PartitionState.FAILING),
        (result(CRITICAL, "failed", excused="by anna"), None, PartitionState.RELEASED),
        (result(CRITICAL, "passed", excused="by anna"), None, PartitionState.PASSED),
    ],
)
def test_what_a_result_weighs(given: CheckResult, weight: Severity | None, state: PartitionState) -> None:
    assert weigh_failure(given) is weight
    assert decide_partition(given) is state


def test_a_waiver_is_no_release() -> None:
    assert decide_partition(result(CRITICAL, "failed", excused="by anna"), waived=True) is PartitionState.WAIVED


def test_the_first_failure() -> None:
    step = decide_failure(None, WARNING)
    assert (step.after, step.change, step.tell) == (Standing(OPEN, WARNING), Change.OPENED, True)


@pytest.mark.parametrize(
    ("state", "before", "now"), list(product(UNRESOLVED, (CRITICAL, WARNING), (CRITICAL, WARNING)))
)
def test_another_failure(state: IncidentState, before: Severity, now: Severity) -> None:
    step = decide_failure(Standing(state, before, told=True), now)
    if (before, now) == (WARNING, CRITICAL):
        assert (step.after.state, step.after.severity, step.change, step.tell) == (
            OPEN,
            CRITICAL,
            Change.ESCALATED,
            True,
        )
    else:
        assert (step.after, step.change, step.tell) == (Standing(state, before, told=True), None, False)


def test_a_consequence_is_escalated_silently() -> None:
    step = decide_failure(Standing(OPEN, WARNING, consequence=True), CRITICAL)
    assert (step.change, step.tell) == (Change.ESCALATED, False)


@pytest.mark.parametrize("reopenings", range(FLAPPING_REOPENINGS + 1))
def test_a_failure_after_resolution(reopenings: int) -> None:
    step = decide_failure(Standing(RESOLVED, CRITICAL), WARNING, reopenings=reopenings)
    assert (step.after.state, step.after.severity, step.change, step.tell) == (OPEN, WARNING, Change.REOPENED, True)
    assert step.after.flapping is (reopenings + 1 >= FLAPPING_REOPENINGS)


def test_a_failure_that_was_known_re_opens_nothing() -> None:
    before = Standing(RESOLVED, WARNING)
    assert decide_failure(before, CRITICAL, new=False).after == before


@pytest.mark.parametrize(
    ("endings", "resolution"),
    [
        ({PartitionState.PASSED}, Resolution.PASSED),
        ({PartitionState.PASSED, PartitionState.WAIVED}, Resolution.WAIVED),
        ({PartitionState.RELEASED, PartitionState.PASSED}, Resolution.RELEASED),
        ({PartitionState.RETIRED}, Resolution.RETIRED),
    ],
)
@pytest.mark.parametrize("state", UNRESOLVED)
@pytest.mark.parametrize("told", [True, False])
def test_the_last_partition_settles(
    state: IncidentState, endings: set[PartitionState], resolution: Resolution, told: bool
) -> None:
    step = decide_pass(Standing(state, CRITICAL, told=told), 0, endings)
    assert (step.after.state, step.change, step.resolution, step.tell) == (RESOLVED, Change.RESOLVED, resolution, told)


@pytest.mark.parametrize(("unsettled", "endings"), [(1, {PartitionState.PASSED}), (0, set())])
def test_what_resolves_nothing(unsettled: int, endings: set[PartitionState]) -> None:
    before = Standing(OPEN, CRITICAL, told=True)
    assert decide_pass(before, unsettled, endings).after == before


def test_a_pass_of_what_is_resolved() -> None:
    before = Standing(RESOLVED, CRITICAL)
    step = decide_pass(before, 0, {PartitionState.PASSED})
    assert (step.after, step.change) == (before, None)


def test_flapping_ends_after_passes_in_a_row() -> None:
    standing = Standing(OPEN, CRITICAL, flapping=True, told=True)
    for passes in range(1, FLAPPING_PASSES):
        standing = decide_pass(standing, 0, {PartitionState.PASSED}).after
        assert (standing.state, standing.passes_in_row) == (OPEN, passes)
    assert decide_pass(standing, 0, {PartitionState.PASSED}, new=False).change is None
    assert decide_failure(standing, CRITICAL).after.passes_in_row == 0
    step = decide_pass(standing, 0, {PartitionState.PASSED})
    assert (step.after.state, step.after.flapping, step.tell) == (RESOLVED, False, True)


def test_a_person_ends_flapping_at_once() -> None:
    step = decide_pass(Standing(OPEN, CRITICAL, flapping=True, told=True), 0, {PartitionState.WAIVED})
    assert (step.after.state, step.after.flapping) == (RESOLVED, False)
    assert resolve(Standing(OPEN, CRITICAL, flapping=True), Resolution.MANUAL).after.flapping is False


@pytest.mark.parametrize("consequence", [True, False])
def test_a_snooze_that_ran_out(consequence: bool) -> None:
    before = Standing(SNOOZED, CRITICAL, consequence=consequence)
    for until in (NOW, NOW - timedelta(days=400)):
        step = decide_due(before, 1, NOW, until)
        assert (step.after.state, step.change, step.tell) == (OPEN, Change.REOPENED, not consequence)
    assert decide_due(before, 1, NOW, NOW + timedelta(seconds=1)).after == before
    assert decide_due(before, 0, NOW, NOW).change is None
    for state in (OPEN, ACKNOWLEDGED, RESOLVED):
        assert decide_due(replace(before, state=state), 1, NOW, NOW).change is None


@pytest.mark.parametrize(("state", "told", "tell"), [(OPEN, False, True), (OPEN, True, False), (SNOOZED, False, False)])
def test_a_consequence_that_stands_on_its_own(state: IncidentState, told: bool, tell: bool) -> None:
    step = decide_grouping(Standing(state, CRITICAL, consequence=True, told=told), has_cause=False)
    assert (step.after.consequence, step.tell) == (False, tell)
    assert decide_grouping(Standing(state, CRITICAL, told=told), has_cause=True).change is None


def test_partitions() -> None:
    assert match_partitions("2013-01", "2013-01")
    assert match_partitions("", "2013-01")
    assert match_partitions("2013-01", "")
    assert not match_partitions("2013-01", "2013-02")
