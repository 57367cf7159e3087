"""What a run tells of the model that it pushed, for the registry; orchestration interpreter."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from headrace.airflow.ledger import open_task_ledger
from headrace.airflow.lineage import record_registered
from headrace.contracts.files import ContractError
from headrace.contracts.node_run import NodeOutcome, NodeRequest
from headrace.contracts.pipeline import SOURCES_FILE, Build, CompiledPipeline
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger
    from headrace.ledger.views_models import VersionFacts

log = logging.getLogger(__name__)
_SAVED_MODEL_FOLDER = "Format-Serving"  # of TFX's Model artifacts
_SCHEMA_FILE = "schema.pbtxt"


def register_pushed_model(settings: Settings, context: Context, pipeline: str, node: str, pusher: NodeOutcome) -> None:
    """Register the model that a Pusher pushed; again for the same run and content: nothing more.

    What was pushed to another system than a folder of this machine is that system's: it is not registered.

    Args:
        settings: Of the project of the pipeline.
        context: Of the Pusher's task.
        pipeline: Its name, which is the model's.
        node: The Pusher's id.
        pusher: Its outcome.

    Raises:
        RegistryError: It could not be kept whole; nothing was registered.
        LedgerError: It could not be recorded; nothing was registered.
    """
    if pusher.pushed_to is None:
        return
    pushed = Path(pusher.pushed_to.removeprefix("file://"))
    if not pushed.is_absolute():
        log.info("Pushed to %s, which is no folder of this machine: not registered", pusher.pushed_to)
        return
    from headrace.registry.register import register_version
    from headrace.registry.sources import gather_sources

    task = context["ti"]
    folder = settings.compiled_pipeline_dir(pipeline)
    outcomes = _load_outcomes(folder, task.dag_id, str(context["run_id"]), task.task_id.removesuffix(node))
    with open_task_ledger() as ledger:
        facts = _gather(ledger, folder, task.dag_id, str(context["run_id"]), pipeline, pushed.name, pusher, outcomes)
        facts = replace(facts, parameters=_load_parameters(task.dag_id, str(context["run_id"]), task.task_id))
        sources = gather_sources(settings.tfx_pipelines_dir, folder / SOURCES_FILE, facts.code)
        version = register_version(ledger, load_settings(), pushed, facts, sources=sources)
    record_registered(context, pipeline, pusher, version)
    log.info("Registered as %s, digest %s", version.name, version.digest[:12])


def _gather(
    ledger: "Ledger",
    folder: Path,
    dag_id: str,
    run_id: str,
    pipeline: str,
    pushed_version: str,
    pusher: NodeOutcome,
    outcomes: Sequence[NodeOutcome],
) -> "VersionFacts":
    from headrace.ledger.views_models import VersionFacts

    try:
        code: Mapping[str, str] = CompiledPipeline.load(folder).sources
        build = Build.load(folder)
        built = {"ir": build.ir, "commit": build.commit, "dirty": build.dirty, "lock": build.lock}
    except ContractError as error:  # the node ran by it, so this is what an older Headrace compiled
        log.warning("What the pipeline was compiled from is not known: %s", error)
        code, built = {}, {}
    metrics = next((outcome.metrics for outcome in outcomes if outcome.metrics), None) or {}
    return VersionFacts(
        model=pipeline,
        dag_id=dag_id,
        run_id=run_id,
        pushed_version=pushed_version,
        metrics=metrics,
        baseline=_find_baseline(ledger, pipeline, metrics, outcomes),
        signature=pusher.signature or {},
        features=next((outcome.features for outcome in outcomes if outcome.features is not None), ()),
        code={**code, **{name: digest for outcome in outcomes for name, digest in outcome.code.items()}},
        schema_digest=_digest_schema(outcomes),
        **built,  # type: ignore[arg-type]
    )


def _load_parameters(dag_id: str, run_id: str, task_id: str) -> Mapping[str, Any] | None:
    """Return the values of runtime parameters that a task gave to its node, as every task of its group does."""
    try:
        return NodeRequest.load(load_settings().task_folder(dag_id, run_id, task_id)).parameters
    except ContractError:
        return None


def _load_outcomes(folder: Path, dag_id: str, run_id: str, group: str) -> list[NodeOutcome]:
    """Return what the nodes of this run came to, in the pipeline's order; those that left nothing are left out."""
    try:
        nodes = CompiledPipeline.load(folder).nodes
    except ContractError:
        return []
    runs, found = load_settings(), []
    for node in nodes:
        try:
            found.append(NodeOutcome.load(runs.task_folder(dag_id, run_id, f"{group}{node.id}")))
        except ContractError:
            continue  # not run, or not by a task of this group
    return found


def _find_baseline(
    ledger: "Ledger", pipeline: str, metrics: Mapping[str, Any], outcomes: Sequence[NodeOutcome]
) -> dict[str, Any] | None:
    """Return the metrics of the model that it was compared with, and that model's number where it is registered."""
    if not metrics.get("baseline"):
        return None
    from headrace.exceptions import RegistryError
    from headrace.ledger.query_models import find_version_of_digest
    from headrace.registry.trees import digest_tree

    number = None
    for artifact in _list_artifacts(outcomes, "baseline_model", ""):
        try:
            digest = digest_tree(Path(str(artifact["uri"])) / _SAVED_MODEL_FOLDER).digest
        except RegistryError as error:
            log.info("Which version the baseline is, is not known: %s", error)
            continue
        number = find_version_of_digest(ledger, pipeline, digest)
    return {"version": number, "metrics": metrics["baseline"]}


def _digest_schema(outcomes: Sequence[NodeOutcome]) -> str | None:
    """Return the SHA-256 of the schema that the Trainer read, else of the first that the run made."""
    found = [*_list_artifacts([each for each in outcomes if each.features is not None], "schema", "Schema")]
    found += _list_artifacts(outcomes, "", "Schema")
    for artifact in found:
        file = Path(str(artifact["uri"])) / _SCHEMA_FILE
        if file.is_file():
            return hashlib.sha256(file.read_bytes()).hexdigest()
    return None


def _list_artifacts(outcomes: Sequence[NodeOutcome], key: str, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the artifacts that nodes read or made under a key, or of a type."""
    for outcome in outcomes:
        for named in (outcome.inputs, outcome.outputs):
            for name, artifacts in named.items():
                yield from (each for each in artifacts if name == key or (kind and each.get("type") == kind))
