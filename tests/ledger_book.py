"""Short words for what is recorded in a ledger, and for what is in it then."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.ledger import schema
from headrace.ledger.database import Ledger
from headrace.ledger.recording import Recorded, record_results
from headrace.ledger.views import TaskTry

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def result(
    dataset: str = "raw_weather",
    status: str = "failed",
    *,
    check: str = "max",
    key: str | None = "2013-02",
    **more: Any,
) -> CheckResult:
    """A result of a check; critical and failed unless said otherwise."""
    words: dict[str, Any] = {
        "tool": "gx", "column": "wind_speed", "severity": "critical",
        "message": f"{key} {dataset}: {check} {status}", **more,
    }  # fmt: skip
    words["severity"] = Severity(words["severity"])
    return CheckResult(dataset=dataset, partition_key=key, check=check, status=Status(status), **words)


class Book:
    """Records one try after the other, each a minute later, and reads tables whole."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now = NOW
        self.tries = 0

    def record(
        self, *results: CheckResult, run: str | None = None, task: TaskTry | None = None, **more: Any
    ) -> Recorded:
        self.tries += 1
        self.now += timedelta(minutes=1)
        task = task or TaskTry("flights", f"run_{self.tries}", "gate")
        return record_results(self.ledger, task, results, **{"now": self.now, **more})

    def rows(self, table: str, **where: Any) -> list[Any]:
        of = schema.metadata.tables[table]
        query = select(of).order_by(*of.primary_key.columns)
        with self.ledger.connect() as connection:
            return list(connection.execute(query.filter_by(**where)))

    def incident(self, number: int = 1) -> Any:
        [row] = self.rows("incident", id=number)
        return row

    def told(self) -> list[tuple[int, str]]:
        """Incident and change of every notification, in order."""
        return [(row.incident_id, row.change) for row in self.rows("notification")]

    def happened(self, number: int = 1) -> list[str]:
        """Kinds of the lines of an incident's timeline."""
        return [row.kind for row in self.rows("incident_event", incident_id=number)]

    def states(self, number: int = 1) -> dict[str, str]:
        return {row.partition_key: row.state for row in self.rows("incident_partition", incident_id=number)}
