"""Which files land where, as dbt's manifest says."""

import json
from pathlib import Path

import pytest

from headrace.exceptions import ConfigurationError
from headrace.warehouse.landing_tables import load_landing_tables

DATA = Path(__file__).parents[2] / "data" / "dbt"


def write(folder: Path, **changes: object) -> Path:
    manifest = json.loads((DATA / "manifest.json").read_text())
    (source,) = manifest["sources"].values()
    source.update(changes)
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path


def test_a_captured_manifest() -> None:
    (table,) = load_landing_tables(DATA / "manifest.json")
    assert (table.name, table.relation, table.partitioned) == ("field_notes.penguins", "field_notes.penguins", True)
    assert table.columns["bill_length_mm"] == "double"
    assert (table.nulls, table.partition_expression) == (("NA",), "year::varchar")
    assert table.path(Path("/landing"), "2007") == Path("/landing/penguins/2007.csv")


def test_meta_outside_config_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path, config={}, meta={"landing": "whole.csv"})
    (table,) = load_landing_tables(path)
    assert (table.file, table.partitioned, table.nulls) == ("whole.csv", False, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {}, "meta": {}}, "has no source with `meta: {landing: <file>}`"),
        ({"columns": {}}, "without one: every column"),
        ({"columns": {"a": {"name": "a", "data_type": None}}}, "needs a name and a data_type; without one: a"),
        ({"schema": 'x"; drop'}, "is not a name"),
    ],
)
def test_what_a_source_must_say(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        load_landing_tables(write(tmp_path, **changes))


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run `dbt parse`"):
        load_landing_tables(tmp_path / "manifest.json")
