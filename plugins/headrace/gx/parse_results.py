"""From GX's validation result to check results; pure; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.check_result import CheckResult, Status
from headrace.contracts.json_safe import make_json_safe, make_text_safe
from headrace.gx.check_meta import CheckMeta
from headrace.gx.sentences import describe_failure
from headrace.gx.suites import SuiteTarget

_NOT_EXPECTED = ("column", "column_list", "column_A", "column_B", "batch_id", "unexpected_rows_query")


def parse_result(
    result: Mapping[str, Any],
    check: CheckMeta,
    target: SuiteTarget,
    partition_key: str | None,
    total_rows: int,
    sample: Sequence[Mapping[str, Any]] = (),
) -> CheckResult:
    """Turn GX's JSON of one expectation into a check result.

    Args:
        result: One of ``ExpectationSuiteValidationResult.to_json_dict()["results"]``, result format SUMMARY.
        check: What the suite says beside the expectation.
        target: What was checked.
        partition_key: The partition; None where the whole table was checked.
        total_rows: Rows of it.
        sample: Failing rows, whole, as DuckDB gave them.
    """
    configuration = result["expectation_config"]
    kwargs = configuration.get("kwargs") or {}
    details = result.get("result") or {}
    reason = find_exception(result.get("exception_info") or {})
    subject = f"{partition_key} {target.dataset}" if partition_key else target.dataset
    rows = tuple(
        {name: _show_time(make_json_safe(value), target.time_zone) for name, value in row.items()} for row in sample
    )
    if reason:
        status, message = Status.ERROR, f"{subject}: {configuration['type']} could not be evaluated: {reason}"
    elif result["success"]:
        status, message = Status.PASSED, f"{subject}: {configuration['type']} holds"
    else:
        status = Status.FAILED
        described = {**configuration, "meta": check.meta}
        sentence = describe_failure(described, details, rows, target.row_key, total_rows, partition_key)
        message = f"{subject}: {sentence}"
    counts_rows = "unexpected_count" in details and not reason
    if "unexpected_rows_query" in kwargs and not reason:
        failed_rows: int | None = int(details.get("observed_value") or 0)
    else:
        failed_rows = int(details["unexpected_count"]) if counts_rows else None
    observed = details.get("observed_value")
    if observed is None and counts_rows:
        observed = details["unexpected_count"]
    return CheckResult(
        tool="gx",
        dataset=target.dataset,
        partition_key=partition_key,
        check=configuration["type"],
        column=name_columns(kwargs),
        severity=check.severity,
        status=status,
        message=make_text_safe(message),
        observed=make_json_safe(observed),
        expected=make_json_safe(
            {key: value for key, value in kwargs.items() if key not in _NOT_EXPECTED and value is not None}
        )
        or None,
        failed_rows=failed_rows,
        total_rows=int(details["element_count"]) if "element_count" in details else total_rows,
        sample=rows if status is Status.FAILED else (),
        check_id=check.check_id,
        meta=check.meta,
    )


def find_exception(info: Mapping[str, Any]) -> str | None:
    """Return the first line of why an expectation raised; None if it did not. GX nests one entry a metric."""
    entries = [info] if "raised_exception" in info else [entry for entry in info.values() if isinstance(entry, Mapping)]
    for entry in entries:
        if entry.get("raised_exception"):
            text = str(entry.get("exception_message") or "it raised without a message").strip()
            trace = str(entry.get("exception_traceback") or "").strip().splitlines()
            if trace and trace[-1].startswith("KeyError"):  # the bare message would be a word in quotes
                text = f"GX failed inside this expectation on DuckDB ({trace[-1].strip()})"
            return text.splitlines()[0]
    return None


def name_columns(kwargs: Mapping[str, Any]) -> str | None:
    """Name the column, or the columns, that an expectation is about; None for a whole table."""
    if kwargs.get("column"):
        return str(kwargs["column"])
    several = kwargs.get("column_list") or [kwargs[key] for key in ("column_A", "column_B") if kwargs.get(key)]
    return ", ".join(several) or None


def _show_time(value: Any, time_zone: str | None) -> Any:
    """Mark a timestamp of a table kept in UTC as such: ``2013-02-12T08:00:00`` becomes ``2013-02-12T08:00:00Z``."""
    if time_zone == "UTC" and isinstance(value, str) and len(value) >= 19 and value[10:11] == "T" and "+" not in value:
        return value if value.endswith("Z") else f"{value}Z"
    return value
