"""A rollback as a check result, so that its incident is opened, told and resolved as any other; orchestration."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.lineage import name_model
from headrace.ledger.by_hand import BY_HAND, ROLLED_BACK, TOOL
from headrace.ledger.incidents import Entry, load_cases, write_timeline
from headrace.ledger.recording import record_results
from headrace.ledger.schema import check, incident, model_version, trained_model
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import BLOCKED, ModelVersionRow


def record_rolled_back(
    connection: Connection,
    bad: ModelVersionRow,
    good: ModelVersionRow,
    actor: str,
    reason: str,
    now: datetime,
    incident_id: int | None = None,
) -> int | None:
    """Open or update the incident of a version that was taken back; or write into the timeline of another one.

    Args:
        connection: The rollback's transaction.
        bad: What answered.
        good: What answers now.
        actor: Who decided.
        reason: Why.
        now: The time.
        incident_id: The incident because of which it was rolled back, where there is one.

    Returns:
        The incident.
    """
    message = f"{bad.name} was rolled back to {good.name} by {actor}: {reason}"
    if incident_id is not None:
        case = load_cases(connection, incident_ids=[incident_id])[incident_id]
        write_timeline(connection, [Entry(case, "commented", {"text": message}, actor=actor)], now)
        return incident_id
    record_results(connection, _task(bad, "rollback", now), [_result(bad, Status.FAILED, message)], now=now)
    query: Any = select(incident.c.id).join(check, check.c.id == incident.c.check_id)
    query = query.where(check.c.dataset == name_model(bad.model), check.c.tool == TOOL, check.c.name == ROLLED_BACK)
    return int(connection.execute(query.order_by(incident.c.id.desc()).limit(1)).scalar_one())


def end_rolled_back(connection: Connection, version: ModelVersionRow, actor: str, reason: str, now: datetime) -> None:
    """Let the check pass on a version's partition, unless another blocked version is of it."""
    v = model_version.c
    others = (
        select(v.id)
        .join(trained_model, trained_model.c.id == v.trained_model_id)
        .where(v.model == version.model, v.state == BLOCKED, v.id != version.id)
        .where(trained_model.c.partition_key == version.partition_key)
    )
    if connection.execute(others.limit(1)).first() is None and _is_recorded(connection, version):
        message = f"{version.name} may answer again, by {actor}: {reason}"
        record_results(connection, _task(version, "unblock", now), [_result(version, Status.PASSED, message)], now=now)


def _is_recorded(connection: Connection, version: ModelVersionRow) -> bool:
    """Whether there is such a check: a version that was rolled back for another incident has none of its own."""
    of = (check.c.dataset == name_model(version.model)) & (check.c.tool == TOOL) & (check.c.name == ROLLED_BACK)
    return connection.execute(select(check.c.id).where(of)).first() is not None


def _task(version: ModelVersionRow, doing: str, now: datetime) -> TaskTry:
    return TaskTry(version.dag_id, f"{doing}__{now.isoformat()}", BY_HAND)


def _result(version: ModelVersionRow, status: Status, message: str) -> CheckResult:
    return CheckResult(
        TOOL, name_model(version.model), version.partition_key, ROLLED_BACK, None, Severity.CRITICAL, status, message,
        observed=version.number,
    )  # fmt: skip
