"""From check results to a verdict: may this partition be used downstream? Pure; either interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import CheckFailedError, NoResultsError

SEVERITY_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


class Decision(str, Enum):
    """What a gate does with a partition."""

    PASS = "pass"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True)
class Verdict:
    """Whether a dataset partition may be used downstream.

    Attributes:
        decision: Pass, go on with a warning, or block.
        causes: The results that did not pass, worst first. Failures of severity ``info`` and excused ones are among
            them although they do not change the decision.
        checked: How many results there were; 0 always blocks.
    """

    decision: Decision
    causes: tuple[CheckResult, ...]
    checked: int

    @property
    def blocks(self) -> bool:
        return self.decision is Decision.BLOCK

    def describe(self) -> str:
        """Say the verdict in words: a first line, then a line for each cause."""
        if not self.checked:
            return "blocked: nothing was checked"
        word = {Decision.PASS: "passed", Decision.WARN: "passed with warnings", Decision.BLOCK: "blocked"}
        head = f"{word[self.decision]}: {self.checked - len(self.causes)} of {self.checked} checks passed"
        return "\n".join([head, *(f"  {_label(cause)}: {cause.message}" for cause in self.causes)])


def decide_verdict(results: Sequence[CheckResult]) -> Verdict:
    """Decide whether a dataset partition may be used downstream.

    A failed critical check blocks. A check that could not be evaluated blocks whatever its severity, because
    nobody knows what it would have said. A failed warning is reported and the chain goes on; so is a failure of any
    severity whose rows were all set aside. A failure that a person excused does not count.

    Args:
        results: Check results of one partition; an empty sequence fails closed.

    Returns:
        The verdict, with the results that caused it, worst first.
    """
    causes = tuple(sorted((result for result in results if not result.passed), key=_badness))
    if not results or any(_blocks(cause) for cause in causes):
        decision = Decision.BLOCK
    elif any(_warns(cause) for cause in causes):
        decision = Decision.WARN
    else:
        decision = Decision.PASS
    return Verdict(decision=decision, causes=causes, checked=len(results))


def require_usable(verdict: Verdict, what: str) -> None:
    """Raise when the verdict blocks.

    Args:
        verdict: From :func:`decide_verdict`.
        what: What was checked, for the message, for example ``2013-02 raw_weather``.

    Raises:
        NoResultsError: Nothing was checked.
        CheckFailedError: Checks failed; the message holds each failing one.
    """
    if not verdict.checked:
        raise NoResultsError(f"{what}: no check gave a result, and no result is a failure", what=what)
    if verdict.blocks:
        raise CheckFailedError(
            f"{what} {verdict.describe()}", what=what, causes=[cause.to_json() for cause in verdict.causes]
        )


def is_contained(result: CheckResult) -> bool:
    """Tell whether every failing row was set aside, so that none goes on."""
    failed = result.failed_rows or 0
    return result.status is Status.FAILED and 0 < failed <= result.quarantined_rows


def _blocks(cause: CheckResult) -> bool:
    if cause.excused is not None:
        return False
    return cause.status is Status.ERROR or (cause.severity is Severity.CRITICAL and not is_contained(cause))


def _warns(cause: CheckResult) -> bool:
    return cause.excused is None and cause.severity is not Severity.INFO


def _badness(cause: CheckResult) -> tuple[bool, bool, int, bool, int]:
    return (
        not _blocks(cause),
        cause.excused is not None,
        SEVERITY_RANK[cause.severity],
        cause.status is not Status.ERROR,
        -(cause.failed_rows or 0),
    )


def _label(cause: CheckResult) -> str:
    if cause.excused is not None:
        return f"{cause.severity.value} ({cause.excused})"
    if cause.status is Status.ERROR:
        return f"{cause.severity.value} (could not be evaluated)"
    if is_contained(cause):
        return f"{cause.severity.value} (its rows were set aside)"
    return cause.severity.value
