"""Put what dbt, the suites and the pipelines say of datasets together; pure, orchestration interpreter."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from headrace.contracts.lineage import Dataset, Lineage, name_examples, name_file, name_model
from headrace.contracts.pipeline import CompiledPipeline
from headrace.dbt.manifest import DbtManifest, DbtNode
from headrace.dbt.ownership import describe_dataset
from headrace.gx.suites import SuiteDocument
from headrace.quality.identifiers import name_relation

DBT_KINDS = ("source", "model", "seed", "snapshot")
_WORDS = ("owner", "tier", "runbook")


def build_lineage(
    project: str,
    manifest: DbtManifest | None,
    suites: Iterable[SuiteDocument],
    pipelines: Iterable[CompiledPipeline],
) -> Lineage:
    """Build the graph of a project's datasets.

    A suite whose dataset dbt does not know, but whose table it does, gets the upstreams and downstreams of that
    table. A pipeline is made from what it ``reads``, as its ``headrace.json`` says, else from what the dbt exposure
    of its name depends on.

    Args:
        project: The project's folder.
        manifest: None where the project has no dbt.
        suites: All of its suites.
        pipelines: All of its compiled pipelines.
    """
    nodes = {id_: node for id_, node in (manifest.nodes.items() if manifest else ()) if node.resource_type in DBT_KINDS}
    names = {unique_id: node.name for unique_id, node in nodes.items()}
    datasets = {node.name: _describe_node(manifest, node) for node in nodes.values() if manifest}
    edges = {(names[upstream], node.name) for node in nodes.values() for upstream in node.upstream if upstream in names}
    edges |= _add_files(nodes.values(), datasets)
    for suite in suites:
        edges |= _add_suite(suite, datasets, edges)
    for pipeline in pipelines:
        edges |= _add_pipeline(pipeline, manifest, names, datasets)
    return Lineage.of(project, datasets.values(), edges)


def _add_files(nodes: Iterable[DbtNode], datasets: dict[str, Dataset]) -> set[tuple[str, str]]:
    """Add the files that land in sources; return the edges that they bring."""
    edges = set()
    for node in nodes:
        if node.resource_type == "source" and "landing" in node.meta:
            table = datasets[node.name]
            file = replace(table, name=name_file(table.name), kind="file", relation=None, description=None, docs=None)
            datasets[file.name] = file
            edges.add((file.name, table.name))
    return edges


def _describe_node(manifest: DbtManifest, node: DbtNode) -> Dataset:
    return Dataset(
        name=node.name,
        kind=node.resource_type,
        relation=name_relation(node.relation) if node.relation else None,
        description=node.description or None,
        docs=node.unique_id,
        **_read_words(describe_dataset(manifest, node)),
    )


def _add_suite(suite: SuiteDocument, datasets: dict[str, Dataset], edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Add a suite's dataset, or what it says to one that is there; return the edges that it brings."""
    target, words = suite.target(), _read_words(suite.meta)
    known = datasets.get(target.dataset)
    if known is not None:
        datasets[target.dataset] = replace(
            known,
            owner=known.owner or words["owner"],
            tier=known.tier or words["tier"],
            runbook=known.runbook or words["runbook"],
        )
        return set()
    relation = name_relation(target.table)
    twin = next((each for each in datasets.values() if each.relation == relation), None)
    if twin is not None:
        words = {name: words[name] or getattr(twin, name) for name in _WORDS}
    datasets[target.dataset] = Dataset(
        name=target.dataset,
        kind=twin.kind if twin else "other",
        relation=relation,
        description=twin.description if twin else None,
        docs=twin.docs if twin else None,
        **words,
    )
    if twin is None:
        return set()
    above = {(upstream, target.dataset) for upstream, downstream in edges if downstream == twin.name}
    return above | {(target.dataset, downstream) for upstream, downstream in edges if upstream == twin.name}


def _add_pipeline(
    pipeline: CompiledPipeline,
    manifest: DbtManifest | None,
    names: Mapping[str, str],
    datasets: dict[str, Dataset],
) -> set[tuple[str, str]]:
    words, description = _read_words(pipeline.metadata), pipeline.metadata.get("description")
    exposure = next(
        (
            node
            for node in (manifest.nodes.values() if manifest else ())
            if node.resource_type == "exposure" and node.name == pipeline.name
        ),
        None,
    )
    if exposure is not None and manifest is not None:
        about = _read_words(describe_dataset(manifest, exposure))
        words = {name: words[name] or about[name] for name in _WORDS}
    examples, model = name_examples(pipeline.name), name_model(pipeline.name)
    said = None if description is None else str(description)
    datasets[examples] = Dataset(examples, "examples", description=said, **words)
    datasets[model] = Dataset(model, "trained_model", description=said, **words)
    exposed = [names[upstream] for upstream in exposure.upstream if upstream in names] if exposure else []
    reads = [str(each) for each in pipeline.metadata.get("reads", exposed)]
    return {(examples, model)} | {(dataset, examples) for dataset in reads}


def _read_words(meta: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: str(meta[name]) if meta.get(name) else None for name in _WORDS}
