"""What each task of the chain tells of what it read and wrote; orchestration interpreter.

Told in the ledger, in the transaction of the task's results where there is one: a task whose lineage cannot be written
fails as one whose results cannot.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.airflow.ledger import list_datasets, open_task_ledger, task_try
from headrace.contracts.lineage import (
    name_examples,
    name_file,
    name_predictions,
    name_published,
    name_versions,
)
from headrace.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from sqlalchemy import Connection

    from headrace.contracts.node_run import NodeOutcome
    from headrace.contracts.scoring import ScoreOutcome, ScoreRequest
    from headrace.dbt.manifest import DbtManifest
    from headrace.dbt.node_runs import NodeRun
    from headrace.ledger.columns import DatasetColumns
    from headrace.ledger.database import Ledger
    from headrace.ledger.runs import DataVersion
    from headrace.ledger.views_models import ModelVersionRow
    from headrace.warehouse.landing import LandedTable
    from headrace.warehouse.predictions import LoadedPredictions
    from headrace.warehouse.publishing import PublishedPartition

log = logging.getLogger(__name__)
Content = tuple[str, int]
"""A fingerprint, and the id of the data version that has it."""


def record_landed(
    connection: "Connection", context: "Context", partition_key: str, landed: "Sequence[LandedTable]"
) -> None:
    """Record which file each raw table's partition was landed from."""
    from headrace.ledger.runs import DataVersion, LineageRun, record_runs

    runs = []
    for table in landed:
        name, key = table.name.replace(".", "_"), partition_key if table.partitioned else ""
        file = DataVersion(name_file(name), key, table.sha256, "file", rows=table.rows, uri=str(table.path))
        raw = DataVersion(name, key, table.sha256, "source", rows=table.rows, uri=table.relation)
        runs.append(LineageRun(f"land.{name}", "land", [file], [raw]))
    record_runs(connection, task_try(context), partition_key, runs)


def record_dbt(context: "Context", settings: Settings, target: Path) -> None:
    """Record what each node of a run of dbt was made from, and of which columns.

    Args:
        context: Of the task that ran dbt.
        settings: Of the project.
        target: What dbt wrote: its manifest and run results.
    """
    from headrace.dbt.manifest import parse_manifest
    from headrace.dbt.node_runs import list_node_runs
    from headrace.ledger.columns import record_columns
    from headrace.ledger.runs import DataVersion, LineageRun, Newest, record_runs

    document = json.loads((target / "manifest.json").read_bytes())
    results = json.loads((target / "run_results.json").read_bytes())
    manifest, key = parse_manifest(document), context.get("partition_key")
    built = list_node_runs(results, manifest, key)
    if not built:
        return

    def describe(run: "NodeRun") -> LineageRun:
        of_key = key if key and run.kind == "model" else ""
        read = [each for name in run.reads for each in (Newest(name, key or "", run.lookback), Newest(name, ""))]
        made = DataVersion(run.name, of_key, None, run.kind, rows=run.rows, uri=run.relation)
        return LineageRun(
            job=run.unique_id,
            kind="dbt",
            inputs=read,
            outputs=[made] if run.succeeded else [],
            code=run.checksum,
            state="complete" if run.succeeded else "failed",
            started=run.started,
            ended=run.ended,
        )

    with open_task_ledger() as ledger, ledger.begin() as connection:
        record_runs(connection, task_try(context), key, [describe(run) for run in built])
        columns = _trace_changed(connection, document, results, built, manifest)
        record_columns(connection, columns)
    for name, each in columns.items():
        if each.problem:
            log.info("The columns of %s cannot be traced: %s", name, each.problem)


def _trace_changed(
    connection: "Connection",
    document: dict[str, Any],
    results: Mapping[str, Any],
    built: "Sequence[NodeRun]",
    manifest: "DbtManifest",
) -> "dict[str, DatasetColumns]":
    """Trace the columns of what was built by other SQL than the ledger knows; most runs have none of it."""
    from headrace.ledger.columns import DatasetColumns, load_column_checksums

    known = load_column_checksums(connection)
    changed = [run for run in built if run.succeeded and run.checksum and known.get(run.name) != run.checksum]
    if not changed:
        return {}
    from headrace.dbt.changes import trace_project

    for result in results["results"]:  # what was compiled for this run; the manifest may be of before
        node = document["nodes"].get(result["unique_id"])
        if node is not None and result.get("compiled_code"):
            node["compiled_code"] = result["compiled_code"]
    traced = trace_project(document)
    names = {relation: manifest.nodes[id_].name for relation, id_ in traced.relations.items() if id_ in manifest.nodes}
    found = {}
    for run in changed:
        trace = traced.traces[run.unique_id]
        edges = {(e.name, names[e.from_relation], e.from_name, e.how) for e in trace.edges if e.from_relation in names}
        found[run.name] = DatasetColumns(str(run.checksum), traced.columns[run.unique_id], edges, trace.problem)
    return found


def record_gate(
    ledger: "Ledger | Connection", context: "Context", settings: Settings, partition_key: str, tables: Iterable[str]
) -> None:
    """Record which content of its tables a gate looked at; the verdict on it is the ledger's own."""
    from headrace.ledger.runs import LineageRun, Newest, record_runs

    names = {name for table in tables for name in list_datasets(settings, table)}
    read = [Newest(name, each) for name in sorted(names) for each in (partition_key, "")]
    record_runs(ledger, task_try(context), partition_key, [LineageRun(f"gate.{context['ti'].task_id}", "gate", read)])


def record_published(
    context: "Context", settings: Settings, partition_key: str, relation: str, asset: str, file: "PublishedPartition"
) -> None:
    """Record which content of a table became a published partition."""
    from headrace.ledger.runs import DataVersion, LineageRun, Newest, record_runs

    names = sorted({relation.rpartition(".")[2], *list_datasets(settings, relation)})
    made = DataVersion(name_published(asset), partition_key, file.sha256, "features", file.rows, str(file.path))
    read = [Newest(name, each) for name in names for each in (partition_key, "")]  # of the whole project, or of a run
    run = LineageRun(f"publish.{asset}", "publish", read, [made])
    with open_task_ledger() as ledger:
        record_runs(ledger, task_try(context), partition_key, [run])


def record_node(
    connection: "Connection", context: "Context", pipeline: str, outcome: "NodeOutcome", read: "Mapping[str, Content]"
) -> None:
    """Record which artifacts a TFX node read and made, and which published partitions.

    Args:
        connection: A write transaction of the ledger.
        context: Of the node's task.
        pipeline: Its pipeline.
        outcome: What the node came to.
        read: Partition to its content, of what an ExampleGen read.
    """
    from headrace.ledger.runs import LineageRun, record_runs

    inputs = [_describe_artifact(pipeline, each) for artifacts in outcome.inputs.values() for each in artifacts]
    outputs = [_describe_artifact(pipeline, each) for artifacts in outcome.outputs.values() for each in artifacts]
    run = LineageRun(
        job=f"{pipeline}.{outcome.node}",
        kind="tfx",
        inputs=inputs,
        outputs=outputs,
        code=outcome.code_digest,
        execution_id=outcome.execution_id,
        detail={"type": outcome.execution_type, "state": outcome.state, "seconds": outcome.seconds},
    )
    key = str(context.get("partition_key") or "")
    record_runs(connection, task_try(context), key, [run])
    _add_inputs(connection, context, run.job, key, {id_ for _, id_ in read.values()})


def _describe_artifact(pipeline: str, artifact: Mapping[str, Any]) -> "DataVersion":
    from headrace.ledger.runs import DataVersion

    kind = str(artifact.get("type") or "Artifact")
    dataset = name_examples(pipeline) if kind == "Examples" else f"{pipeline}.{kind}"
    # MLMD's ids begin anew when its store is deleted.
    fingerprint = f"mlmd:{artifact.get('id')}:{artifact.get('created', 0)}"
    detail = {"type": kind, "mlmd_id": artifact.get("id")}
    return DataVersion(dataset, "", fingerprint, "artifact", uri=str(artifact.get("uri") or ""), detail=detail)


def _add_inputs(connection: "Connection", context: "Context", job: str, key: str, ids: Iterable[int]) -> None:
    """Add data versions that are there already to what a run read."""
    from sqlalchemy import insert, select

    from headrace.ledger.runs import READ
    from headrace.ledger.schema import lineage_io, lineage_run

    task, run = task_try(context), lineage_run.c
    of = (run.dag_id == task.dag_id) & (run.run_id == task.run_id) & (run.job == job) & (run.partition_key == key)
    run_id: int = connection.execute(select(run.id).where(of)).scalar_one()
    rows = [{"run_id": run_id, "version_id": id_, "role": READ} for id_ in sorted(ids)]
    if rows:
        connection.execute(insert(lineage_io), rows)


def find_contents_read(
    connection: "Connection", context: "Context", datasets: Sequence[str], digests: Mapping[str, str]
) -> dict[str, Content]:
    """Find, and where nobody published them write, the published partitions that an ExampleGen read.

    Args:
        connection: A write transaction of the ledger.
        context: Of the node's task.
        datasets: What the pipeline reads, by the ledger's names.
        digests: Partition to the SHA-256 of the file that was read.

    Returns:
        Partition to its content.
    """
    from headrace.ledger.runs import DataVersion, LineageRun, find_contents, record_runs

    known = find_contents(connection, "features", digests.items())
    found = {key: (digest, int(known[key, digest].id)) for key, digest in digests.items() if (key, digest) in known}
    missing = {key: digest for key, digest in digests.items() if key not in found}
    if missing:
        of = name_published(datasets[0] if datasets else str(context["ti"].dag_id))
        seen = [DataVersion(of, key, digest, "features") for key, digest in missing.items()]
        job = f"seen.{context['ti'].task_id}"
        ids = record_runs(
            connection, task_try(context), context.get("partition_key"), [LineageRun(job, "publish", [], seen)]
        )
        found |= {key: (digest, id_) for (_, key, digest), id_ in ids.items()}
    return found


def record_registered(context: "Context", pipeline: str, pusher: "NodeOutcome", version: "ModelVersionRow") -> None:
    """Record which pushed model became which version of the registry."""
    from headrace.ledger.models import link_version
    from headrace.ledger.runs import DataVersion, LineageRun, record_runs

    pushed = [_describe_artifact(pipeline, each) for artifacts in pusher.outputs.values() for each in artifacts]
    dataset, key = name_versions(version.model), str(version.number)
    made = DataVersion(dataset, key, version.digest, "model_version", detail={"state": version.state})
    run = LineageRun(f"register.{version.model}", "register", pushed, [made], code=version.ir)
    with open_task_ledger() as ledger, ledger.begin() as connection:
        ids = record_runs(connection, task_try(context), str(context.get("partition_key") or ""), [run])
        link_version(connection, version, ids[dataset, key, version.digest])


def record_scored(
    context: "Context",
    settings: Settings,
    partition_key: str,
    asset: str,
    request: "ScoreRequest",
    outcome: "ScoreOutcome",
    loaded: "LoadedPredictions",
) -> None:
    """Record which content of a partition was scored by which version."""
    from headrace.ledger.runs import DataVersion, LineageRun, record_runs

    read = [
        DataVersion(name_published(asset), partition_key, outcome.sha256, "features", outcome.rows, request.data),
        DataVersion(name_versions(request.model), str(request.number), request.digest, "model_version"),
    ]
    names = list_datasets(settings, loaded.relation) or [name_predictions(request.model)]
    made = [DataVersion(name, partition_key, None, "predictions", loaded.rows, loaded.relation) for name in names]
    run = LineageRun(
        f"score.{request.model}",
        "score",
        read,
        made,
        detail={"signature": outcome.signature, "seconds": outcome.seconds},
    )
    with open_task_ledger() as ledger:
        record_runs(ledger, task_try(context), partition_key, [run])
