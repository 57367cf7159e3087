"""Which checks hold a row aside, of which suites: a row goes back when none does; orchestration interpreter.

A row is booked under the first of its holders. A gate speaks for its own suites' checks only: what it says takes the
place of what those said before, and the checks of other suites keep the row until their own gate runs.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.exceptions import QuarantineError
from headrace.warehouse.quarantine_tables import count

if TYPE_CHECKING:
    import duckdb

    from headrace.warehouse.quarantine import Plan

STAYING, GOING = "temp.headrace_staying", "temp.headrace_going"


class Holder(NamedTuple):
    """A check that sets a row aside.

    Attributes:
        suite: Its suite; None where the row was set aside before suites were noted.
        dataset: What its results are filed under.
        digest: Of the check.
        reason: What is wrong with the row, for a person.
    """

    suite: str | None
    dataset: str
    digest: str
    reason: str


def list_holders(connection: "duckdb.DuckDBPyConnection", mirror: str, held_where: str) -> None:
    """Note who holds each row that is aside, before anything of the mirror is changed."""
    connection.execute(
        "create or replace temp table headrace_holders as select row_number() over () as old, holders "
        f"from (select distinct _holders as holders from {mirror} where {held_where})"
    )
    connection.execute(
        "create or replace temp table headrace_booked as select rows._row_id as held, known.old "
        f"from (select _row_id, _holders from {mirror} where {held_where}) as rows "
        "join temp.headrace_holders as known on rows._holders is not distinct from known.holders"
    )


def decide_holders(
    old: Sequence[Holder],
    now: Sequence[Holder],
    *,
    suites: Collection[str],
    others: Collection[str],
    datasets: Collection[str],
    unknown: Collection[str],
) -> list[Holder]:
    """Return who holds a row from now on, whom it is booked under first; nobody: it goes back.

    Args:
        old: Who held it.
        now: Checks of this gate that it fails.
        suites: The gate's.
        others: Suites that exist beside them. A suite that is gone gave its rows to those of its dataset.
        datasets: The gate's.
        unknown: Digests of the gate's checks that could not be evaluated: they keep what they had.
    """
    said = {(each.suite, each.digest): each for each in now}
    kept = []
    for each in old:
        gone = each.suite not in suites and each.suite not in others and each.dataset in datasets
        renewed = next((new for new in now if new.digest == each.digest), None) if gone else None
        renewed = renewed or said.get((each.suite, each.digest))
        if renewed:
            kept.append(renewed)
        elif each.digest in unknown or not (gone or each.suite in suites):
            kept.append(each)
    return list(dict.fromkeys([*kept, *now]))


def book_holders(
    connection: "duckdb.DuckDBPyConnection", mirror: str, plan: "Plan", failing: str, aside: str, wanted: Sequence[int]
) -> None:
    """Write into the mirror who holds each row from now on; list those that stay in ``STAYING``, others in ``GOING``.

    Args:
        connection: To the warehouse.
        mirror: Quoted.
        plan: The gate's.
        failing: Table of the rows that fail.
        aside: Table of the rows that this gate wants aside.
        wanted: Numbers of the checks that set rows aside: those above their limit do not.
    """
    connection.execute(
        "create or replace temp table headrace_masks as select booked.held, booked.old, "
        "coalesce(failed.mask, 0::hugeint) as mask, released.held is not null as let_go "
        "from temp.headrace_booked as booked left join (select held, bit_or(1::hugeint << number) as mask "
        f"from {failing} where held is not null and excuse is null and list_contains(?::integer[], number) "
        "group by held) as failed using (held) left join temp.headrace_released as released using (held)",
        [list(wanted)],
    )
    planned = count(connection, f"select count(held) from {aside}")
    if count(connection, "select count(*) from temp.headrace_masks where mask <> 0") != planned:
        raise QuarantineError(f"{planned:,} rows are to stay aside and cannot be listed: run it again")
    known = {number: _read_holders(each) for number, each in _fetch(connection, "select * from temp.headrace_holders")}
    ours = [Holder(each.suite, each.dataset, each.check, each.reason) for each in plan.selections]
    connection.execute(
        "create or replace temp table headrace_decided (old bigint, mask hugeint, let_go boolean, dataset varchar, "
        "suite varchar, digest varchar, digests varchar[], reason varchar, "
        "holders struct(suite varchar, dataset varchar, digest varchar, reason varchar)[], dropped varchar[])"
    )
    for old, mask, let_go in _fetch(connection, "select distinct old, mask, let_go from temp.headrace_masks"):
        now = [each for number, each in enumerate(ours) if int(mask) >> number & 1]
        unknown = frozenset[str]() if let_go else plan.unknown
        new = decide_holders(
            known[old], now, suites=plan.suites, others=plan.others, datasets=plan.datasets, unknown=unknown
        )
        if new:
            dropped = sorted({each.digest for each in known[old]} - {each.digest for each in new})
            reason = "; ".join(dict.fromkeys(each.reason for each in new))
            digests = list(dict.fromkeys(each.digest for each in new))
            connection.execute(
                "insert into temp.headrace_decided values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [old, mask, let_go, new[0].dataset, new[0].suite, new[0].digest, digests, reason,
                 [each._asdict() for each in new], dropped],
            )  # fmt: skip
    connection.execute(
        f"create or replace temp table {STAYING.removeprefix('temp.')} as "
        "select masks.held, decided.* from temp.headrace_masks as masks "
        "join temp.headrace_decided as decided using (old, mask, let_go)"
    )
    connection.execute(
        f"create or replace temp table {GOING.removeprefix('temp.')} as "
        f"select held from temp.headrace_masks where held not in (select held from {STAYING})"
    )
    connection.execute(
        f"update {mirror} set _holders = staying.holders, _suite = staying.suite, _dataset = staying.dataset, "
        "_check = staying.digest, _checks = staying.digests, _reason = staying.reason "
        f"from {STAYING} as staying where _row_id = staying.held and _holders is distinct from staying.holders"
    )


def _fetch(connection: "duckdb.DuckDBPyConnection", query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return rows


def _read_holders(holders: Sequence[Mapping[str, str]]) -> list[Holder]:
    return [Holder(**each) for each in holders or ()]
