"""Setting failing rows aside and putting them back, in one transaction that loses none; orchestration interpreter.

What is set aside is a function of the partition as it was landed, the suites as they are, and what people released:
running a gate again sets aside the same rows, and after an edit of the suite those that it should be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.exceptions import QuarantineError
from headrace.quality.identifiers import name_relation, quote_known_name, quote_relation
from headrace.warehouse import quarantine_moves as moves
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import BEING_CHECKED, write_holds
from headrace.warehouse.quarantine_holders import book_holders, list_holders
from headrace.warehouse.quarantine_tables import (
    Mover,
    RowState,
    count,
    describe_columns,
    find_mirror,
    held_condition,
    list_plain_columns,
    partition_condition,
    prepare_mirror,
    select_partition,
    upgrade_mirror,
)

if TYPE_CHECKING:
    import duckdb

SAMPLE_ROWS = 200


@dataclass(frozen=True)
class RowSelection:
    """The failing rows of one check that sets rows aside.

    Attributes:
        check: Digest of the check.
        suite: The check's.
        dataset: What its results are filed under.
        query: SQL for the failing rows, over :func:`select_partition` with tags.
        keys: Columns of the query that name a row, where it lost the tags; empty: it has them.
        rows: Failing rows that the check counted.
        limit: Largest share of the partition's rows that may be set aside.
        reason: What is wrong with such a row, for a person.
    """

    check: str
    suite: str
    dataset: str
    query: str
    keys: tuple[str, ...]
    rows: int
    limit: float
    reason: str


@dataclass(frozen=True)
class Release:
    """A person's word that rows which are set aside may go on.

    Attributes:
        by: Which run set them aside.
        check: Digest of the check that did.
        row_ids: ``_row_id`` of each; None: all of them.
        actor: Who.
        reason: Why.
    """

    by: Mover
    check: str
    row_ids: tuple[str, ...] | None
    actor: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What is to be set aside of one partition of one table.

    Attributes:
        relation: ``schema.table``.
        partition_column: None: the whole table.
        partition_key: The partition; empty for a whole table.
        datasets: Of the suites.
        suites: Whose rows may be put back: those of other suites on the table are left alone.
        others: Suites that exist beside them.
        selections: In the order of the suites; a row is booked under the first that it fails.
        unknown: Digests of checks that could not be evaluated: what they set aside stays.
    """

    relation: str
    partition_column: str | None
    partition_key: str
    datasets: frozenset[str]
    suites: frozenset[str]
    others: frozenset[str] = frozenset()
    selections: tuple[RowSelection, ...] = ()
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Placed:
    """What became of one check's failing rows.

    Attributes:
        failed: Failing rows, those set aside included.
        total: Rows of the partition, those set aside included.
        set_aside: Of the failing, those that do not go on.
        released: ``anna: reason`` to the number of failing rows that she let go on.
        limit: Largest share that may be set aside.
        together: Rows that this and other checks would have set aside together, where that is more than the largest
            limit of them, which is then ``limit``; None where it is not.
    """

    failed: int
    total: int
    set_aside: int
    released: Mapping[str, int]
    limit: float
    together: int | None = None

    @property
    def share(self) -> float:
        """Share of the partition's rows that fail and that nobody released."""
        return (self.failed - sum(self.released.values())) / self.total if self.total else 0.0

    @property
    def over_limit(self) -> bool:
        return self.share > self.limit or self.together is not None


@dataclass(frozen=True)
class HeldRows:
    """Rows that one check set aside in one run and that are aside now.

    Attributes:
        by: The first try of the run that did.
        rows: How many.
        sample: The first 200: ``_row_id`` to the row.
    """

    dataset: str
    relation: str
    partition_key: str
    check: str
    by: Mover
    reason: str
    rows: int
    sample: Mapping[str, Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True)
class Placement:
    """What became of all rows: by check, and what is set aside now."""

    checks: Mapping[str, Placed]
    held: tuple[HeldRows, ...]
    totals: Mapping[tuple[str, str], int]  # relation and partition key to the rows, those set aside included


def place_rows(warehouse: Path, plans: Sequence[Plan], *, by: Mover, releases: Sequence[Release] = ()) -> Placement:
    """Set aside the rows that fail and put back those that may go on, in one transaction over all tables.

    Where any is moved, the partitions are held from then on: the gate lifts that when it has told the ledger.

    Raises:
        QuarantineError: The rows are not those that were checked, or the count of rows does not add up; nothing moved.
        ConfigurationError: A table that cannot be mirrored.
        WarehouseLockedError: Another process holds the warehouse.
    """
    import duckdb

    checks: dict[str, Placed] = {}
    totals: dict[tuple[str, str], int] = {}
    held: list[Plan] = []
    with open_warehouse(warehouse) as connection:
        for plan in plans:
            upgrade_mirror(connection, plan.relation)
        connection.begin()
        try:
            for plan in plans:
                if not plan.selections and not find_mirror(connection, plan.relation):
                    continue
                place = name_relation(plan.relation), plan.partition_key
                totals[place], moved = _place_partition(connection, plan, by, releases, checks)
                if moved:
                    held += [each for each in plans if each.partition_column]
            for each in held:
                write_holds(connection, [each.relation], each.partition_key, BEING_CHECKED)
        except duckdb.Error as error:
            connection.rollback()
            raise QuarantineError(
                f"no row was moved: {str(error).splitlines()[0]}", tables=[plan.relation for plan in plans]
            ) from error
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    # On a connection of its own: DuckDB 2.0.0 groups rows that this one has just written into nothing.
    return Placement(checks, list_held(warehouse, plans), totals)


def list_held(warehouse: Path, plans: Sequence[Plan]) -> tuple[HeldRows, ...]:
    """Return what is set aside of some partitions."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return tuple(each for plan in plans for each in _list_held(connection, plan))


def supersede_rows(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    partition_column: str | None,
    partition_key: str,
    *,
    also_released: bool,
) -> int:
    """Mark what is set aside of a partition as superseded, in the caller's transaction that replaces the partition.

    Args:
        also_released: The new rows are others, so that what people said of the old ones says nothing of them.

    Returns:
        Rows that were set aside until now.
    """
    mirror = find_mirror(connection, relation)
    if not mirror:
        return 0
    where = partition_condition(partition_column, partition_key)
    mirrored = {name.lower() for name in describe_columns(connection, mirror)}
    if partition_column and partition_column.lower() not in mirrored:
        return 0
    superseded = count(connection, f"select count(*) from {mirror} where {held_condition(where, mirrored, None)}")
    states = [RowState.HELD.value, *([RowState.RELEASED.value] * also_released)]
    connection.execute(
        f"update {mirror} set _state = ?, _changed_at = now() where {where} and list_contains(?, _state)",
        [RowState.SUPERSEDED.value, states],
    )
    return superseded


def _place_partition(
    connection: "duckdb.DuckDBPyConnection",
    plan: Plan,
    by: Mover,
    releases: Sequence[Release],
    checks: dict[str, Placed],
) -> tuple[int, int]:
    """Place one partition's rows; fills ``checks`` and returns the partition's rows, and how many were moved."""
    relation = quote_relation(plan.relation)
    where = partition_condition(plan.partition_column, plan.partition_key)
    tagged = select_partition(connection, plan.relation, plan.partition_column, plan.partition_key, tagged=True)
    moves.create_tables(connection)
    mirror = prepare_mirror(connection, plan.relation)
    mirrored = {name.lower() for name in describe_columns(connection, mirror)}
    held_where = held_condition(where, mirrored, plan.partition_column)
    list_holders(connection, mirror, held_where)
    for number, selection in enumerate(plan.selections):
        found = moves.collect_failing(connection, number, selection.query, selection.keys, tagged.query)
        if not selection.keys and found != selection.rows:
            raise QuarantineError(
                f"{selection.rows:,} rows of {plan.relation} failed when they were checked and {found:,} fail now: "
                "somebody else writes to the warehouse; run the gate again",
                table=plan.relation,
            )
    moves.note_releases(connection, mirror, where, releases)
    content = [name for name in describe_columns(connection, plan.relation) if name.lower() != "_landed_at"]
    moves.recognise_released(connection, mirror, where, relation, content, [each.check for each in plan.selections])
    moves.recall_words(connection, mirror, held_where, [each.check for each in plan.selections])

    placements: dict[str, Placed] = {}
    for number, selection in enumerate(plan.selections):
        failed = count(connection, f"select count(*) from {moves.FAILING} where number = ?", [number])
        released = moves.count_released(connection, number)
        placed = Placed(failed, tagged.rows, 0, released, selection.limit)
        if not placed.over_limit:
            placed = Placed(failed, tagged.rows, failed - sum(placed.released.values()), placed.released, placed.limit)
            moves.want_aside(connection, number)
        placements[selection.check] = placed
    checks.update(_limit_together(connection, placements))
    wanted = [number for number, each in enumerate(plan.selections) if not checks[each.check].over_limit]
    book_holders(connection, mirror, plan, moves.FAILING, moves.ASIDE, wanted)

    moved = moves.put_back(connection, relation, mirror, held_where, list_plain_columns(connection, plan.relation))
    moved += moves.set_aside(
        connection,
        relation,
        mirror,
        describe_columns(connection, plan.relation),
        [(each.suite, each.dataset, each.check, each.reason) for each in plan.selections],
        wanted,
        plan.partition_key,
        by,
    )
    on = count(connection, f"select count(*) from {relation} where {where}")
    aside = count(connection, f"select count(*) from {mirror} where {held_where}")
    if on + aside != tagged.rows:
        raise QuarantineError(
            f"{plan.relation} had {tagged.rows:,} rows and would have {on:,} with {aside:,} set aside: nothing was "
            "moved; this is a fault of Headrace, please report it",
            table=plan.relation,
        )
    return tagged.rows, moved


def _limit_together(connection: "duckdb.DuckDBPyConnection", placements: Mapping[str, Placed]) -> dict[str, Placed]:
    """Return what becomes of the checks' rows: of none where all that are planned together are too many."""
    involved = [placed for placed in placements.values() if placed.set_aside]
    planned = count(connection, f"select count(*) from {moves.ASIDE}")
    limit = max((placed.limit for placed in involved), default=1.0)
    if not involved or planned / involved[0].total <= limit:
        return dict(placements)
    moves.want_nothing_aside(connection)
    return {
        check: replace(placed, set_aside=0, limit=limit, together=planned) if placed.set_aside else placed
        for check, placed in placements.items()
    }


def _list_held(connection: "duckdb.DuckDBPyConnection", plan: Plan) -> list[HeldRows]:
    mirror = find_mirror(connection, plan.relation)
    if not mirror:
        return []
    mirrored = {name.lower() for name in describe_columns(connection, mirror)}
    partition = partition_condition(plan.partition_column, plan.partition_key)
    held = held_condition(partition, mirrored, plan.partition_column)
    if held == "false":
        return []
    columns = [name for name in describe_columns(connection, plan.relation) if name.lower() in mirrored]
    set_of = "_dataset, _partition_key, _check, _dag_id, _run_id"
    ours = "list_contains(?, _dataset) and not coalesce(list_contains(?, _suite), false) or list_contains(?, _suite)"
    if "_suite" not in mirrored:
        ours = ours.replace("_suite", "null::varchar")
    whose = [sorted(each) for each in (plan.datasets, plan.others, plan.suites)]
    sets = connection.execute(
        f"select min(_reason), count(*) filter (_state = '{RowState.HELD.value}'), "
        f"{set_of}, "
        f"arg_min((_task_id, _map_index, _try_number), _try_number) filter (_state = '{RowState.HELD.value}') "
        f"from {mirror} where {partition} and ({ours}) group by all "
        f"having count(*) filter (_state = '{RowState.HELD.value}') > 0 order by all",
        whose,
    ).fetchall()
    expected = count(connection, f"select count(*) from {mirror} where {held} and ({ours})", whose)
    if expected != sum(rows for _, rows, *_ in sets):
        raise QuarantineError(f"{expected:,} rows of {plan.relation} are set aside and cannot be listed: run it again")
    same = " and ".join(f"{name} = ?" for name in set_of.split(", "))
    listed = []
    for reason, rows, *key, task in sets:
        cursor = connection.execute(
            f"select _row_id, {', '.join(map(quote_known_name, columns))} from {mirror} "
            f"where {held} and {same} order by _quarantined_at, _row_id limit {SAMPLE_ROWS}",
            key,
        )
        sample = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in cursor.fetchall()}
        dataset, partition_key, check, dag_id, run_id = key
        by = Mover(dag_id, run_id, *task)
        table = name_relation(plan.relation)
        listed.append(HeldRows(dataset, table, partition_key, check, by, reason, rows, sample))
    return listed
