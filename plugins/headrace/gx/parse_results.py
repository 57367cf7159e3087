"""From GX's validation result to check results; pure; orchestration interpreter."""

from collections.abc import Mapping
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.gx.sentences import describe_failure
from headrace.gx.suites import SuiteTarget

_NOT_EXPECTED = ("column", "column_list", "column_A", "column_B", "batch_id", "unexpected_rows_query")


def parse_validation_result(
    validation: Mapping[str, Any], target: SuiteTarget, partition_key: str | None, total_rows: int
) -> list[CheckResult]:
    """Turn GX's JSON into one check result an expectation.

    Args:
        validation: ``ExpectationSuiteValidationResult.to_json_dict()``, result format SUMMARY.
        target: What was checked.
        partition_key: The partition; None where the whole table was checked.
        total_rows: Rows of it.
    """
    return [_parse_result(result, target, partition_key, total_rows) for result in validation["results"]]


def _parse_result(
    result: Mapping[str, Any], target: SuiteTarget, partition_key: str | None, total_rows: int
) -> CheckResult:
    configuration = result["expectation_config"]
    kwargs = configuration.get("kwargs") or {}
    details = result.get("result") or {}
    severity = Severity(str(configuration.get("severity") or "critical").lower())
    reason = find_exception(result.get("exception_info") or {})
    subject = f"{partition_key} {target.dataset}" if partition_key else target.dataset
    sample = _sample(details, target)
    if reason:
        status, message = Status.ERROR, f"{subject}: {configuration['type']} could not be evaluated: {reason}"
    elif result["success"]:
        status, message = Status.PASSED, f"{subject}: {configuration['type']} holds"
    else:
        status = Status.FAILED
        message = f"{subject}: {describe_failure(configuration, details, sample, target.row_key, total_rows)}"
    counts_rows = "unexpected_count" in details and not reason
    if configuration["type"] == "unexpected_rows_expectation" and not reason:
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
        severity=severity,
        status=status,
        message=message,
        observed=observed,
        expected={key: value for key, value in kwargs.items() if key not in _NOT_EXPECTED and value is not None}
        or None,
        failed_rows=failed_rows,
        total_rows=int(details["element_count"]) if "element_count" in details else total_rows,
        sample=sample if status is Status.FAILED else (),
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


def _sample(details: Mapping[str, Any], target: SuiteTarget) -> tuple[Mapping[str, Any], ...]:
    rows = details.get("partial_unexpected_index_list") or []
    if not rows:
        values = details.get("partial_unexpected_list") or []
        rows = [value for value in values if isinstance(value, Mapping)]
    return tuple({name: _show_time(value, target.time_zone) for name, value in row.items()} for row in rows[:20])


def _show_time(value: Any, time_zone: str | None) -> Any:
    """Mark a timestamp of a table kept in UTC as such: ``2013-02-12T08:00:00`` becomes ``2013-02-12T08:00:00Z``."""
    if time_zone == "UTC" and isinstance(value, str) and len(value) >= 19 and value[10:11] == "T" and "+" not in value:
        return value if value.endswith("Z") else f"{value}Z"
    return value
