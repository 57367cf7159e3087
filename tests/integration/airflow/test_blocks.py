"""Mistakes in a DAG file are told when it is loaded, or before anything is built."""

from pathlib import Path

import duckdb
import pytest
import yaml
from airflow.sdk import Asset

from headrace import PublishPartition, QualityGate
from headrace.airflow.operators.dbt_node import refuse_held_partition
from headrace.contracts.files import write_json
from headrace.exceptions import CheckFailedError, ConfigurationError
from headrace.settings import Settings, load_settings
from headrace.warehouse.holds import hold_partition, release_partition


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A project with one landed source, compiled."""
    settings = load_settings(tmp_path)
    source = {
        "source_name": "raw",
        "name": "weather",
        "schema": "raw",
        "config": {"meta": {"landing": "weather/{partition_key}.csv"}},
        "columns": {"origin": {"name": "origin", "data_type": "varchar"}},
    }
    write_json(settings.dbt_manifest, {"sources": {"source.p.raw.weather": source}})
    warehouse = tmp_path / "w.duckdb"
    output = {"type": "duckdb", "path": str(warehouse)}
    profiles = {"p": {"target": "local", "outputs": {"local": output}}}
    settings.dbt_profiles.write_text(yaml.safe_dump(profiles))
    duckdb.connect(str(warehouse)).close()
    return settings


def test_an_unknown_suite_is_told_with_those_that_there_are(settings: Settings) -> None:
    folder = settings.expectations_dir / "expectations"
    folder.mkdir(parents=True)
    (folder / "raw_weather.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"No suite raw_wether .* there is raw_weather"):
        QualityGate("raw_wether", project_dir=settings.project_dir)
    assert QualityGate("raw_weather", project_dir=settings.project_dir).suites == ["raw_weather"]


@pytest.mark.parametrize("name", ["../../evil", "a/b", ".hidden", "x y"])
def test_an_asset_whose_name_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="names the folder of its published partitions"):
        PublishPartition("marts.t", Asset(name, uri="x-test://t"))


def test_dbt_refuses_a_partition_that_no_gate_let_through(settings: Settings, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    refuse_held_partition(settings, "2013-02")
    hold_partition(warehouse, ["raw.weather"], "2013-02", "landed, not checked yet")
    with pytest.raises(CheckFailedError, match=r"raw\.weather 2013-02 is held: landed, not checked yet"):
        refuse_held_partition(settings, "2013-02")
    refuse_held_partition(settings, "2013-03")
    release_partition(warehouse, ["raw.weather"], "2013-02")
    refuse_held_partition(settings, "2013-02")


def test_a_hold_on_what_dbt_itself_builds_does_not_keep_it_from_building_again(
    settings: Settings, tmp_path: Path
) -> None:
    hold_partition(tmp_path / "w.duckdb", ["marts.flight_features"], "2013-02", "the features failed")
    refuse_held_partition(settings, "2013-02")
