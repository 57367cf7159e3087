"""What the inbox is read by: on SQLite, which keeps no statistics, always an index and never a sort of all rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.queries import SORTS, list_facets, list_incidents
from headrace.ledger.views import IncidentFilter

ALL = ("open", "acknowledged", "snoozed", "resolved")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@contextmanager
def _plans(ledger: Ledger) -> Iterator[list[str]]:
    """Collect the plan of every statement that is executed."""
    found: list[str] = []
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        statements.append((statement, parameters))

    event.listen(ledger.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(ledger.engine, "before_cursor_execute", note)
    with ledger.connect() as connection:
        for statement, parameters in statements:
            if statement.lstrip().startswith(("SELECT", "WITH")):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                found += [row[-1] for row in plan]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "wanted",
    [
        IncidentFilter(),
        IncidentFilter(states=ALL),
        IncidentFilter(states=ALL, consequences=True, tools=("gx",)),
        IncidentFilter(states=ALL, severities=("critical",), dag_ids=["a", "b"]),
    ],
)
def test_a_page_is_read_in_order_from_an_index_that_holds_all_of_it(
    sqlite: Ledger, sort: str, wanted: IncidentFilter
) -> None:
    with _plans(sqlite) as plans:
        list_incidents(sqlite, wanted, sort=sort)
    read = [plan for plan in plans if "incident " in f"{plan} " and "cause" not in plan]
    assert read
    assert all("COVERING INDEX ix_incident_" in plan for plan in read)
    assert not [plan for plan in plans if "TEMP B-TREE" in plan]


def test_words_are_looked_for_in_an_index(sqlite: Ledger) -> None:
    with _plans(sqlite) as plans:
        list_incidents(sqlite, IncidentFilter(states=ALL, text="mph"))
    assert [plan for plan in plans if "COVERING INDEX ix_incident_searched (state=?)" in plan]
    assert not [plan for plan in plans if plan.startswith("SCAN incident")]


@pytest.mark.parametrize("wanted", [IncidentFilter(datasets=("a", "b")), IncidentFilter(partition_key="2013-02")])
def test_few_matches_are_looked_up(sqlite: Ledger, wanted: IncidentFilter) -> None:
    with _plans(sqlite) as plans:
        list_incidents(sqlite, wanted)
    assert not [plan for plan in plans if plan.startswith("SCAN incident")]


def test_facets_jump_from_value_to_value(sqlite: Ledger) -> None:
    with _plans(sqlite) as plans:
        list_facets(sqlite)
    read = [plan for plan in plans if "incident" in plan]
    assert read
    assert all("COVERING INDEX" in plan for plan in read)
