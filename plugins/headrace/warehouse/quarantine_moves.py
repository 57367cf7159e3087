"""The statements by which rows are set aside and put back, each in the caller's transaction; orchestration interpreter.

Two temporary tables carry the plan: which rows fail which check, and which rows are to be aside afterwards. A row is
named by its place in its table (``row``) or, where it is set aside already, by its id (``held``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.exceptions import QuarantineError
from headrace.quality.identifiers import quote_identifier, quote_known_name
from headrace.warehouse.quarantine_holders import GOING, STAYING
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
    connection.execute(
        "create or replace temp table headrace_released (held varchar primary key, actor varchar, reason varchar)"
    )


def collect_failing(
    connection: "duckdb.DuckDBPyConnection", number: int, query: str, keys: Sequence[str], tagged: str
) -> int:
    """Note the rows that fail a check, each once, and return how many the query gave."""
    if not keys:
        connection.execute(
            f'insert into {FAILING} select distinct {number}, "{ROW_TAG}", "{HELD_TAG}", null from ({query}) as failing'
        )
        return count(connection, f"select count(*) from ({query})")
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
    """Note what people released: rows that are aside are put back with the rest.

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
            f"insert or replace into temp.headrace_released select _row_id, ?, ? from {mirror} "
            f"where {rows} and _state = '{RowState.HELD.value}'",
            [each.actor, each.reason, *values],
        )
        connection.execute(
            f"update {mirror} set _actor = ?, _actor_reason = ?, _changed_at = now(), "
            f"_state = '{RowState.RELEASED.value}' where {rows} and _state = '{RowState.SUPERSEDED.value}'",
            [each.actor, each.reason, *values],
        )


def recall_words(connection: "duckdb.DuckDBPyConnection", mirror: str, held_where: str, checks: Sequence[str]) -> None:
    """Excuse failing rows that are aside for checks of other suites, and that were let go in this one."""
    for number, check in enumerate(checks):
        connection.execute(
            f"update {FAILING} set excuse = known.excuse from (select _row_id, "
            "list_filter(_words, lambda word: word['digest'] = ?)[1] as said, said['actor'] || ': ' || said['reason'] "
            f"as excuse from {mirror} where {held_where} and _words is not null) as known "
            f"where number = ? and held = known._row_id and known.excuse is not null",
            [check, number],
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


def put_back(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    mirror: str,
    held_where: str,
    columns: Mapping[str, str],
) -> int:
    """Put back every row that is aside and that nobody holds; return how many.

    What a person said of a row that others hold still is noted beside it.
    """
    names = ", ".join(map(quote_known_name, columns))
    back = f"{held_where} and _row_id in (select held from {GOING})"
    rows = count(connection, f"select count(*) from {mirror} where {back}")
    connection.execute(f"insert into {relation} ({names}) select {names} from {mirror} where {back}")
    connection.execute(
        f"update {mirror} set _words = list_concat(_words, list_transform(said.dropped, lambda digest: "
        "{'digest': digest, 'actor': said.actor, 'reason': said.reason})) "
        f"from (select held, staying.dropped, said.actor, said.reason from {STAYING} as staying "
        "join temp.headrace_released as said using (held)) as said "
        "where _row_id = said.held"
    )
    connection.execute(
        f"update {mirror} set _actor = said.actor, _actor_reason = said.reason "
        f"from temp.headrace_released as said where _row_id = said.held and {back}"
    )
    connection.execute(
        f"update {mirror} set _changed_at = now(), _actor = coalesce(_actor, _words[1].actor), "
        "_actor_reason = coalesce(_actor_reason, _words[1].reason), "
        "_checks = list_distinct(list_concat(_checks, list_transform(_words, lambda word: word['digest']))), "
        f"_state = case when _actor is null and _words is null then '{RowState.RETURNED.value}' "
        f"else '{RowState.RELEASED.value}' end where {back}"
    )
    return rows


def set_aside(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    mirror: str,
    columns: Mapping[str, str],
    checks: Sequence[tuple[str, str, str, str]],
    wanted: Sequence[int],
    partition_key: str,
    by: Mover,
) -> int:
    """Move the rows that are planned to be aside and are not, and return how many.

    Each notes every check that set it aside: of ``checks``, suite, dataset, digest and reason, those ``wanted``.
    """
    names = ", ".join(map(quote_known_name, columns))
    values = ", ".join(f"rows.{quote_known_name(name)}" for name in columns)
    own = ", ".join(OWN_COLUMNS)
    connection.execute(
        "create or replace temp table headrace_checks "
        "(number integer, suite varchar, dataset varchar, digest varchar, reason varchar)"
    )
    if checks:
        connection.executemany(
            "insert into temp.headrace_checks values (?, ?, ?, ?, ?)",
            [[number, *check] for number, check in enumerate(checks)],
        )
    connection.execute(
        # a bit for each check: a million ordered lists would take a quarter of a minute
        "create or replace temp table headrace_notes as select row, bit_or(1::hugeint << number) as checks "
        f"from {FAILING} where row is not null and excuse is null and list_contains(?::integer[], number) group by 1",
        [list(wanted)],
    )
    connection.execute(
        "create or replace temp table headrace_reasons as select notes.checks, "
        "list(each.digest order by each.number) as digests, "
        "string_agg(each.reason, '; ' order by each.number) as reason, list({'suite': each.suite, 'dataset': "
        "each.dataset, 'digest': each.digest, 'reason': each.reason} order by each.number) as holders "
        "from (select distinct checks from temp.headrace_notes) as notes join temp.headrace_checks as each "
        "on (notes.checks >> each.number) & 1 = 1 group by 1"
    )
    connection.execute(
        f"insert into {mirror} ({names}, {own}) select {values}, "
        "uuid()::varchar, checks.suite, checks.dataset, ?, ?, ?, ?, ?, ?, checks.digest, reasons.digests, "
        "reasons.reason, now(), "
        f"'{RowState.HELD.value}', now(), null, null, reasons.holders, null "
        f"from {relation} as rows join {ASIDE} as aside on rows.rowid = aside.row "
        "join temp.headrace_checks as checks using (number) join temp.headrace_notes as notes on notes.row = aside.row "
        "join temp.headrace_reasons as reasons on reasons.checks = notes.checks",
        [partition_key, *by],
    )
    connection.execute(f"delete from {relation} where rowid in (select row from {ASIDE} where row is not null)")
    return count(connection, f"select count(row) from {ASIDE}")
