"""The inbox: every filter, order and page gives what a plain reading of all incidents gives."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.exceptions import ConfigurationError, InvalidCursorError
from headrace.ledger import schema
from headrace.ledger.database import Ledger
from headrace.ledger.queries import SORTS, list_facets, list_incidents, load_overview
from headrace.ledger.search_text import build_search_text
from headrace.ledger.views import IncidentFilter

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ALL = ("open", "acknowledged", "snoozed", "resolved")
TITLES = (
    "1 of 2,010 rows above 200 mph",
    "100% of rows have no TAILNUM",
    "Öre_sund: STRASSE is missing",
    "back\\slash",
)
Row = dict[str, Any]


def _make_rows(count: int) -> list[Row]:
    """Incidents with few different times, so that the id decides often."""
    chance = random.Random(5)
    rows = []
    for id_ in range(1, count + 1):
        state, rank = chance.choice(ALL), chance.choice([0, 0, 1, 1, 2])
        title, dataset = chance.choice(TITLES), f"dataset_{chance.randrange(5)}"
        rows.append(
            {
                "id": id_, "check_id": id_, "dataset": dataset, "tool": chance.choice(["gx", "dbt"]),
                "dag_id": f"dag_{chance.randrange(3)}", "state": state, "severity_rank": rank,
                "severity": ("critical", "warning", "info")[rank], "title": title,
                "search": build_search_text(title, dataset, "expect", "speed"),
                "owner": chance.choice([None, "anna", "ben"]), "assignee": chance.choice([None, "carl"]),
                "caused_by": chance.choice([None, None, chance.randrange(1, id_)]) if id_ > 1 else None,
                "opened_at": NOW - timedelta(days=chance.randrange(4)), "first_seen": NOW - timedelta(days=9),
                "last_seen": NOW - timedelta(hours=chance.randrange(6)), "occurrences": 1, "failing_partitions": 1,
                "snoozed_until": NOW + timedelta(hours=chance.choice([-1, 0, 1])) if state == "snoozed" else None,
                "reopened": 0, "flapping": False, "passes_in_row": 0, "told": True,
                "partitions": chance.sample(["", "2013-01", "2013-02", "2013-03"], 2),
            }
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def ledger(shared_ledger: Ledger) -> Ledger:
    return shared_ledger


@pytest.fixture(scope="module")
def rows(ledger: Ledger) -> list[Row]:
    made = _make_rows(240)
    checks = [
        {"id": row["id"], "digest": f"{row['id']:064}", "dataset": row["dataset"], "tool": row["tool"]} for row in made
    ]
    partitions = [
        {"incident_id": row["id"], "partition_key": key, "state": "failing", "failures": 1}
        for row in made
        for key in row["partitions"]
    ]
    with ledger.begin() as connection:
        connection.execute(
            schema.check.insert(), [{**check, "name": "expect", "column": "speed", "meta": {}} for check in checks]
        )
        own = [{name: value for name, value in row.items() if name != "partitions"} for row in made]
        connection.execute(schema.incident.insert(), own)
        seen = {"first_seen": NOW, "last_seen": NOW}
        connection.execute(schema.incident_partition.insert(), [{**partition, **seen} for partition in partitions])
    return made


def _effective(row: Row) -> str:
    ran_out = row["state"] == "snoozed" and row["snoozed_until"] <= NOW
    return "open" if ran_out else str(row["state"])


def _matches(row: Row, wanted: IncidentFilter, by_id: dict[int, Row]) -> bool:
    cause = by_id.get(row["caused_by"])
    return (
        (not wanted.severities or row["severity"] in wanted.severities)
        and (not wanted.owners or row["owner"] in wanted.owners)
        and (not wanted.datasets or row["dataset"] in wanted.datasets)
        and (not wanted.tools or row["tool"] in wanted.tools)
        and (not wanted.assignees or row["assignee"] in wanted.assignees)
        and (wanted.partition_key is None or wanted.partition_key in row["partitions"])
        and (wanted.dag_ids is None or row["dag_id"] in wanted.dag_ids)
        and all(
            word.casefold() in f"{row['title']} {row['dataset']} expect speed".casefold()
            for word in wanted.text.split()
        )
        and (
            wanted.consequences
            or cause is None
            or cause["state"] == "resolved"
            or (wanted.dag_ids is not None and cause["dag_id"] not in wanted.dag_ids)
        )
    )


KEYS: dict[str, Callable[[Row], Any]] = {
    "severity": lambda row: (row["severity_rank"], -row["last_seen"].timestamp(), -row["id"]),
    "newest": lambda row: (-row["last_seen"].timestamp(), -row["id"]),
    "oldest": lambda row: (row["opened_at"], row["id"]),
}
FILTERS = {
    "default": IncidentFilter(),
    "every state": IncidentFilter(states=()),
    "with consequences": IncidentFilter(states=ALL, consequences=True),
    "open": IncidentFilter(states=("open",)),
    "snoozed": IncidentFilter(states=("snoozed",)),
    "open and snoozed": IncidentFilter(states=("snoozed", "open"), consequences=True),
    "resolved and snoozed": IncidentFilter(states=("resolved", "snoozed")),
    "severities": IncidentFilter(states=ALL, severities=("info", "critical")),
    "no such severity": IncidentFilter(severities=("dreadful",)),
    "no such state": IncidentFilter(states=("lost",)),
    "owners": IncidentFilter(states=ALL, owners=("anna",)),
    "datasets": IncidentFilter(states=ALL, datasets=("dataset_1", "dataset_3")),
    "tools and assignees": IncidentFilter(states=ALL, tools=("dbt",), assignees=("carl",)),
    "partition": IncidentFilter(states=ALL, partition_key="2013-02"),
    "whole dataset": IncidentFilter(partition_key=""),
    "DAGs": IncidentFilter(states=ALL, dag_ids=["dag_0", "dag_2"]),
    "DAGs and what is open": IncidentFilter(states=("open",), dag_ids=["dag_1"]),
    "no DAG": IncidentFilter(states=ALL, dag_ids=[]),
    "a percent sign": IncidentFilter(states=ALL, text="100%"),
    "a wildcard that is none": IncidentFilter(states=ALL, text="1%0"),
    "an underscore": IncidentFilter(states=ALL, text="e_sund"),
    "an underscore that is none": IncidentFilter(states=ALL, text="b_ck"),
    "a backslash": IncidentFilter(states=ALL, text="back\\sl"),
    "a slash": IncidentFilter(states=ALL, text="a/b"),
    "folded": IncidentFilter(states=ALL, text="ÖRE_SUND straße"),
    "words": IncidentFilter(states=ALL, text="ROWS dataset_2"),
    "words of a dataset and a DAG": IncidentFilter(states=ALL, text="mph", datasets=("dataset_1",), dag_ids=["dag_1"]),
    "SQL": IncidentFilter(states=ALL, text="' OR 1=1 --", owners=("'; DROP TABLE incident",)),
}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", FILTERS)
def test_pages_hold_what_matches_in_order(ledger: Ledger, rows: list[Row], name: str, sort: str) -> None:
    wanted = FILTERS[name]
    by_id = {row["id"]: row for row in rows}
    matching = [row for row in rows if _matches(row, wanted, by_id)]
    listed = sorted((row for row in matching if _effective(row) in (wanted.states or ALL)), key=KEYS[sort])

    found, cursor, pages = [], None, 0
    while True:
        page = list_incidents(ledger, wanted, sort=sort, limit=29, cursor=cursor, now=NOW)
        found += page.rows
        cursor, pages = page.next, pages + 1
        assert page.total == len(listed)
        assert page.counts == {state: sum(_effective(row) == state for row in matching) for state in ALL}
        if cursor is None:
            break
    assert [row.id for row in found] == [row["id"] for row in listed]
    assert [row.state for row in found] == [_effective(row) for row in listed]
    assert pages == max(-(-len(listed) // 29), 1)


def test_the_filters_of_this_test_tell_incidents_apart(rows: list[Row]) -> None:
    by_id = {row["id"]: row for row in rows}
    sizes = {name: sum(_matches(row, wanted, by_id) for row in rows) for name, wanted in FILTERS.items()}
    empty = {name for name, size in sizes.items() if size == 0}
    assert empty == {
        "no such severity", "no DAG", "a wildcard that is none", "an underscore that is none", "a slash", "SQL",
    }  # fmt: skip


def test_counting_stops_and_the_total_is_not_guessed(
    ledger: Ledger, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.ledger.query_incidents.COUNTED", 20)
    for wanted in (FILTERS["every state"], IncidentFilter(states=ALL, text="rows"), FILTERS["partition"]):
        page = list_incidents(ledger, wanted, now=NOW)
        assert page.total is None
        assert max(page.counts.values()) == 21
        assert len(page.rows) == 50


def test_many_matches_of_a_word_are_paged_in_order(
    ledger: Ledger, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = list_incidents(ledger, FILTERS["words"], now=NOW)
    monkeypatch.setattr("headrace.ledger.query_incidents._FEW", 1)
    assert list_incidents(ledger, FILTERS["words"], now=NOW) == few
    assert len(few.rows) > 1


def test_a_line_says_how_many_consequences_want_somebody(ledger: Ledger, rows: list[Row]) -> None:
    page = list_incidents(ledger, FILTERS["with consequences"], limit=200, now=NOW)
    for line in page.rows:
        caused = [row for row in rows if row["caused_by"] == line.id and row["state"] != "resolved"]
        assert line.consequences == len(caused)
    assert any(line.consequences for line in page.rows)


def test_a_new_incident_does_not_move_the_pages_behind_it(ledger: Ledger, rows: list[Row]) -> None:
    first = list_incidents(ledger, FILTERS["every state"], sort="newest", limit=10, now=NOW)
    with ledger.begin() as connection:
        connection.execute(schema.incident.update().where(schema.incident.c.id == first.rows[0].id), {"last_seen": NOW})
    second = list_incidents(ledger, FILTERS["every state"], sort="newest", limit=10, cursor=first.next, now=NOW)
    assert not {row.id for row in first.rows} & {row.id for row in second.rows}


@pytest.mark.parametrize("cursor", ["x", "!!!", "W10", "A" * 300, "é"])
def test_a_cursor_that_is_none_is_refused_in_words(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(InvalidCursorError, match="begin again without one"):
        list_incidents(ledger, IncidentFilter(), cursor=cursor)


def test_a_cursor_of_another_order_is_refused(ledger: Ledger, rows: list[Row]) -> None:
    cursor = list_incidents(ledger, IncidentFilter(), sort="newest", limit=5, now=NOW).next
    with pytest.raises(InvalidCursorError, match="sorted by 'newest', not by 'oldest'"):
        list_incidents(ledger, IncidentFilter(), sort="oldest", cursor=cursor)


def test_an_unknown_order_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="use one of severity, newest, oldest"):
        list_incidents(ledger, IncidentFilter(), sort="id; DROP TABLE incident")


def test_facets_are_what_occurs(ledger: Ledger, rows: list[Row]) -> None:
    assert list_facets(ledger) == {
        "owners": ["anna", "ben"],
        "datasets": [f"dataset_{number}" for number in range(5)],
        "tools": ["dbt", "gx"],
        "assignees": ["carl"],
    }
    assert list_facets(ledger, dag_ids=[])["datasets"] == []
    mine = list_facets(ledger, dag_ids=["dag_1"])
    assert mine["datasets"] == sorted({row["dataset"] for row in rows if row["dag_id"] == "dag_1"})
    assert mine["owners"] == ["anna", "ben"]


@pytest.mark.parametrize("dag_ids", [None, ["dag_1"], []])
def test_the_overview_counts_what_the_list_lists(
    ledger: Ledger, rows: list[Row], dag_ids: Sequence[str] | None
) -> None:
    overview = load_overview(ledger, dag_ids=dag_ids, now=NOW)
    page = list_incidents(ledger, IncidentFilter(states=("open",), dag_ids=dag_ids), sort="oldest", now=NOW)
    assert overview.counts == page.counts
    assert sum(overview.severities.values()) == page.total
    assert overview.oldest_open == ((page.rows[0].id, page.rows[0].opened_at) if page.rows else None)
