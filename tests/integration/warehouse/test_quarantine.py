"""Rows set aside and put back: exact, all or nothing, and the same again when it is done again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.exceptions import ConfigurationError, QuarantineError
from headrace.warehouse import quarantine_moves
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.quarantine import Plan, Release, RowSelection, list_held, place_rows, supersede_rows
from headrace.warehouse.quarantine_tables import Mover, select_partition

RUN = Mover("dag", "run", "check")
TABLE = """
create schema field;
create table field.notes (
    id integer, mass double, price decimal(9, 2), seen timestamptz, tags varchar[],
    place struct(x integer, "y z" varchar),
    raw blob, "a <b> ""c"" d" varchar, partition_key varchar
);
insert into field.notes values
    (1, 1.5, 1.10, '2007-01-01 00:00:00+00', ['a'], {'x': 1, 'y z': 'é'}, 'ab\\x00'::blob, 'x', '2007'),
    (2, 'nan', null, null, null, null, null, 'long ' || repeat('x', 100000), '2007'),
    (null, 'infinity', 2.20, null, [], {'x': null, 'y z': null}, null, null, '2007'),
    (null, 'infinity', 2.20, null, [], {'x': null, 'y z': null}, null, null, '2007'),
    (3, 900, 3, null, null, null, null, null, '2007'),
    (4, 900, 4, null, null, null, null, null, '2008');
"""


@pytest.fixture(params=["w.duckdb", "headrace_quarantine.duckdb"])
def warehouse(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / request.param
    with open_warehouse(path) as connection:
        connection.execute(TABLE)
    return path


def select(warehouse: Path, condition: str, check: str = "A", limit: float = 1.0, **changes: Any) -> RowSelection:
    with open_warehouse(warehouse, read_only=True) as connection:
        rows = select_partition(connection, "field.notes", "partition_key", "2007", tagged=True)
        query = f"select _headrace_row, _headrace_held from ({rows.query}) where {condition}"
        found = connection.execute(f"select count(*) from ({query})").fetchall()[0][0]
    values = {
        "check": check,
        "suite": "notes",
        "dataset": "notes",
        "query": query,
        "keys": (),
        "rows": found,
        "limit": limit,
    }
    return RowSelection(**{**values, "reason": f"against {check}", **changes})


def plan(*selections: RowSelection, **changes: Any) -> Plan:
    values = {"datasets": frozenset({"notes"}), "suites": frozenset({"notes"}), "selections": selections}
    return Plan("field.notes", "partition_key", "2007", **{**values, **changes})


def content(warehouse: Path) -> list[str]:
    with open_warehouse(warehouse, read_only=True) as connection:
        rows = connection.execute("select md5(n::varchar) from field.notes n order by 1").fetchall()
    return [digest for (digest,) in rows]


def read(warehouse: Path, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(warehouse, read_only=True) as connection:
        mirror = f'"{warehouse.stem}".headrace_quarantine."field.notes"'
        return connection.execute(query.replace("MIRROR", mirror)).fetchall()


@pytest.fixture
def ids(warehouse: Path) -> Iterator[Any]:
    return lambda: [id for (id,) in read(warehouse, "select id from field.notes order by id nulls last")]


def test_rows_come_back_as_they_were(warehouse: Path, ids: Any) -> None:
    before = content(warehouse)
    placed = place_rows(warehouse, [plan(select(warehouse, "mass > 200"))], by=RUN)
    assert (placed.checks["A"].failed, placed.checks["A"].set_aside, placed.checks["A"].total) == (4, 4, 5)
    assert ids() == [1, 4], "NaN and infinity, null keys and equal rows, and nothing of another partition"
    assert [each.rows for each in placed.held] == [4]
    assert [each.sample.keys() for each in list_held(warehouse, [plan()])] == [placed.held[0].sample.keys()]
    booked = "select distinct _dataset, _partition_key, _run_id, _check, _reason, _state from MIRROR"
    assert read(warehouse, booked) == [("notes", "2007", "run", "A", "against A", "held")]
    assert place_rows(warehouse, [plan()], by=RUN).held == ()
    assert content(warehouse) == before


def test_a_row_that_fails_two_checks_is_moved_once_and_says_both(warehouse: Path) -> None:
    both = plan(select(warehouse, "mass > 200"), select(warehouse, "id is null", "B"))
    placed = place_rows(warehouse, [both], by=RUN)
    assert {check: each.set_aside for check, each in placed.checks.items()} == {"A": 4, "B": 2}
    assert [(each.check, each.rows) for each in placed.held] == [("A", 4)]
    rows = read(warehouse, "select _checks, _reason, count(*) from MIRROR group by all order by 3, 1")
    assert sorted(rows) == [(["A"], "against A", 2), (["A", "B"], "against A; against B", 2)]


def test_a_query_without_tags_names_rows_by_their_key(warehouse: Path, ids: Any) -> None:
    keyed = select(warehouse, "true", query="select id from field.notes where mass > 200 and id is null", keys=("id",))
    place_rows(warehouse, [plan(keyed)], by=RUN)
    assert ids() == [1, 2, 3, 4], "rows of a null key are found by it"


@pytest.mark.parametrize("limit", [0.0, 0.79])
def test_above_the_limit_nothing_moves_and_what_was_aside_comes_back(warehouse: Path, ids: Any, limit: float) -> None:
    place_rows(warehouse, [plan(select(warehouse, "mass > 200"))], by=RUN)
    placed = place_rows(warehouse, [plan(select(warehouse, "mass > 200", limit=limit))], by=RUN)
    assert placed.checks["A"].over_limit
    assert placed.checks["A"].share == 0.8
    assert placed.held == ()
    assert ids() == [1, 2, 3, 4, None, None]


def test_all_checks_together_stay_under_the_largest_limit(warehouse: Path, ids: Any) -> None:
    first, second = select(warehouse, "id = 1", "A", 0.3), select(warehouse, "id = 2", "B", 0.2)
    alone = place_rows(warehouse, [plan(first)], by=RUN)
    assert alone.checks["A"].set_aside == 1
    # the second row of five is within its own limit, and with the first one 40 % are aside
    placed = place_rows(warehouse, [plan(select(warehouse, "id = 1", "A", 0.3), second)], by=RUN)
    assert [(each.set_aside, each.together, each.limit) for each in placed.checks.values()] == [(0, 2, 0.3)] * 2
    assert all(each.over_limit for each in placed.checks.values())
    assert placed.held == ()
    assert ids() == [1, 2, 3, 4, None, None], "what was aside came back"


def test_a_row_that_fails_two_checks_counts_once_against_their_limit(warehouse: Path) -> None:
    both = [select(warehouse, "id = 1", name, 0.2) for name in "AB"]
    placed = place_rows(warehouse, [plan(*both)], by=RUN)
    assert [each.together for each in placed.checks.values()] == [None, None]
    assert sum(each.rows for each in placed.held) == 1


def test_a_check_that_cannot_be_evaluated_keeps_its_rows_aside(warehouse: Path, ids: Any) -> None:
    place_rows(warehouse, [plan(select(warehouse, "mass > 200"))], by=RUN)
    place_rows(warehouse, [plan(unknown=frozenset({"A"}))], by=RUN)
    place_rows(warehouse, [plan(suites=frozenset({"others"}), others=frozenset({"notes"}))], by=RUN)
    assert ids() == [1, 4], "nor does another suite on the table put them back"


def test_a_release_is_for_these_rows_and_for_this_check(warehouse: Path, ids: Any) -> None:
    marked = [select(warehouse, "mass > 200"), select(warehouse, "price > 2.5", "B")]
    placed = place_rows(warehouse, [plan(*marked)], by=RUN)
    three = next(row_id for row_id, row in placed.held[0].sample.items() if row["id"] == 3)
    marked = [select(warehouse, "mass > 200"), select(warehouse, "price > 2.5", "B")]
    word = Release(RUN, "A", (three,), "anna", "weighed twice")
    placed = place_rows(warehouse, [plan(*marked)], by=RUN, releases=[word])
    assert placed.checks["A"].released == {"anna: weighed twice": 1}
    assert placed.checks["B"].released == {"anna: weighed twice": 1}
    assert ids() == [1, 3, 4]
    marked = [select(warehouse, "mass > 200"), select(warehouse, "id = 3", "C")]
    placed = place_rows(warehouse, [plan(*marked)], by=RUN)
    assert placed.checks["A"].released == {"anna: weighed twice": 1}, "it holds"
    assert placed.checks["C"].set_aside == 1, "for what it was said of"
    assert ids() == [1, 4]


def test_rows_that_changed_since_they_were_checked_are_not_moved(warehouse: Path, ids: Any) -> None:
    stale = select(warehouse, "mass > 200")
    with open_warehouse(warehouse) as connection:
        connection.execute("delete from field.notes where id = 3")
    with pytest.raises(QuarantineError, match=r"4 rows of field.notes failed when they were checked and 3 fail now"):
        place_rows(warehouse, [plan(stale)], by=RUN)
    assert ids() == [1, 2, 4, None, None]


def test_a_count_that_does_not_add_up_is_rolled_back(
    warehouse: Path, ids: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks the moves, no row is lost or doubled."""

    def lose(connection: Any, *_: Any) -> int:
        connection.execute("delete from field.notes where id = 3")
        return 1

    marked = select(warehouse, "mass > 200")
    monkeypatch.setattr(quarantine_moves, "set_aside", lose)
    with pytest.raises(QuarantineError, match=r"had 5 rows and would have 4 with 0 set aside"):
        place_rows(warehouse, [plan(marked)], by=RUN)
    assert ids() == [1, 2, 3, 4, None, None]


def test_the_mirror_follows_its_table(warehouse: Path, ids: Any) -> None:
    place_rows(warehouse, [plan(select(warehouse, "mass > 200"))], by=RUN)
    with open_warehouse(warehouse) as connection:
        connection.execute("alter table field.notes add column height double; update field.notes set height = 7")
        connection.execute("alter table field.notes alter column id type bigint")
    place_rows(warehouse, [plan(select(warehouse, "id = 1", "B"))], by=RUN)
    assert ids() == [2, 3, 4, None, None]
    assert read(warehouse, "select typeof(id), height from MIRROR where _state = 'held'") == [("BIGINT", 7)]
    assert read(warehouse, "select distinct typeof(id), height from field.notes where partition_key = '2007'") == [
        ("BIGINT", None)
    ]


def test_what_cannot_be_mirrored_is_refused(warehouse: Path) -> None:
    with open_warehouse(warehouse) as connection:
        connection.execute("create view field.seen as from field.notes")
        connection.execute("create table field.odd as select 1 as _State")
        with pytest.raises(ConfigurationError, match=r"field\.seen is not a table.*materialize it as a table"):
            select_partition(connection, "field.seen", "partition_key", "2007", tagged=True)
        with pytest.raises(ConfigurationError, match=r"field\.odd has a column _State.*rename the column"):
            select_partition(connection, "field.odd", None, "", tagged=True)


def test_landing_again_supersedes(warehouse: Path, ids: Any) -> None:
    place_rows(warehouse, [plan(select(warehouse, "mass > 200"))], by=RUN)
    with open_warehouse(warehouse) as connection:
        assert supersede_rows(connection, "field.notes", "partition_key", "2008", also_released=True) == 0
        assert supersede_rows(connection, "field.notes", "partition_key", "2007", also_released=True) == 4
        assert supersede_rows(connection, "field.other", "partition_key", "2007", also_released=True) == 0
    assert list_held(warehouse, [plan()]) == ()
    place_rows(warehouse, [plan()], by=RUN)
    assert ids() == [1, 4], "they lie in the mirror and come back no more"


def test_a_million_failing_rows(tmp_path: Path) -> None:
    warehouse = tmp_path / "big.duckdb"
    with open_warehouse(warehouse) as connection:
        connection.execute(
            "create schema field; create table field.notes as select i as id, 900.0::double as mass, "
            "'2007' as partition_key from range(1000000) r(i)"
        )
    placed = place_rows(warehouse, [plan(select(warehouse, "mass > 200"))], by=RUN)
    (held,) = placed.held
    assert (held.rows, len(held.sample)) == (1_000_000, 200)
    assert read(warehouse, "select count(*) from field.notes") == [(0,)]
    place_rows(warehouse, [plan()], by=RUN)
    assert read(warehouse, "select count(*), count(distinct id) from field.notes") == [(1_000_000, 1_000_000)]
