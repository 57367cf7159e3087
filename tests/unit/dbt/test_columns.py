"""Columns traced through compiled SQL."""

import pytest

from headrace.dbt.columns import ColumnTrace, trace_columns

SCHEMA = {"raw.flights": {"id": "bigint", "origin": "varchar", "delay": "int"}, "raw.weather": {"origin": "varchar", "wind": "int"}}  # fmt: skip  # noqa: E501


def trace(sql: str) -> ColumnTrace:
    found = trace_columns(sql, SCHEMA)
    assert found.problem is None, found.problem
    return found


def direct(found: ColumnTrace, column: str) -> set[str]:
    edges = [edge for edge in found.edges if (edge.name, edge.how) == (column, "direct")]
    return {f"{edge.from_relation}.{edge.from_name}" for edge in edges}


def deciding(found: ColumnTrace) -> set[str]:
    return {f"{edge.from_relation}.{edge.from_name}" for edge in found.edges if edge.how == "indirect"}


def test_through_common_tables_stars_and_other_names() -> None:
    found = trace(
        'with f as (select *, delay > 15 as late from "db"."raw"."flights") '
        "select f.id as flight, f.late, w.wind * 2 as gust from f join raw.weather w using (origin) where f.delay >= 0"
    )
    assert found.columns == ("flight", "late", "gust")
    assert direct(found, "flight") == {"raw.flights.id"}
    assert direct(found, "late") == {"raw.flights.delay"}
    assert direct(found, "gust") == {"raw.weather.wind"}
    assert deciding(found) >= {"raw.flights.delay", "raw.weather.origin", "raw.flights.origin"}


def test_both_sides_of_a_union_and_a_subquery() -> None:
    found = trace(
        "select origin, delay as n from raw.flights union all select origin, (select max(wind) from raw.weather) "
        "from raw.weather"
    )
    assert direct(found, "origin") == {"raw.flights.origin", "raw.weather.origin"}
    assert direct(found, "n") == {"raw.flights.delay", "raw.weather.wind"}


def test_a_table_beside_the_project_hinders_nothing() -> None:
    found = trace(
        "select id, delay from raw.flights where origin not in (select place from tower.closed where relation = 'x')"
    )
    assert direct(found, "delay") == {"raw.flights.delay"}
    assert deciding(found) == {"raw.flights.origin", "tower.closed.place", "tower.closed.relation"}


def test_an_asof_join_of_duckdb() -> None:
    found = trace(
        "select f.id, w.wind from raw.flights f asof left join raw.weather w on f.origin = w.origin and f.id >= w.wind"
    )
    assert direct(found, "wind") == {"raw.weather.wind"}


@pytest.mark.parametrize(
    ("other", "changed", "rows"),
    [
        ("select id, delay /* words */ from raw.flights -- more\n where delay > 0", set(), False),
        ("SELECT id,\n  delay\nFROM raw.flights WHERE delay>0", set(), False),
        ("select id, delay + 1 as delay from raw.flights where delay > 0", {"delay"}, False),
        ("select id, delay from raw.flights where delay > 1", set(), True),
        ("with f as (select id, abs(delay) as delay from raw.flights) select id, delay from f", {"delay", "id"}, True),
        ("select distinct id, delay from raw.flights where delay > 0", set(), True),
    ],
)
def test_what_another_text_changes(other: str, changed: set[str], rows: bool) -> None:
    one, two = trace("select id, delay from raw.flights where delay > 0"), trace(other)
    assert {name for name in one.columns if one.expressions[name] != two.expressions[name]} >= changed - {"id"}
    assert (one.rows != two.rows) is rows
    if not changed and not rows:
        assert one == two


@pytest.mark.parametrize("sql", ["select * from somewhere.else_", "insert into x values (1)", "selec oops", "", "select a.nope from raw.flights a"])  # fmt: skip  # noqa: E501
def test_what_cannot_be_traced_says_why(sql: str) -> None:
    found = trace_columns(sql, SCHEMA)
    assert found.problem
    assert (found.columns, found.edges) == ((), frozenset())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("select a from s.t union select b from s.t", "select a from s.t union all select b from s.t"),
        ("select a from s.t except select b from s.t", "select a from s.t intersect select b from s.t"),
        ("select a from s.t order by a limit 5", "select a from s.t order by b limit 5"),
        ("select a from s.t limit 5 offset 1", "select a from s.t limit 5 offset 2"),
        ("select a from s.t using sample 10%", "select a from s.t using sample 20%"),
        ("select distinct on (a) a, b from s.t order by b", "select distinct on (a) a, b from s.t order by b desc"),
        ("select distinct a from s.t", "select a from s.t"),
        (
            "with x as (select a from s.t where a > 1), y as (select a from s.t where a > 2) "
            "select x.a from x join y on x.a = y.a + 1",
            "with x as (select a from s.t where a > 2), y as (select a from s.t where a > 1) "
            "select x.a from x join y on x.a = y.a + 1",
        ),
    ],
)
def test_whatever_decides_the_rows_is_seen_to_change(before: str, after: str) -> None:
    one, other = (trace_columns(sql, {"s.t": {"a": "int", "b": "int"}}, "duckdb") for sql in (before, after))
    assert (one.problem, other.problem) == (None, None)
    assert one.rows != other.rows


def test_another_named_window_is_another_column() -> None:
    sql = "select a, sum(b) over w as total from s.t window w as (order by {})"
    one, other = (trace_columns(sql.format(by), {"s.t": {"a": "int", "b": "int"}}, "duckdb") for by in "ab")
    assert one.problem is None
    assert one.expressions["total"] != other.expressions["total"]


@pytest.mark.parametrize(
    "after",
    [
        "SELECT a,\n  -- a comment\n  b + 1 AS c FROM s.t WHERE a > 1\n",
        "select a, b + 1 as c from s.t where a > 1 order by a",
        "select t.a, t.b + 1 as c from s.t where t.a > 1",
    ],
)
def test_what_only_looks_different_is_the_same(after: str) -> None:
    before = "select a, b + 1 as c from s.t where a > 1"
    one, other = (trace_columns(sql, {"s.t": {"a": "int", "b": "int"}}, "duckdb") for sql in (before, after))
    assert one == other


def test_what_is_computed_anew_is_a_column_and_no_other_row() -> None:
    one, other = (
        trace_columns(f"select a, b + {n} as c from s.t where a > 1", {"s.t": {"a": "int", "b": "int"}}, "duckdb")
        for n in (1, 2)
    )
    assert one.rows == other.rows
    assert [name for name in one.columns if one.expressions[name] != other.expressions[name]] == ["c"]
