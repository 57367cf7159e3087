"""What the REST API takes and gives; the ledger's views are given as they are. api-server.

Texts hold no NUL, which Postgres cannot keep; unknown fields are refused, so that a misspelt one is noticed.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from headrace.ledger.views import QuarantineRow, ResultRow, VerdictRow

MOST_AT_ONCE = 200
"""Incidents of one bulk action."""


def _has_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be kept")
    return text


def _is_ahead(until: datetime) -> datetime:
    if until <= datetime.now(UTC):
        raise ValueError("this time is past: give one that is ahead")
    return until


Plain = AfterValidator(_has_no_nul)
Key = Annotated[str, StringConstraints(max_length=100), Plain]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250), Plain]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), Plain]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=MOST_AT_ONCE)]
Keys = Annotated[list[Key], Field(min_length=1, max_length=1000)]
Severity = Literal["critical", "warning", "info"]
State = Literal["open", "acknowledged", "snoozed", "resolved"]


class Body(BaseModel):
    """What is sent; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Acknowledge(Body):
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), Plain] = ""


class Assign(Body):
    assignee: Name | None = Field(description="Who has it; null: nobody")


class Snooze(Body):
    until: Annotated[AwareDatetime, AfterValidator(_is_ahead)]


class Unsnooze(Body):
    pass


class Resolve(Body):
    reason: Words


class Reopen(Body):
    reason: Words


class Comment(Body):
    text: Words


class RunAgain(Body):
    pass


class _Decision(Body):
    reason: Words
    rerun: bool = Field(True, description="Clear the tasks that must run again; false: only record the decision")


class Waive(_Decision):
    partition_keys: Keys


class Release(_Decision):
    partition_keys: Keys


class ReleaseQuarantine(_Decision):
    row_ids: Annotated[list[Annotated[str, StringConstraints(max_length=64), Plain]], Field(min_length=1)] | None = (
        Field(None, description="Rows to release; null: all of them")
    )


AnyAction = Acknowledge | Assign | Snooze | Unsnooze | Resolve | Reopen | Comment | Waive | Release | RunAgain


class BulkAcknowledge(Acknowledge):
    action: Literal["acknowledge"]
    ids: Ids


class BulkAssign(Assign):
    action: Literal["assign"]
    ids: Ids


class BulkSnooze(Snooze):
    action: Literal["snooze"]
    ids: Ids


class BulkUnsnooze(Unsnooze):
    action: Literal["unsnooze"]
    ids: Ids


class BulkResolve(Resolve):
    action: Literal["resolve"]
    ids: Ids


class BulkReopen(Reopen):
    action: Literal["reopen"]
    ids: Ids


class BulkComment(Comment):
    action: Literal["comment"]
    ids: Ids


class BulkWaive(Waive):
    action: Literal["waive"]
    ids: Ids


class BulkRelease(Release):
    action: Literal["release"]
    ids: Ids


class BulkRunAgain(RunAgain):
    action: Literal["rerun"]
    ids: Ids


Bulk = Annotated[
    BulkAcknowledge
    | BulkAssign
    | BulkSnooze
    | BulkUnsnooze
    | BulkResolve
    | BulkReopen
    | BulkComment
    | BulkWaive
    | BulkRelease
    | BulkRunAgain,
    Field(discriminator="action"),
]


class RerunOutcome(BaseModel):
    """What became of a task that a decision wants to run again.

    Attributes:
        state: ``cleared``; ``failed``, with ``detail`` saying why and what to do; ``not asked``, where the caller
            wanted the decision only.
        cleared: Task instances that were cleared in this run, those downstream included.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: Literal["cleared", "failed", "not asked"]
    cleared: int = 0
    detail: str | None = None


class Done(BaseModel):
    """An action that was recorded; ``detail`` says what else has to be done, if anything."""

    id: int
    reruns: list[RerunOutcome] = []
    detail: str | None = None


class BulkItem(Done):
    """What became of an action on one incident: ``status`` is as that of the single action."""

    status: int


class BulkDone(BaseModel):
    results: list[BulkItem]


class Problem(BaseModel):
    """Any answer that is no success."""

    detail: str


class FieldProblem(BaseModel):
    field: str
    message: str


class Invalid(Problem):
    errors: list[FieldProblem]


class Results(BaseModel):
    results: list[ResultRow]


class Verdicts(BaseModel):
    verdicts: list[VerdictRow]


class Quarantines(BaseModel):
    quarantine: list[QuarantineRow]
