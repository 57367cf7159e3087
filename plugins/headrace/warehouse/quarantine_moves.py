"""The statements by which rows are set aside and put back, each in the caller's transaction; orchestration interpreter.

Two temporary tables carry the plan: which rows fail which check, and which rows are to be aside afterwards. A row is
named by its place in its table (``row``) or, where it is set aside already, by its id (``held``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.exceptions import QuarantineError
from headrace.quality.identifiers import quote_identifier, quote_known_name
from headrace.warehouse.quarantine_tables import HELD_TAG, OWN_COLUMNS, ROW_TAG, Mover, RowState, count

if TYPE_CHECKING:
    import duckdb

    from headrace.warehouse.quarantine import Release

FAILING = "temp.headrace_failing"
ASIDE = "temp.headrace_aside"


def create_tables(connection: "duckdb.DuckDBPyConnection") -> None:
    connection.execute(
        f"create or replace temp table {FAILING.removeprefix('temp.')} "
        "(number integer, row bigint, held varchar, excuse varchar)"
    )
    connection.execute(
        f"create or replace temp table {ASIDE.removeprefix('temp.')} (number integer, row bigint, held varchar)"
    )


def collect_failing(
    connection: "duckdb.DuckDBPyConnection", number: int, query: str, keys: Sequence[str], tagged: str
) -> int:
    """Note the rows that fail a check, and return how many the query gave."""
    if not keys:
        connection.execute(
            f'insert into {FAILING} select {number}, "{ROW_TAG}", "{HELD_TAG}", null from ({query}) as failing'
        )
        return count(connection, f"select count(*) from {FAILING} where number = {number}")
    names = ", ".join(map(quote_identifier, keys))
    same = " and ".join(f"rows.{name} is not distinct from failing.{name}" for name in map(quote_identifier, keys))
    connection.execute(
        f'insert into {FAILING} select {number}, rows."{ROW_TAG}", rows."{HELD_TAG}", null from ({tagged}) as rows '
        f"where exists (select 1 from (select distinct {names} from ({query})) as failing where {same})"
    )
    return count(connection, f"select count(*) from ({query})")


def note_releases(
    connection: "duckdb.DuckDBPyConnection", mirror: str, where: str, releases: "Sequence[Release]"
) -> None:
    """Write into the mirror what people released: rows that are aside are put back with the rest.

    Rows whose partition was landed again from the same file meanwhile are in their table already: the word counts for
    them too.
    """
    same = "_dag_id = ? and _run_id = ? and _check = ?"
    for each in releases:
        rows = f"{where} and {same}"
        values: list[object] = [each.by.dag_id, each.by.run_id, each.check]
        if each.row_ids is not None:
            rows, values = f"{rows} and list_contains(?, _row_id)", [*values, list(each.row_ids)]
        connection.execute(
            f"update {FAILING} set excuse = ? where held in (select _row_id from {mirror} where {rows})",
            [f"{each.actor}: {each.reason}", *values],
        )
        connection.execute(
            f"update {mirror} set _actor = ?, _actor_reason = ?, _changed_at = now(), _state = case _state "
            f"when '{RowState.SUPERSEDED.value}' then '{RowState.RELEASED.value}' else _state end "
            f"where {rows} and _state in ('{RowState.HELD.value}', '{RowState.SUPERSEDED.value}')",
            [each.actor, each.reason, *values],
        )


def recognise_released(
    connection: "duckdb.DuckDBPyConnection",
    mirror: str,
    where: str,
    relation: str,
    content: Sequence[str],
    checks: Sequence[str],
) -> None:
    """Excuse failing rows of the table that are, value by value, rows which somebody released for that very check."""
    same = " and ".join(f"rows.{name} is not distinct from released.{name}" for name in map(quote_known_name, content))
    for number, check in enumerate(checks):
        connection.execute(
            f"update {FAILING} set excuse = found.excuse from ("
            "select rows.rowid as place, min(released._actor || ': ' || released._actor_reason) as excuse "
            f"from {relation} as rows join (select * from {mirror} where {where} and _state = ? "
            f"and list_contains(_checks, ?)) as released on {same} "
            f"where rows.rowid in (select row from {FAILING} where number = ?) group by 1) as found "
            f"where {FAILING.removeprefix('temp.')}.number = ? and {FAILING.removeprefix('temp.')}.row = found.place",
            [RowState.RELEASED.value, check, number, number],
        )


def count_released(connection: "duckdb.DuckDBPyConnection", number: int) -> Mapping[str, int]:
    rows = connection.execute(
        f"select excuse, count(*) from {FAILING} where number = ? and excuse is not null group by 1 order by 1",
        [number],
    ).fetchall()
    released = {str(excuse): int(rows_of) for excuse, rows_of in rows}
    excused = count(connection, f"select count(excuse) from {FAILING} where number = ?", [number])
    if sum(released.values()) != excused:
        raise QuarantineError(f"{excused:,} rows are released and {sum(released.values()):,} were listed: run it again")
    return released


def want_aside(connection: "duckdb.DuckDBPyConnection", number: int) -> None:
    """Plan the rows of one check that nobody released; those planned already are booked under the earlier check."""
    connection.execute(
        f"insert into {ASIDE} select number, row, held from {FAILING} "
        "where number = ? and excuse is null "
        f"and not exists (select 1 from {ASIDE} as planned where planned.row is not distinct from "
        f"{FAILING.removeprefix('temp.')}.row and planned.held is not distinct from "
        f"{FAILING.removeprefix('temp.')}.held)",
        [number],
    )


def want_nothing_aside(connection: "duckdb.DuckDBPyConnection") -> None:
    """Plan that no row of the checks is aside."""
    connection.execute(f"delete from {ASIDE}")


def want_what_is_not_ours(
    connection: "duckdb.DuckDBPyConnection",
    mirror: str,
    held_where: str,
    datasets: Sequence[str],
    unknown: Sequence[str],
) -> None:
    """Leave aside what other suites set aside, and what a check set aside that could not be evaluated now."""
    connection.execute(
        f"insert into {ASIDE} select null, null, _row_id from {mirror} where {held_where} and _actor is null "
        "and (not list_contains(?, _dataset) or list_has_any(?::varchar[], _checks)) "
        f"and _row_id not in (select held from {ASIDE} where held is not null)",
        [list(datasets), list(unknown)],
    )


def put_back(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    mirror: str,
    held_where: str,
    columns: Mapping[str, str],
) -> None:
    """Put back every row that is aside and not planned to be."""
    names = ", ".join(map(quote_known_name, columns))
    back = f"{held_where} and _row_id not in (select held from {ASIDE} where held is not null)"
    connection.execute(f"insert into {relation} ({names}) select {names} from {mirror} where {back}")
    connection.execute(
        f"update {mirror} set _changed_at = now(), "
        f"_state = case when _actor is null then '{RowState.RETURNED.value}' else '{RowState.RELEASED.value}' end "
        f"where {back}"
    )


def set_aside(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    mirror: str,
    columns: Mapping[str, str],
    checks: Sequence[tuple[str, str, str]],
    partition_key: str,
    by: Mover,
) -> None:
    """Move the rows that are planned to be aside and are not; each notes every check that set it aside."""
    names = ", ".join(map(quote_known_name, columns))
    values = ", ".join(f"rows.{quote_known_name(name)}" for name in columns)
    own = ", ".join(OWN_COLUMNS)
    connection.execute(
        "create or replace temp table headrace_checks (number integer, dataset varchar, digest varchar, reason varchar)"
    )
    if checks:
        connection.executemany(
            "insert into temp.headrace_checks values (?, ?, ?, ?)",
            [[number, *check] for number, check in enumerate(checks)],
        )
    connection.execute(
        # a bit for each check: a million ordered lists would take a quarter of a minute
        "create or replace temp table headrace_notes as select row, bit_or(1::hugeint << number) as checks "
        f"from {FAILING} where row is not null and excuse is null group by 1"
    )
    connection.execute(
        "create or replace temp table headrace_reasons as select notes.checks, "
        "list(each.digest order by each.number) as digests, "
        "string_agg(each.reason, '; ' order by each.number) as reason "
        "from (select distinct checks from temp.headrace_notes) as notes join temp.headrace_checks as each "
        "on (notes.checks >> each.number) & 1 = 1 group by 1"
    )
    connection.execute(
        f"insert into {mirror} ({names}, {own}) select {values}, "
        "uuid()::varchar, checks.dataset, ?, ?, ?, ?, ?, ?, checks.digest, reasons.digests, reasons.reason, now(), "
        f"'{RowState.HELD.value}', now(), null, null "
        f"from {relation} as rows join {ASIDE} as aside on rows.rowid = aside.row "
        "join temp.headrace_checks as checks using (number) join temp.headrace_notes as notes on notes.row = aside.row "
        "join temp.headrace_reasons as reasons on reasons.checks = notes.checks",
        [partition_key, *by],
    )
    connection.execute(
        f"update {mirror} set _checks = list_distinct(list_concat(_checks, failed.digests)) from ("
        f"select failing.held, list(checks.digest) as digests from {FAILING} as failing "
        "join temp.headrace_checks as checks using (number) where failing.held is not null group by 1) as failed "
        "where _row_id = failed.held and not list_has_all(_checks, failed.digests)"
    )
    connection.execute(f"delete from {relation} where rowid in (select row from {ASIDE} where row is not null)")
