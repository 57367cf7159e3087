"""A check result made fit for the ledger: bounded and storable, whatever a tool gave; orchestration interpreter."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.contracts.check_result import CheckResult
from headrace.contracts.json_safe import make_json_safe, make_name_safe, make_text_safe

MAX_SAMPLE = 20
_LARGEST = 2**63 - 1


def make_result_safe(result: CheckResult) -> CheckResult:
    """Return the result with bounded texts, a sample of at most 20 rows, and JSON types only; see ``json_safe``."""
    return replace(
        result,
        tool=make_name_safe(result.tool, 20),
        dataset=make_name_safe(result.dataset),
        partition_key=make_name_safe(result.partition_key or "", 100),
        check=make_name_safe(result.check),
        column=None if result.column is None else make_name_safe(result.column),
        check_id=None if result.check_id is None else make_name_safe(result.check_id),
        message=make_text_safe(result.message),
        observed=make_json_safe(result.observed),
        expected=make_json_safe(result.expected),
        failed_rows=_make_count_safe(result.failed_rows),
        total_rows=_make_count_safe(result.total_rows),
        quarantined_rows=_make_count_safe(result.quarantined_rows) or 0,
        sample=tuple(make_json_safe(dict(row)) for row in result.sample[:MAX_SAMPLE]),
        meta=make_json_safe(dict(result.meta)),
        excused=None if result.excused is None else make_text_safe(result.excused),
    )


def describe_person(owner: Any) -> str | None:
    """Say who: a name, or what dbt writes as an owner (``name``, ``email``)."""
    if isinstance(owner, Mapping):
        owner = owner.get("name") or owner.get("email")
    if isinstance(owner, (list, tuple)):
        owner = ", ".join(str(each) for each in owner) or None
    return None if owner in (None, "") else make_name_safe(owner)


def _make_count_safe(count: Any) -> int | None:
    if count is None:
        return None
    try:
        number = float(count)
        return None if math.isnan(number) else max(0, int(min(number, _LARGEST)) if abs(number) > 2**52 else int(count))
    except (TypeError, ValueError):
        return None
