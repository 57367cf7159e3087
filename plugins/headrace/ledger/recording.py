"""Recording what a task found: one transaction from results to verdicts, incidents and notifications; orchestration
interpreter."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from headrace.contracts.check_result import CheckResult
from headrace.contracts.json_safe import make_name_safe
from headrace.ledger.changes import update_incidents
from headrace.ledger.database import Ledger
from headrace.ledger.landings import record_landing
from headrace.ledger.quarantine import QuarantinedSet, record_quarantine
from headrace.ledger.results import Key, Written, keep_worst, write_attempt, write_checks, write_results, write_states
from headrace.ledger.statements import tell_time, write_on
from headrace.ledger.training import record_statistics, record_training
from headrace.ledger.verdicts import write_verdicts
from headrace.ledger.views import TaskTry, VerdictRow
from headrace.ledger.waivers import Waiver, end_outgrown, is_waiver, load_waivers
from headrace.ledger.withdrawals import retire_checks, withdraw_results

__all__ = [
    "QuarantinedSet", "Recorded", "record_landing", "record_quarantine", "record_results", "record_statistics",
    "record_training",
]  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """What recording came to.

    Attributes:
        results: Results that were written.
        verdicts: The current verdict on each dataset partition that they are about.
        opened: Ids of the incidents that they opened or re-opened.
    """

    results: int
    verdicts: tuple[VerdictRow, ...] = ()
    opened: tuple[int, ...] = ()


def record_results(
    ledger: Ledger | Connection,
    task: TaskTry,
    results: Sequence[CheckResult],
    *,
    now: datetime | None = None,
    complete: bool = False,
    keep: Collection[str] = (),
) -> Recorded:
    """Record what one try of a task found, and all that follows from it, in one transaction.

    Recording a try again replaces what it had recorded: nothing is counted or told twice, and a result that is no
    longer among them is taken back. Failures that are waived are recorded as excused.

    Args:
        ledger: The ledger, or a write transaction of it to go on in.
        task: The try.
        results: What it found; whatever is in them, it is bounded and made storable.
        now: The time; by default the clock's.
        complete: These are all the checks that the task makes on their partitions: one that it made in an earlier run
            and no longer makes counts no more. By default it keeps its last result, for a task that broke off has not
            made them all.
        keep: The tools' own ids of checks that count on all the same: they are still there, and were not made now.

    Raises:
        LedgerError: Nothing was recorded; the message says why.
    """
    now = tell_time(now)
    with write_on(ledger) as connection:
        attempt_id = write_attempt(
            connection, task, next((r.partition_key for r in results if r.partition_key), ""), now
        )
        checked = write_checks(connection, results)
        failing = [(check_id, each.partition_key or "") for check_id, each in checked if not each.passed]
        waivers = load_waivers(connection, failing) if failing else {}
        candidates = keep_worst([_excuse(check_id, each, waivers) for check_id, each in checked])
        written, gone = write_results(connection, attempt_id, candidates, now)
        write_states(connection, written, now)
        if waivers:
            newest = [each for each in written if each.newest and not each.result.passed]
            end_outgrown(connection, waivers, [(*each.key, each.result.failed_rows) for each in newest], now)
        places = {(each.result.dataset, each.partition_key) for each in written}
        places |= withdraw_results(connection, attempt_id, gone, now)
        opened = update_incidents(connection, make_name_safe(task.dag_id, 250), written, now)
        retired = retire_checks(connection, task, written, now, keep) if complete else set()
        places |= retired
        verdicts = write_verdicts(connection, places, now, attempt_id=attempt_id, retired=retired) if places else []
    return Recorded(len(written), tuple(verdicts), tuple(opened))


def _excuse(check_id: int, result: CheckResult, waivers: Mapping[Key, Waiver]) -> Written:
    """Give a failure that is waived its excuse, and take from a pass what it does not need.

    What the task knew of waivers may have ended while it ran: those that hold now count. That its rows were released,
    the task alone knows.
    """
    key = result.partition_key or ""
    waiver = None if result.passed else waivers.get((check_id, key))
    if waiver is not None and not waiver.covers(result.failed_rows):
        waiver = None
    told = None if result.passed or is_waiver(result.excused) else result.excused
    excused = told or (waiver.excuse if waiver else None)
    if excused != result.excused:
        result = replace(result, excused=excused)
    return Written(check_id, key, result, waived=waiver is not None)
