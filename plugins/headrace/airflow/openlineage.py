"""What Airflow's OpenLineage provider asks of a task when it has ended; orchestration interpreter.

It asks in a process of its own, after the task has recorded everything: an event says what the ledger says. An event
that cannot be built or sent is the provider's to log, and never fails a task.
"""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.airflow.ledger import open_task_ledger
from headrace.contracts.files import ContractError
from headrace.exceptions import ConfigurationError
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from headrace.airflow.base import HeadraceOperator
    from headrace.ledger.task_lineage import TaskLineage
    from headrace.ledger.views import TaskTry

log = logging.getLogger(__name__)


def describe_task(operator: "HeadraceOperator", task_instance: Any) -> Any:
    """Return the provider's ``OperatorLineage`` of a task that has ended; events of dbt's nodes are sent at once."""
    from airflow.providers.openlineage.extractors.base import OperatorLineage
    from openlineage.client.generated import job_type_job

    from headrace.ledger.task_lineage import load_task_lineage
    from headrace.openlineage.facets import build_inputs, build_outputs

    task = _identify(task_instance)
    with open_task_ledger() as ledger:
        lineage = load_task_lineage(ledger, task)
    settings = load_settings(operator.project_dir)
    warehouse = _name_warehouse(settings)
    own = [run for run in lineage.runs if run.kind != "dbt"]
    if any(run.kind == "dbt" for run in lineage.runs):
        _emit_nodes(task_instance, task, lineage, warehouse, settings)
    integration = "TFX" if any(run.kind == "tfx" for run in own) else "HEADRACE"
    return OperatorLineage(
        inputs=build_inputs([each for run in own for each in run.inputs], lineage, warehouse),
        outputs=build_outputs([each for run in own for each in run.outputs], lineage, warehouse),
        job_facets={
            "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration=integration, jobType="TASK")
        },
    )


def _emit_nodes(
    task_instance: Any, task: "TaskTry", lineage: "TaskLineage", warehouse: str, settings: Settings
) -> None:
    """Send an event for each node that dbt built: its task was ended by the triggerer, whom no listener hears."""
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.api import emit
    from airflow.providers.openlineage.plugins.macros import lineage_run_id
    from openlineage.client.generated import parent_run

    from headrace.openlineage.events import build_events

    namespace = conf.namespace()
    parent = parent_run.ParentRunFacet(
        run=parent_run.Run(lineage_run_id(task_instance)),
        job=parent_run.Job(namespace, f"{task.dag_id}.{task.task_id}"),
    )
    queries = _load_queries(task)
    for run in lineage.runs:
        if run.kind != "dbt":
            continue
        events = build_events(
            run,
            lineage,
            warehouse=warehouse,
            namespace=namespace,
            job=f"{task.dag_id}.{run.job}",
            identity=f"{task.dag_id}/{task.run_id}/{run.job}",
            parent=parent,
            engine=("dbt", version("dbt-core")),
            sql=queries.get(run.job),
        )
        for event in events:
            emit(event)


def _load_queries(task: "TaskTry") -> dict[str, str]:
    from headrace.airflow.operators.dbt_results import RUN_RESULTS_FILE
    from headrace.openlineage.events import load_sql

    folder: Path = load_settings().task_folder(task.dag_id, task.run_id, task.task_id, task.map_index)
    try:
        return load_sql(folder / RUN_RESULTS_FILE)
    except ContractError as error:
        log.info("No event has a query: %s", error)
        return {}


def _name_warehouse(settings: Settings) -> str:
    from headrace.dbt.profiles import load_compiled_warehouse_path

    try:
        return f"duckdb://{load_compiled_warehouse_path(settings.dbt_profiles)}"
    except ConfigurationError:
        return f"dbt://{settings.dbt_project_dir.name}"


def _identify(task_instance: Any) -> "TaskTry":
    from headrace.ledger.views import TaskTry

    map_index = getattr(task_instance, "map_index", None)
    return TaskTry(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=-1 if map_index is None else int(map_index),
        try_number=task_instance.try_number,
    )
