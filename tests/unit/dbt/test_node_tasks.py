"""Which nodes become tasks: small manifests, as dbt writes them."""

from typing import Any

import pytest
from benchmarks.dbt_project import generate

from headrace.dbt.node_tasks import NodeTasks, plan_node_tasks


def node(unique_id: str, *parents: str, **config: Any) -> tuple[str, dict[str, Any]]:
    kind, package, name = unique_id.split(".", 2)
    return unique_id, {
        "resource_type": kind,
        "fqn": [package, *name.split(".")],
        "depends_on": {"nodes": list(parents)},
        "config": {"materialized": "view", **config},
    }


MANIFEST = {
    "nodes": dict(
        [
            node("seed.shop.codes"),
            node("model.shop.orders", "source.shop.till.sales", "seed.shop.codes"),
            node("model.shop.cleaned", "model.shop.orders", materialized="ephemeral"),
            node("model.shop.totals", "model.shop.cleaned"),
            node("snapshot.shop.history", "model.shop.totals"),
            node("model.shop.apart.v2"),
            node("test.shop.unique_orders.1", "model.shop.orders"),
            node("test.shop.totals_are_of_orders.2", "model.shop.totals", "model.shop.orders"),
            node("test.shop.not_null_sales.3", "source.shop.till.sales"),
        ]
    ),
    "unit_tests": dict([node("unit_test.shop.totals.adds_up", "model.shop.totals")]),
}


def plan(selected: set[str] | None = None, excluded: tuple[str, ...] = ()) -> dict[str, NodeTasks]:
    return {each.name: each for each in plan_node_tasks(MANIFEST, selected or set(MANIFEST["nodes"]), excluded)}


def test_models_seeds_and_snapshots_are_tasks_and_each_follows_what_it_is_made_from() -> None:
    tasks = plan()
    assert {name: each.verb for name, each in tasks.items()} == {
        "apart_v2": "run",
        "codes": "seed",
        "history": "snapshot",
        "orders": "run",
        "totals": "run",
    }
    names = list(tasks)
    assert names.index("codes") < names.index("orders") < names.index("totals") < names.index("history")
    assert tasks["totals"].upstream == ("model.shop.orders",), "over the ephemeral model"
    assert tasks["apart_v2"].selector == "fqn:shop.apart.v2"


def test_a_model_beside_a_folder_of_its_name_is_selected_by_its_file_too() -> None:
    nodes = dict([node("model.shop.staging"), node("model.shop.inner"), node("model.shop.apart")])
    nodes["model.shop.staging"]["original_file_path"] = "models/staging.sql"
    nodes["model.shop.inner"]["fqn"] = ["shop", "staging", "inner"]
    planned = {each.name: each.selector for each in plan_node_tasks({"nodes": nodes}, set(nodes))}
    assert planned == {
        "staging": "fqn:shop.staging,file:staging.sql",
        "inner": "fqn:shop.staging.inner",
        "apart": "fqn:shop.apart",
    }


def test_a_test_of_two_models_is_of_the_one_that_is_built_last() -> None:
    tasks = plan()
    assert tasks["orders"].tests == ("test.shop.unique_orders.1",)
    assert tasks["totals"].tests == ("test.shop.totals_are_of_orders.2",)
    assert tasks["totals"].unit_tests == ("unit_test.shop.totals.adds_up",)


def test_a_selection_keeps_the_order_over_what_it_leaves_out() -> None:
    tasks = plan({"seed.shop.codes", "model.shop.totals"})
    assert set(tasks) == {"codes", "totals"}
    assert tasks["totals"].upstream == ("seed.shop.codes",)
    assert tasks["totals"].tests == ("test.shop.totals_are_of_orders.2",), "dbt runs it where any of its models is"


def test_an_excluded_test_has_no_task() -> None:
    assert plan(excluded=("test.shop.unique_orders.1",))["orders"].tests == ()


def test_two_nodes_of_one_name_have_groups_of_their_own() -> None:
    manifest = {"nodes": dict([node("model.a.same"), node("model.b.same")])}
    assert [each.name for each in plan_node_tasks(manifest, set(manifest["nodes"]))] == ["model_a_same", "model_b_same"]


@pytest.mark.parametrize("models", [150, 40])
def test_the_benchmarks_project_is_the_same_every_time(tmp_path: Any, models: int) -> None:
    first, second = (generate(tmp_path / name, tmp_path / "w", models) for name in ("a", "b"))
    assert first == second
    assert len(set(first)) == models
    files = [{file.name: file.read_text() for file in (tmp_path / name / "models").iterdir()} for name in ("a", "b")]
    assert files[0] == files[1]
