"""What a run of dbt says of what each node read and built."""

from typing import Any

import pytest

from headrace.dbt.manifest import DbtManifest, DbtNode
from headrace.dbt.node_runs import ALL, digest_sql, list_node_runs
from headrace.exceptions import ConfigurationError


def manifest(**meta: Any) -> DbtManifest:
    nodes = [
        DbtNode("source.p.raw.x", "raw_x", "source", relation="raw.x"),
        DbtNode("model.p.a", "a", "model", relation="main.a", upstream=("source.p.raw.x",), meta=meta),
        DbtNode("model.p.b", "b", "model", relation="main.b", upstream=("model.p.a", "macro.p.m")),
        DbtNode("test.p.t", "t", "test", upstream=("model.p.a",)),
    ]
    return DbtManifest("p", {node.unique_id: node for node in nodes})


def ran(unique_id: str, status: str = "success", minute: int = 0, code: str | None = "select 1") -> dict[str, Any]:
    moment = f"2026-11-24T09:{minute:02d}:00.000000Z"
    timing = [{"name": "execute", "started_at": moment, "completed_at": moment}]
    return {"unique_id": unique_id, "status": status, "timing": timing, "compiled_code": code, "adapter_response": {}}


def test_nodes_in_the_order_in_which_they_ended() -> None:
    results = {"results": [ran("model.p.b", minute=2), ran("test.p.t", "pass", 1), ran("model.p.a", minute=1)]}
    found = list_node_runs(results, manifest(), "2013-02")
    assert [(run.name, run.reads, run.lookback, run.succeeded) for run in found] == [
        ("a", ("raw_x",), 0, True), ("b", ("a",), 0, True),
    ]  # fmt: skip


def test_what_failed_was_tried_and_what_was_skipped_was_not() -> None:
    found = list_node_runs({"results": [ran("model.p.a", "error"), ran("model.p.b", "skipped")]}, manifest(), None)
    assert [(run.name, run.succeeded) for run in found] == [("a", False)]


@pytest.mark.parametrize(("said", "lookback"), [(1, 1), ("all", ALL), (0, 0)])
def test_how_far_a_model_looks_back(said: Any, lookback: int) -> None:
    (run,) = list_node_runs({"results": [ran("model.p.a")]}, manifest(lookback_partitions=said), "2013-02")
    assert run.lookback == lookback


@pytest.mark.parametrize("said", [-1, "some", True, 1.5])
def test_a_lookback_that_cannot_be_meant(said: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Model a: meta\.lookback_partitions"):
        list_node_runs({"results": [ran("model.p.a")]}, manifest(lookback_partitions=said), "2013-02")


def test_every_month_has_the_same_code() -> None:
    january, february = (digest_sql(f"select *\n from x where key = '{key}'", key) for key in ("2013-01", "2013-02"))
    assert january == february
    assert digest_sql("select 1", "2013-01") != january
    assert digest_sql(None, "2013-01") is None
