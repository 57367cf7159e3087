"""What a change to a dbt project does to columns, here and downstream."""

from typing import Any

from headrace.dbt.changes import NodeChange, compare_projects, trace_project

RAW = {"source.p.raw.flights": {"schema": "raw", "name": "flights", "columns": {
    name: {"name": name, "data_type": "int"} for name in ("id", "delay", "seats")}}}  # fmt: skip
MODELS = {
    "stg": ("select id, delay, seats from raw.flights", ["source.p.raw.flights"]),
    "mid": ("select id, delay * 2 as twice, seats from main.stg", ["model.p.stg"]),
    "features": ("select id, twice, seats from main.mid", ["model.p.mid"]),
    "other": ("select seats from main.stg", ["model.p.stg"]),
}


def project(**models: str | None) -> dict[str, Any]:
    nodes = {}
    for name, (sql, upstream) in MODELS.items():
        code = models.get(name, sql)
        if code is not None:
            nodes[f"model.p.{name}"] = {
                "resource_type": "model", "name": name, "schema": "main", "compiled_code": code, "columns": {},
                "depends_on": {"nodes": upstream},
            }  # fmt: skip
    for name, code in models.items():
        if name not in MODELS:
            nodes[f"model.p.{name}"] = {
                "resource_type": "model", "name": name, "schema": "main", "compiled_code": code, "columns": {},
                "depends_on": {"nodes": ["model.p.stg"]},
            }  # fmt: skip
    return {"metadata": {"adapter_type": "duckdb"}, "nodes": nodes, "sources": RAW}


def compare(**models: str | None) -> dict[str, NodeChange]:
    modified = {f"model.p.{name}" for name in models}
    found = compare_projects(trace_project(project()), trace_project(project(**models)), modified)
    return {each.name: each for each in found}


def test_a_comment_changes_a_model_and_nothing_of_its_content() -> None:
    found = compare(stg="select id, delay, seats from raw.flights -- words")
    assert list(found) == ["stg"]
    assert not found["stg"].matters


def test_a_column_that_is_computed_in_another_way_reaches_what_uses_it() -> None:
    found = compare(stg="select id, abs(delay) as delay, seats from raw.flights")
    assert {name: each.changed for name, each in found.items()} == {
        "stg": ("delay",), "mid": ("twice",), "features": ("twice",),
    }  # fmt: skip
    assert [found[name].change for name in ("stg", "mid", "features")] == ["modified", "downstream", "downstream"]


def test_a_filter_reaches_every_column_downstream() -> None:
    found = compare(mid="select id, delay * 2 as twice, seats from main.stg where seats > 0")
    assert (found["mid"].rows, found["features"].rows, found["features"].whole) == (True, True, True)
    assert "other" not in found


def test_a_removed_column_and_a_renamed_one() -> None:
    found = compare(
        mid="select id, delay * 2 as double from main.stg", features="select id, double as twice from main.mid"
    )
    assert (found["mid"].removed, found["mid"].added) == (("seats", "twice"), ("double",))
    assert (found["features"].removed, found["features"].changed) == (("seats",), ("twice",))


def test_models_that_come_and_go() -> None:
    found = compare(features=None, new="select delay from main.stg")
    assert (found["features"].change, found["features"].removed) == ("removed", ("id", "twice", "seats"))
    assert (found["new"].change, found["new"].added) == ("added", ("delay",))


def test_what_cannot_be_traced_touches_everything_made_from_it() -> None:
    found = compare(mid="selec oops")
    assert found["mid"].problem
    assert found["mid"].whole
    assert found["features"].whole or found["features"].problem
