"""From check results to a verdict: may this partition be used downstream? Pure; either interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.exceptions import CheckFailedError, NoResultsError

_SEVERITY_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


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
        causes: The results that did not pass, worst first. Failures of severity ``info`` are among them
            although they do not change the decision.
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
    nobody knows what it would have said. A failed warning is reported and the chain goes on.

    Args:
        results: Check results of one partition; an empty sequence fails closed.

    Returns:
        The verdict, with the results that caused it, worst first.
    """
    causes = tuple(sorted((result for result in results if not result.passed), key=_badness))
    if not results or any(_blocks(cause) for cause in causes):
        decision = Decision.BLOCK
    elif any(cause.severity is Severity.WARNING for cause in causes):
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


def _blocks(cause: CheckResult) -> bool:
    return cause.severity is Severity.CRITICAL or cause.status is Status.ERROR


def _badness(cause: CheckResult) -> tuple[bool, int, bool, int]:
    return (
        not _blocks(cause),
        _SEVERITY_RANK[cause.severity],
        cause.status is not Status.ERROR,
        -(cause.failed_rows or 0),
    )


def _label(cause: CheckResult) -> str:
    return f"{cause.severity.value} (could not be evaluated)" if cause.status is Status.ERROR else cause.severity.value
