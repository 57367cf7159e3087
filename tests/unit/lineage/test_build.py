"""One graph from dbt's manifest, suites and pipelines."""

from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.files import ContractError
from headrace.contracts.lineage import Dataset, Lineage
from headrace.contracts.pipeline import CompiledPipeline
from headrace.dbt.manifest import parse_manifest
from headrace.gx.suites import SuiteDocument
from headrace.lineage.build import build_lineage


def node(kind: str, name: str, upstream: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"resource_type": kind, "name": name, "package_name": "p", "depends_on": {"nodes": list(upstream)}, **more}


MANIFEST = parse_manifest(
    {
        "metadata": {"project_name": "p"},
        "sources": {
            "source.p.raw.sales": node(
                "source", "sales", source_name="raw", schema="Raw", relation_name="x", source_meta={"owner": "till"}
            )
        },
        "nodes": {
            "model.p.orders": node(
                "model", "orders", ("source.p.raw.sales",), schema="marts", relation_name="x", group="analytics"
            ),
            "model.p.totals": node(
                "model", "totals", ("model.p.orders",), schema="marts", relation_name="x", config={"meta": {"tier": 1}}
            ),
            "test.p.unique": node("test", "unique", ("model.p.orders",)),
        },
        "groups": {"group.p.analytics": {**node("group", "analytics"), "owner": {"email": "a@example.com"}}},
        "exposures": {
            "exposure.p.revenue": {**node("exposure", "revenue", ("model.p.totals",)), "owner": {"name": "Board"}}
        },
    }
)


def suite(name: str, **meta: Any) -> SuiteDocument:
    return SuiteDocument(name, Path(), [{"type": "x"}], meta, {})


def pipeline(name: str, **metadata: Any) -> CompiledPipeline:
    return CompiledPipeline(name, (), {}, {}, metadata)


def build(suites: tuple[SuiteDocument, ...] = (), pipelines: tuple[CompiledPipeline, ...] = ()) -> Lineage:
    return build_lineage("/p", MANIFEST, suites, pipelines)


def by_name(lineage: Lineage) -> dict[str, Dataset]:
    return {dataset.name: dataset for dataset in lineage.datasets}


def test_dbt_says_what_is_made_from_what_and_whose_it_is() -> None:
    lineage = build()
    assert lineage.edges == (("orders", "totals"), ("raw_sales", "orders"))
    found = by_name(lineage)
    assert found["raw_sales"] == Dataset("raw_sales", "source", "raw.sales", "till", docs="source.p.raw.sales")
    assert found["orders"].owner == "a@example.com", "the group's"
    assert (found["totals"].owner, found["totals"].tier) == ("Board", "1"), "the exposure's"


def test_a_suite_adds_to_the_dataset_of_its_name() -> None:
    found = by_name(build((suite("raw_sales", runbook="https://r", owner="somebody"),)))
    assert (found["raw_sales"].owner, found["raw_sales"].runbook) == ("till", "https://r")


def test_a_suite_of_another_name_stands_where_its_table_does() -> None:
    lineage = build((suite("headcount", table="Marts.Orders", owner="hr"), suite("loose", table="other.t")))
    assert {("raw_sales", "headcount"), ("headcount", "totals")} <= set(lineage.edges)
    found = by_name(lineage)
    assert (found["headcount"].kind, found["headcount"].owner) == ("model", "hr")
    assert found["loose"] == Dataset("loose", "other", "other.t")
    assert not any("loose" in edge for edge in lineage.edges)


def test_a_pipeline_is_made_from_what_its_exposure_or_it_says() -> None:
    lineage = build(
        pipelines=(pipeline("revenue", runbook="https://r"), pipeline("other", reads=["orders", "elsewhere"]))
    )
    edges = set(lineage.edges)
    assert {("totals", "revenue.examples"), ("revenue.examples", "revenue.model")} <= edges
    assert {("orders", "other.examples"), ("elsewhere", "other.examples")} <= edges
    found = by_name(lineage)
    assert (found["revenue.model"].owner, found["revenue.model"].runbook) == ("Board", "https://r")
    assert "elsewhere" not in found, "it is another project's to describe"


def test_the_fingerprint_is_of_what_is_said_and_not_of_the_order(tmp_path: Path) -> None:
    one, other = suite("one", table="a.b"), suite("other", table="c.d")
    assert build((one, other)).fingerprint == build((other, one)).fingerprint
    assert build((one,)).fingerprint != build((one, other)).fingerprint
    file = tmp_path / "compiled" / "lineage.json"
    with pytest.raises(ContractError, match="does not exist"):
        Lineage.load(file)
    build((one,)).write(file)
    assert Lineage.load(file) == build((one,))
    file.write_text('{"contract_version": 1, "lineage": {"project": 1}}')
    with pytest.raises(ContractError, match="is not a lineage"):
        Lineage.load(file)
