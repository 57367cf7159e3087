"""From dbt's ``sources.json``, what ``dbt source freshness`` found, to check results; orchestration interpreter."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.dbt.manifest import DbtManifest, DbtNode
from headrace.dbt.ownership import describe_dataset
from headrace.exceptions import DbtRunError

SOURCES_FILE = "sources.json"
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def load_freshness(path: Path, manifest: DbtManifest, log: Path | None = None) -> tuple[CheckResult, ...]:
    """Load ``target/sources.json``.

    Args:
        path: The file.
        manifest: Of the same project.
        log: dbt's log of the same run in JSON: it alone tells of sources whose age could not be found.

    Raises:
        DbtRunError: It is missing or unreadable: dbt ended before it had results, which is a failure.
    """
    try:
        document = json.loads(path.read_bytes())
        broken = parse_errors(log.read_text(encoding="utf-8", errors="replace")) if log and log.is_file() else {}
        return parse_freshness(document, manifest, broken)
    except FileNotFoundError:
        raise DbtRunError(f"{path} does not exist: dbt ended before it had any result", path=str(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DbtRunError(f"{path} is not dbt's sources.json ({error!r})", path=str(path)) from error


def parse_errors(log: str) -> dict[str, str]:
    """Parse what dbt's JSON log says of failing sources: id to message; stale ones are among them."""
    found = {}
    for line in log.splitlines():
        try:
            event = json.loads(line)
            unique_id = event["data"]["node_info"]["unique_id"] if event["info"]["name"] == "RunResultError" else None
        except (ValueError, KeyError, TypeError):
            continue  # a line of something else
        if unique_id:
            found[str(unique_id)] = str(event["data"].get("msg") or "")
    return found


def parse_freshness(
    document: Mapping[str, Any], manifest: DbtManifest, broken: Mapping[str, str] | None = None
) -> tuple[CheckResult, ...]:
    """Parse the JSON of ``dbt source freshness``, version 3.

    Args:
        document: The JSON.
        manifest: Of the same project.
        broken: Sources on which dbt failed, with its message: those whose age it could not find are not in the JSON.

    Returns:
        Check ``freshness`` of each source with a freshness block, for the whole dataset: dbt's ``warn`` is a
        warning, its ``error`` critical, and a source whose age could not be found is an error.
    """
    results = list(document["results"])
    known = {each["unique_id"] for each in results}
    missing = [(unique_id, said) for unique_id, said in (broken or {}).items() if unique_id not in known]
    results += [{"unique_id": unique_id, "status": "runtime error", "error": said} for unique_id, said in missing]
    return tuple(_parse_source(each, manifest) for each in results)


def _parse_source(result: Mapping[str, Any], manifest: DbtManifest) -> CheckResult:
    unique_id, said = str(result["unique_id"]), str(result["status"])
    kind, _, rest = unique_id.split(".", 2)
    node = manifest.nodes.get(unique_id) or DbtNode(unique_id, rest.replace(".", "_"), kind)
    status = {"pass": Status.PASSED, "warn": Status.FAILED, "error": Status.FAILED}.get(said, Status.ERROR)
    seconds = result.get("max_loaded_at_time_ago_in_s")
    limits = {
        name: f"{limit['count']} {limit['period']}{'s'[: limit['count'] != 1]}"
        for name, limit in (result.get("criteria") or {}).items()
        if name in ("warn_after", "error_after") and limit and limit.get("count") is not None
    }
    return CheckResult(
        tool="dbt",
        dataset=node.name,
        partition_key=None,
        check="freshness",
        column=None,
        severity=Severity.WARNING if said == "warn" else Severity.CRITICAL,
        status=status,
        message=f"{node.name}: {_sentence(status, said, seconds, limits, result)}",
        observed=None if seconds is None else {"age_seconds": seconds, "loaded_at": result.get("max_loaded_at")},
        expected=limits or None,
        check_id=unique_id,
        meta=describe_dataset(manifest, node),
    )


def _sentence(
    status: Status, said: str, seconds: float | None, limits: Mapping[str, str], result: Mapping[str, Any]
) -> str:
    if status is Status.ERROR or seconds is None:
        why = " ".join(str(result.get("error") or "dbt gave no message").split())[:500]
        return f"its freshness could not be found: {why}"
    loaded = f"its newest row was loaded {_describe_age(seconds)} ago"
    return loaded if status is Status.PASSED else f"{loaded}, more than {limits.get(f'{said}_after', 'is allowed')}"


def _describe_age(seconds: float) -> str:
    unit, length = next((each for each in _UNITS if seconds >= 2 * each[1]), _UNITS[-1])
    count = int(seconds // length)
    return f"{count:,} {unit}{'s'[: count != 1]}"
