"""What a suite says beside its expectations: who owns a check, how much it matters, whether its rows are set aside.

Pure; orchestration interpreter.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.contracts.check_result import Severity
from headrace.exceptions import ConfigurationError

DEFAULT_LIMIT = 0.01
_ABOUT_THE_ROWS = ("table", "partition_column", "dataset", "time_zone", "great_expectations_version", "severity")


@dataclass(frozen=True)
class CheckMeta:
    """What is known of one expectation before it is evaluated.

    Attributes:
        check_id: Tells it from every other of its suite: its ``id``, or a hash of its type and arguments.
        severity: ``meta.severity`` of the expectation, else its own ``severity``, else the suite's ``meta.severity``,
            else critical.
        meta: The suite's ``meta`` and the expectation's, the nearest winning, with ``description``.
        quarantine: Whether its failing rows are set aside.
        required: The expectation itself says so; else its suite does, for those that are about rows.
        limit: Largest share of the partition's rows that may be set aside, in [0, 1].
    """

    check_id: str
    severity: Severity
    meta: Mapping[str, Any]
    quarantine: bool
    required: bool
    limit: float


def describe_checks(
    suite: str, suite_meta: Mapping[str, Any], expectations: Sequence[Mapping[str, Any]]
) -> list[CheckMeta]:
    """Return what is known of each expectation of a suite, in its order.

    Raises:
        ConfigurationError: A severity, ``quarantine`` or ``quarantine_limit`` that is none; the message says where.
    """
    ids = _tell_apart([_identify(each) for each in expectations])
    return [
        _describe(f"suite {suite}: expectation {number} ({each['type']})", suite_meta, each, check_id)
        for number, (each, check_id) in enumerate(zip(expectations, ids, strict=True), 1)
    ]


def _describe(where: str, suite_meta: Mapping[str, Any], expectation: Mapping[str, Any], check_id: str) -> CheckMeta:
    own = expectation.get("meta") or {}
    meta = {name: value for name, value in {**suite_meta, **own}.items() if name not in _ABOUT_THE_ROWS}
    notes = own.get("description") or expectation.get("description") or own.get("notes") or expectation.get("notes")
    if notes:
        meta["description"] = "\n".join(map(str, notes)) if isinstance(notes, list) else str(notes)
    severity = own.get("severity") or expectation.get("severity") or suite_meta.get("severity") or "critical"
    quarantine = own.get("quarantine", suite_meta.get("quarantine", False))
    if not isinstance(quarantine, bool):
        raise ConfigurationError(f"{where}: meta.quarantine is {quarantine!r}; write true or false")
    limit = own.get("quarantine_limit", suite_meta.get("quarantine_limit", DEFAULT_LIMIT))
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit <= 1:
        raise ConfigurationError(
            f"{where}: meta.quarantine_limit is {limit!r}; write the largest share of rows that may be set aside, "
            "from 0 to 1, for example 0.01"
        )
    return CheckMeta(
        check_id=check_id,
        severity=_parse_severity(where, severity),
        meta=meta,
        quarantine=quarantine,
        required="quarantine" in own,
        limit=float(limit),
    )


def _parse_severity(where: str, severity: object) -> Severity:
    try:
        return Severity(str(severity).lower())
    except ValueError:
        known = ", ".join(each.value for each in Severity)
        raise ConfigurationError(f"{where}: severity {severity!r} is none of {known}") from None


def _identify(expectation: Mapping[str, Any]) -> str:
    if expectation.get("id"):
        return str(expectation["id"])
    content = json.dumps([expectation["type"], expectation.get("kwargs") or {}], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _tell_apart(ids: Sequence[str]) -> list[str]:
    """Number those that are the same: an expectation that was copied with its id is a second check."""
    seen: Counter[str] = Counter()
    told = []
    for each in ids:
        seen[each] += 1
        told.append(each if seen[each] == 1 else f"{each}#{seen[each]}")
    return told
