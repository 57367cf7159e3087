"""What was set aside; orchestration interpreter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, select

from headrace.exceptions import UnknownQuarantineError
from headrace.ledger.query_results import TRY, build_try
from headrace.ledger.schema import attempt, check, incident, quarantine, quarantined_row
from headrace.ledger.views import QuarantineRow

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger

_OWN = (
    "id", "dataset", "relation", "partition_key", "rows", "total_rows", "reason", "state", "at", "changed_at", "actor",
    "actor_reason",
)  # fmt: skip
_SHOWN_ROWS = 200


def list_quarantine(
    ledger: "Ledger",
    *,
    states: Sequence[str] = ("held", "releasing"),
    dataset: str | None = None,
    partition_key: str | None = None,
    dag_ids: Sequence[str] | None = None,
    limit: int = 100,
) -> list[QuarantineRow]:
    """Return what was set aside, newest first, without the rows; an empty ``states`` is every state."""
    statement = _select_quarantine()
    if states:
        statement = statement.where(quarantine.c.state.in_(list(states)))
    if dataset is not None:
        statement = statement.where(quarantine.c.dataset == dataset)
    if partition_key is not None:
        statement = statement.where(quarantine.c.partition_key == partition_key)
    if dag_ids is not None:
        statement = statement.where(attempt.c.dag_id.in_(list(dag_ids)))
    with ledger.connect() as connection:
        found = connection.execute(statement.order_by(quarantine.c.id.desc()).limit(limit)).mappings()
        return [_build(row) for row in found]


def load_quarantine(ledger: "Ledger", quarantine_id: int) -> QuarantineRow:
    """Load what one check of one run set aside, with its first 200 rows.

    Raises:
        UnknownQuarantineError: There is none of that number.
    """
    with ledger.connect() as connection:
        row = connection.execute(_select_quarantine().where(quarantine.c.id == quarantine_id)).mappings().first()
        if row is None:
            raise UnknownQuarantineError(
                f"the ledger holds no quarantine {quarantine_id}: see 'headrace quarantine list'", id=quarantine_id
            )
        statement = (
            select(quarantined_row.c.row_id, quarantined_row.c.state, quarantined_row.c.row)
            .where(quarantined_row.c.quarantine_id == quarantine_id)
            .order_by(quarantined_row.c.row_id)
            .limit(_SHOWN_ROWS)
        )
        return _build(row, [dict(each) for each in connection.execute(statement).mappings()])


def list_check_quarantine(connection: Connection, check_id: int, limit: int = 100) -> list[QuarantineRow]:
    """Return all that one check set aside, newest first, whatever became of it."""
    statement = _select_quarantine().where(quarantine.c.check_id == check_id)
    found = connection.execute(statement.order_by(quarantine.c.id.desc()).limit(limit)).mappings()
    return [_build(row) for row in found]


def _select_quarantine() -> Select[Any]:
    return (
        select(
            *(quarantine.c[name] for name in _OWN),
            *(attempt.c[name] for name in TRY),
            check.c.name.label("check"),
            check.c["column"].label("column"),
            incident.c.id.label("incident_id"),
        )
        .join(attempt, attempt.c.id == quarantine.c.attempt_id)
        .join(check, check.c.id == quarantine.c.check_id)
        .join(incident, incident.c.check_id == quarantine.c.check_id, isouter=True)
    )


def _build(row: Any, sample: Sequence[dict[str, Any]] = ()) -> QuarantineRow:
    own = {name: value for name, value in row.items() if name not in TRY}
    return QuarantineRow(**own, task=build_try(row), sample=sample)
