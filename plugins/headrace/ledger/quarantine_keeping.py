"""By which try and check rows were set aside: how the warehouse knows a set; orchestration interpreter."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from headrace.ledger.database import Ledger
from headrace.ledger.results import EARLIER_RUN
from headrace.ledger.schema import attempt, check, quarantine
from headrace.ledger.statements import chunk, read_on
from headrace.ledger.views import TaskTry

SetKey = tuple[TaskTry, str]
"""By which try, and the digest of which check, rows were set aside."""


def load_set_keys(ledger: Ledger | Connection, quarantine_ids: Collection[int]) -> dict[int, SetKey]:
    """Return by which try and which check some sets were set aside."""
    found: dict[int, SetKey] = {}
    a = attempt.c
    query = (
        select(quarantine.c.id, check.c.digest, a.dag_id, a.run_id, a.task_id, a.map_index, a.try_number)
        .join(check, check.c.id == quarantine.c.check_id)
        .join(attempt, a.id == quarantine.c.attempt_id)
    )
    with read_on(ledger) as connection:
        for some in chunk(sorted(quarantine_ids)):
            for row in connection.execute(query.where(quarantine.c.id.in_(some))):
                run_id = str(row.run_id).partition(EARLIER_RUN)[0]  # the warehouse knows no other name of it
                task = TaskTry(row.dag_id, run_id, row.task_id, row.map_index, row.try_number)
                found[int(row.id)] = task, str(row.digest)
    return found
