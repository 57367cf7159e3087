"""Setting aside what a gate found, and telling the ledger: first the rows, then the word; orchestration interpreter.

The warehouse is the truth of where a row is. A gate that was killed between the two transactions, or whose ledger was
down, says the same when it is run again: rows are placed anew from the partition as it was landed, and the ledger is
told of all that is aside, each under the try that had set it aside.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.contracts.check_result import CheckResult, Status
from headrace.quality.check_digest import digest_check
from headrace.quality.set_aside import adjust_result, describe_rule

if TYPE_CHECKING:
    from headrace.gx.run_suite import SuiteRun
    from headrace.ledger.database import Ledger
    from headrace.ledger.quarantine import ReleasingSet
    from headrace.ledger.views import TaskTry
    from headrace.warehouse.quarantine import HeldRows, Plan


@dataclass(frozen=True)
class SetAside:
    """What a gate's rows came to.

    Attributes:
        results: Of all suites, adjusted for rows that are aside or released.
        held: Rows that are aside now.
        totals: Table and partition key to its rows.
        released: What people had let go, put back now.
        places: Datasets and partitions that were looked at.
    """

    results: tuple[CheckResult, ...]
    held: "tuple[HeldRows, ...]"
    totals: Mapping[tuple[str, str], int]
    released: "tuple[ReleasingSet, ...]"
    places: frozenset[tuple[str, str]]


def place_failing_rows(
    ledger: "Ledger",
    warehouse: Path,
    task: "TaskTry",
    runs: "Sequence[SuiteRun]",
    partition_key: str,
    known_suites: Collection[str],
) -> SetAside:
    """Set aside failing rows of the checks that say so and put back what people let go: one warehouse transaction.

    Args:
        ledger: What people let go.
        warehouse: The DuckDB file.
        task: The gate's try.
        runs: What its suites found.
        partition_key: The partition.
        known_suites: Every suite that exists, also those of other gates: what they set aside stays.

    Raises:
        LedgerError: It cannot be asked what people let go; nothing moved.
        QuarantineError, ConfigurationError, WarehouseLockedError: Nothing moved.
    """
    from headrace.ledger.quarantine import load_releasing
    from headrace.warehouse.quarantine import Release, list_held, place_rows
    from headrace.warehouse.quarantine_tables import Mover

    plans = _build_plans(runs, partition_key, known_suites)
    places = frozenset((run.target.dataset, partition_key if run.target.partition_column else "") for run in runs)
    releasing = [each for place in sorted(places) for each in load_releasing(ledger, *place)]
    releases = []
    for each in releasing:
        by = each.task
        mover = Mover(by.dag_id, by.run_id, by.task_id, by.map_index, by.try_number)
        releases.append(Release(mover, each.check, each.row_ids, each.actor, each.reason))
    held = list_held(warehouse, plans) if plans else ()
    if not held and not releases and not any(plan.selections for plan in plans):
        results = tuple(result for run in runs for result in run.results)
        return SetAside(results, (), {}, tuple(releasing), places)
    mover = Mover(task.dag_id, task.run_id, task.task_id, task.map_index, task.try_number)
    placement = place_rows(warehouse, plans, by=mover, releases=releases)
    results = tuple(
        adjust_result(
            result,
            failed=placed.failed,
            total=placed.total,
            set_aside=placed.set_aside,
            released=placed.released,
            limit=placed.limit,
            together=placed.together,
        )
        if (placed := placement.checks.get(digest_check(result)))
        else result
        for run in runs
        for result in run.results
    )
    return SetAside(results, placement.held, placement.totals, tuple(releasing), places)


def record_gate(
    ledger: "Ledger", task: "TaskTry", aside: SetAside, results: Sequence[CheckResult], *, complete: bool
) -> tuple[int, ...]:
    """Record a gate's results and what it set aside, in one ledger transaction.

    Returns:
        Ids of the incidents that were opened.
    """
    from headrace.ledger.quarantine import (
        HELD,
        RELEASING,
        QuarantinedSet,
        mark_released,
        record_quarantine,
        supersede_quarantine,
    )
    from headrace.ledger.recording import record_results
    from headrace.ledger.statements import tell_time
    from headrace.ledger.views import TaskTry

    by_digest = {digest_check(result): result for result in results}
    with ledger.begin() as connection:
        recorded = record_results(connection, task, results, complete=complete)
        mark_released(connection, aside.released)  # first: rows that the same run sets aside now are another set
        kept: list[int] = []
        for each in aside.held:
            result = by_digest[each.check]
            told = QuarantinedSet(
                dataset=each.dataset,
                relation=each.relation,
                partition_key=each.partition_key,
                check=result,
                rows=each.rows,
                total_rows=aside.totals[each.relation, each.partition_key],
                reason=result.message,
                sample=[{"row_id": row_id, "row": row} for row_id, row in each.sample.items()],
            )
            kept += record_quarantine(connection, TaskTry(*each.by), [told])
        for dataset, partition_key in sorted(aside.places):
            # what the warehouse does not hold any more: its partition was landed again, or its suite edited
            supersede_quarantine(
                connection, [dataset], partition_key, tell_time(None), states=(HELD, RELEASING), keep=kept
            )
    return recorded.opened


def _build_plans(runs: "Sequence[SuiteRun]", partition_key: str, known_suites: Collection[str]) -> "list[Plan]":
    from headrace.quality.identifiers import name_relation
    from headrace.warehouse.quarantine import Plan, RowSelection

    grouped: dict[tuple[str, str | None], list[SuiteRun]] = {}
    for run in runs:
        grouped.setdefault((name_relation(run.target.table), run.target.partition_column), []).append(run)
    plans = []
    for (_, column), group in grouped.items():
        checked = [(run.suite, each) for run in group for each in run.checked if each.quarantines]
        selections = [
            RowSelection(
                check=digest_check(each.result),
                suite=suite,
                dataset=each.result.dataset,
                query=each.query,
                keys=each.keys,
                rows=each.result.failed_rows or 0,
                limit=each.limit,
                reason=describe_rule(each.result),
            )
            for suite, each in checked
            if each.query
        ]
        unknown = frozenset(digest_check(each.result) for _, each in checked if each.result.status is Status.ERROR)
        datasets = frozenset(run.target.dataset for run in group)
        key = partition_key if column else ""
        suites = frozenset(run.suite for run in group)
        others = frozenset(known_suites) - suites
        table = group[0].target.table
        plans.append(Plan(table, column, key, datasets, suites, others, tuple(selections), unknown))
    return plans
