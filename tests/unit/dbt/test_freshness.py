"""``sources.json`` as dbt writes it: a fresh source, one that warns, a stale one and one whose age is unknown."""

import json
from pathlib import Path

import pytest

from headrace.contracts.check_result import Severity, Status
from headrace.dbt.freshness import load_freshness, parse_errors, parse_freshness
from headrace.dbt.manifest import DbtManifest, load_manifest
from headrace.exceptions import DbtRunError

DATA = Path(__file__).parents[2] / "data" / "dbt"
PENGUINS = "source.penguins.field_notes.penguins"
CRITERIA = {"warn_after": {"count": 1, "period": "day"}, "error_after": {"count": 2, "period": "day"}, "filter": None}


@pytest.fixture(scope="module")
def manifest() -> DbtManifest:
    return load_manifest(DATA / "manifest.json")


def find(status: str, age: float) -> dict:
    return {
        "unique_id": PENGUINS,
        "status": status,
        "max_loaded_at": "2026-01-01T00:00:00Z",
        "max_loaded_at_time_ago_in_s": age,
        "criteria": CRITERIA,
    }


@pytest.mark.parametrize(
    ("status", "age", "severity", "expected", "message"),
    [
        ("pass", 3600.0, Severity.CRITICAL, Status.PASSED, "its newest row was loaded 60 minutes ago"),
        ("warn", 90_000.0, Severity.WARNING, Status.FAILED, "its newest row was loaded 25 hours ago, more than 1 day"),
        (
            "error",
            900_000.0,
            Severity.CRITICAL,
            Status.FAILED,
            "its newest row was loaded 10 days ago, more than 2 days",
        ),
    ],
)
def test_an_age_becomes_a_result(
    manifest: DbtManifest, status: str, age: float, severity: Severity, expected: Status, message: str
) -> None:
    (check,) = parse_freshness({"results": [find(status, age)]}, manifest)
    assert (check.dataset, check.check, check.partition_key) == ("field_notes_penguins", "freshness", None)
    assert (check.severity, check.status) == (severity, expected)
    assert check.message == f"field_notes_penguins: {message}"
    assert check.observed == {"age_seconds": age, "loaded_at": "2026-01-01T00:00:00Z"}
    assert check.expected == {"warn_after": "1 day", "error_after": "2 days"}
    assert check.meta["owner"] == "penguins@example.com", "of the exposure that is made from it"


def test_an_age_that_could_not_be_found_is_an_error(manifest: DbtManifest) -> None:
    broken = {"unique_id": "source.other.a.b", "error": "Catalog Error:\n no such table", "status": "runtime error"}
    (check,) = parse_freshness({"results": [broken]}, manifest)
    assert (check.dataset, check.status, check.severity) == ("a_b", Status.ERROR, Severity.CRITICAL)
    assert check.message == "a_b: its freshness could not be found: Catalog Error: no such table"


def test_a_source_that_only_the_log_tells_of_is_an_error(manifest: DbtManifest) -> None:
    """As dbt 1.11 does it: ``sources.json`` leaves out what it could not measure."""
    event = {"info": {"name": "RunResultError"}, "data": {"node_info": {"unique_id": PENGUINS}, "msg": "no table\n x"}}
    broken = parse_errors(f"12:00 plain text\n{json.dumps(event)}\n{json.dumps({'info': {'name': 'Note'}})}\n[]")
    (check,) = parse_freshness({"results": []}, manifest, broken)
    assert (check.dataset, check.status) == ("field_notes_penguins", Status.ERROR)
    assert check.message.endswith("could not be found: no table x")
    (stale,) = parse_freshness({"results": [find("error", 900_000.0)]}, manifest, broken)
    assert stale.status is Status.FAILED, "what was measured is told once"


def test_what_is_no_file_of_dbt_is_told(manifest: DbtManifest, tmp_path: Path) -> None:
    file = tmp_path / "sources.json"
    with pytest.raises(DbtRunError, match="ended before it had any result"):
        load_freshness(file, manifest)
    file.write_text(json.dumps({"results": [{}]}))
    with pytest.raises(DbtRunError, match=r"is not dbt's sources\.json"):
        load_freshness(file, manifest)
