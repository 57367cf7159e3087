"""Failures that a person lets pass: which waivers hold, and for which results; orchestration interpreter."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from headrace.contracts.check_result import CheckResult
from headrace.contracts.json_safe import make_name_safe
from headrace.ledger.database import Ledger
from headrace.ledger.incidents import Entry, load_cases, write_timeline
from headrace.ledger.schema import check, waiver
from headrace.ledger.statements import chunk, read_on
from headrace.quality.check_digest import digest_check

_WAIVED_BY = "waived by "


@dataclass(frozen=True)
class Waiver:
    """One that holds.

    Attributes:
        id: Of its row.
        actor: Who waived.
        reason: Why.
        failed_rows: How many rows failed then; None: that was not known, and any number is waived.
    """

    id: int
    actor: str
    reason: str
    failed_rows: int | None = None

    @property
    def excuse(self) -> str:
        return describe_waiver(self.actor, self.reason)

    def covers(self, failed_rows: int | None) -> bool:
        """Tell whether a failure is no more than what was waived."""
        return self.failed_rows is None or failed_rows is None or failed_rows <= self.failed_rows


def describe_waiver(actor: str, reason: str) -> str:
    return f"{_WAIVED_BY}{actor}: {reason}"


def is_waiver(excused: str | None) -> bool:
    """Tell whether an excuse is a waiver's, which may have ended; a release stays what it is."""
    return excused is not None and excused.startswith(_WAIVED_BY)


def list_waivers(ledger: Ledger | Connection, dataset: str, partition_key: str) -> dict[str, str]:
    """Return who waived what: check digest to a sentence such as ``waived by anna: known outage``."""
    of_place = (check.c.dataset == make_name_safe(dataset)) & (waiver.c.partition_key == _clean(partition_key))
    with read_on(ledger) as connection:
        rows = connection.execute(_select_waivers().where(of_place)).all()
    return {str(row.digest): describe_waiver(row.actor, row.reason) for row in rows}


def apply_waivers(ledger: Ledger | Connection, results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results, each failure that is waived with ``excused`` set.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    digests = [digest_check(result) if _may_be_waived(result) else "" for result in results]
    with read_on(ledger) as connection:
        held = _load_by_digest(connection, {digest for digest in digests if digest})
    return [
        _excuse(result, held.get((digest, _clean(result.partition_key))))
        for result, digest in zip(results, digests, strict=True)
    ]


def _may_be_waived(result: CheckResult) -> bool:
    return not result.passed and result.excused is None


def _excuse(result: CheckResult, holds: Waiver | None) -> CheckResult:
    return replace(result, excused=holds.excuse) if holds and holds.covers(result.failed_rows) else result


def _clean(partition_key: str | None) -> str:
    return make_name_safe(partition_key or "", 100)


@cache
def _select_waivers() -> Select[Any]:
    c = waiver.c
    query = select(c.id, c.check_id, c.partition_key, c.actor, c.reason, c.failed_rows, check.c.digest)
    return query.join(check, check.c.id == c.check_id).where(c.ended_at.is_(None)).order_by(c.id)


def _load_by_digest(connection: Connection, digests: Collection[str]) -> dict[tuple[str, str], Waiver]:
    held: dict[tuple[str, str], Waiver] = {}
    for some in chunk(sorted(digests)):
        for row in connection.execute(_select_waivers().where(check.c.digest.in_(some))):
            held[str(row.digest), str(row.partition_key)] = Waiver(row.id, row.actor, row.reason, row.failed_rows)
    return held


def load_waivers(connection: Connection, keys: Collection[tuple[int, str]]) -> dict[tuple[int, str], Waiver]:
    """Return the waivers that hold for some checks on some partitions; of several the last."""
    held: dict[tuple[int, str], Waiver] = {}
    for some in chunk(sorted({check_id for check_id, _ in keys})):
        for row in connection.execute(_select_waivers().where(waiver.c.check_id.in_(some))):
            held[int(row.check_id), str(row.partition_key)] = Waiver(row.id, row.actor, row.reason, row.failed_rows)
    return {key: held[key] for key in keys if key in held}


def end_outgrown(
    connection: Connection,
    waivers: Mapping[tuple[int, str], Waiver],
    failures: Iterable[tuple[int, str, int | None]],
    now: datetime,
) -> None:
    """End waivers of checks on which more rows fail now than were waived, and say so in their incidents.

    Args:
        connection: A write transaction.
        waivers: That hold.
        failures: Check, partition key and failed rows of each newest result that is a failure.
        now: The time.
    """
    ended = {
        (check_id, key): f"{failed_rows:,} rows fail, and it was given for {holds.failed_rows:,}"
        for check_id, key, failed_rows in failures
        if (holds := waivers.get((check_id, key))) is not None and not holds.covers(failed_rows)
    }
    if not ended:
        return
    statement = update(waiver).where(
        waiver.c.check_id == bindparam("of"), waiver.c.partition_key == bindparam("on"), waiver.c.ended_at.is_(None)
    )
    rows = [{"of": check_id, "on": key, "why": why} for (check_id, key), why in ended.items()]
    connection.execute(statement.values(ended_at=now, ended_why=bindparam("why")), rows)
    cases = load_cases(connection, check_ids={check_id for check_id, _ in ended}).values()
    entries = [
        Entry(case, "waiver_ended", {"why": why}, key)
        for case in cases
        for (check_id, key), why in ended.items()
        if check_id == case.check_id
    ]
    write_timeline(connection, entries, now)
