"""Events of OpenLineage from what the ledger recorded; the client and Airflow's provider are real.

``OPENLINEAGE_SPEC`` may name the folder ``spec`` of a checkout of OpenLineage: events are held to its schemas then.
"""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ledger_book import NOW, result
from sqlalchemy import insert

from headrace.airflow.openlineage import describe_task
from headrace.ledger import schema
from headrace.ledger.columns import DatasetColumns, record_columns
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.recording import record_results
from headrace.ledger.runs import DataVersion, LineageRun, Newest, record_runs
from headrace.ledger.views import TaskTry
from headrace.settings import load_settings

KEY = "2013-02"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger in which a file was landed."""
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    transport = {"type": "file", "log_file_path": str(tmp_path / "events" / "event"), "append": False}
    (tmp_path / "events").mkdir()
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__NAMESPACE", "headrace")
    from airflow.providers.openlineage import conf

    for each in vars(conf).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()
    with open_ledger(load_settings().ledger_path) as opened:
        file = DataVersion("raw_weather.file", KEY, "f" * 64, "file", rows=3, uri=str(tmp_path / "landing" / "a.csv"))
        raw = DataVersion("raw_weather", KEY, "f" * 64, "source", rows=3, uri="raw.weather")
        record_runs(opened, TaskTry("data", "r", "land"), KEY, [LineageRun("land.raw", "land", [file], [raw])], now=NOW)
        with opened.begin() as connection:
            known = {"kind": "source", "relation": "raw.weather", "owner": "data@example.com", "project": "p"}
            connection.execute(insert(schema.dataset).values(name="raw_weather", description="Hourly.", **known))
        yield opened


def describe(task_id: str) -> Any:
    task_instance = SimpleNamespace(
        dag_id="data", run_id="r", task_id=task_id, map_index=-1, try_number=1, logical_date=NOW,
        dag_run=SimpleNamespace(logical_date=NOW, run_after=NOW), get_template_context=lambda: {},
    )  # fmt: skip
    return describe_task(SimpleNamespace(project_dir=None), task_instance)  # type: ignore[arg-type]


def load_events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((folder / "events").iterdir())]


def test_what_landed(ledger: Ledger, tmp_path: Path) -> None:
    told = describe("land")
    (read,), (wrote,) = told.inputs, told.outputs
    assert (read.namespace, read.name) == ("file", str(tmp_path / "landing"))
    assert (wrote.name, wrote.outputFacets["outputStatistics"].rowCount) == ("raw.weather", 3)
    assert wrote.facets["version"].datasetVersion == "f" * 64
    assert wrote.facets["ownership"].owners[0].name == "data@example.com"
    (partition,) = wrote.outputFacets["subset"].outputCondition.partitions
    assert partition.dimensions == {"partition_key": KEY}


def test_what_a_gate_found(ledger: Ledger) -> None:
    task = TaskTry("data", "r", "gate")
    record_results(ledger, task, [result(observed=300.5, expected={"max": 200})], now=NOW)
    record_runs(ledger, task, KEY, [LineageRun("gate.gate", "gate", [Newest("raw_weather", KEY)])], now=NOW)
    (read,) = describe("gate").inputs
    (assertion,) = read.inputFacets["dataQualityAssertions"].assertions
    assert (assertion.assertion, assertion.success, assertion.column) == ("max", False, "wind_speed")
    assert (assertion.severity, assertion.actual) == ("error", "300.5")
    assert read.inputFacets["dataQualityMetrics"].rowCount == 3


def test_a_task_that_recorded_nothing_says_nothing(ledger: Ledger) -> None:
    told = describe("unknown")
    assert (told.inputs, told.outputs) == ([], [])


def test_each_node_of_dbt_has_events_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    task = TaskTry("data", "r", "dbt")
    staged = DataVersion("stg_weather", KEY, None, "model", uri="staging.stg_weather")
    moment = NOW + timedelta(minutes=1)
    runs = [
        LineageRun("model.p.stg_weather", "dbt", [Newest("raw_weather", KEY)], [staged], started=NOW, ended=moment),
        LineageRun("model.p.broken", "dbt", [Newest("stg_weather", KEY)], state="failed", started=NOW, ended=moment),
    ]
    record_runs(ledger, task, KEY, runs, now=NOW)
    edges = {("wind", "raw_weather", "wind_speed", "direct"), ("", "raw_weather", "origin", "indirect")}
    record_columns(ledger, {"stg_weather": DatasetColumns("c", ["wind"], edges)})
    folder = load_settings().task_folder("data", "r", "dbt")
    folder.mkdir(parents=True)
    compiled = {"unique_id": "model.p.stg_weather", "compiled_code": "select wind_speed as wind from raw.weather"}
    (folder / "run_results.json").write_text(json.dumps({"results": [compiled]}))
    told = describe("dbt")
    assert (told.inputs, told.outputs) == ([], [])
    events = load_events(tmp_path)
    by_name = {(event["job"]["name"], event["eventType"]): event for event in events}
    assert set(by_name) == {
        ("data.model.p.stg_weather", "START"), ("data.model.p.stg_weather", "COMPLETE"),
        ("data.model.p.broken", "START"), ("data.model.p.broken", "FAIL"),
    }  # fmt: skip
    done = by_name["data.model.p.stg_weather", "COMPLETE"]
    (output,) = done["outputs"]
    (source,) = output["facets"]["columnLineage"]["fields"]["wind"]["inputFields"]
    assert (source["name"], source["field"]) == ("raw.weather", "wind_speed")
    assert done["job"]["facets"]["sql"]["query"] == compiled["compiled_code"]
    assert done["run"]["facets"]["parent"]["job"]["name"] == "data.dbt"
    assert done["run"]["runId"] == by_name["data.model.p.stg_weather", "START"]["run"]["runId"]
    assert by_name["data.model.p.broken", "FAIL"]["run"]["facets"]["errorMessage"]
    if spec := os.environ.get("OPENLINEAGE_SPEC"):
        check_schemas(events, Path(spec))


def check_schemas(events: list[dict[str, Any]], spec: Path) -> None:
    """Hold events, and each of their facets, to the schemas of OpenLineage."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    documents = [json.loads(file.read_text()) for file in (spec / "OpenLineage.json", *spec.glob("facets/*.json"))]
    registry = Registry().with_resources(
        [(each["$id"], Resource.from_contents(each)) for each in documents if "$id" in each]
    )
    for event in events:
        Draft202012Validator(documents[0], registry=registry).validate(event)
        for facet in list_facets(event):
            Draft202012Validator({"$ref": facet["_schemaURL"]}, registry=registry).validate(facet)


def list_facets(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if "_schemaURL" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from list_facets(each)
