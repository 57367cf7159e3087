"""Events of runs whose tasks no listener of Airflow sees: dbt's nodes, ended by the triggerer; no Airflow."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.generated import error_message_run, job_type_job, parent_run, processing_engine_run, sql_job
from openlineage.client.uuid import generate_static_uuid

from headrace.contracts.files import ContractError
from headrace.ledger.task_lineage import RecordedRun, TaskLineage
from headrace.openlineage.facets import build_inputs, build_outputs

PRODUCER = "https://openlineage.io/integrations/headrace"


def build_events(
    run: RecordedRun,
    lineage: TaskLineage,
    *,
    warehouse: str,
    namespace: str,
    job: str,
    identity: str,
    parent: parent_run.ParentRunFacet,
    engine: tuple[str, str],
    sql: str | None = None,
) -> list[RunEvent]:
    """Build the start and the end of a run.

    Args:
        run: The run.
        lineage: What its task recorded.
        warehouse: Namespace of the warehouse's tables.
        namespace: Of jobs.
        job: Its name.
        identity: What tells this run from every other; the same for each try, so that it is told once.
        parent: The task that ran it.
        engine: Name and version of what ran it.
        sql: Its query.
    """
    ended = (run.ended or datetime.now(UTC)).astimezone(UTC)
    started = (run.started or ended).astimezone(UTC)
    run_id = str(generate_static_uuid(started, identity.encode()))
    run_facets: dict[str, Any] = {
        "parent": parent,
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version=engine[1], name=engine[0]),
    }
    job_facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration="DBT", jobType="MODEL"),
        **({"sql": sql_job.SQLJobFacet(sql)} if sql else {}),
    }
    of_job = Job(namespace, job, facets=job_facets)
    failed = run.state != "complete"
    if failed:
        said = next((str(each["message"]) for each in lineage.results if each["status"] != "passed"), "dbt failed")
        run_facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(said[:2_000], "sql")
    inputs = build_inputs(run.inputs, lineage, warehouse)
    started_facets = {name: facet for name, facet in run_facets.items() if name != "errorMessage"}
    return [
        RunEvent(
            eventTime=started.isoformat(),
            producer=PRODUCER,
            run=Run(run_id, facets=started_facets),
            job=of_job,
            eventType=RunState.START,
            inputs=inputs,
        ),
        RunEvent(
            eventTime=ended.isoformat(),
            producer=PRODUCER,
            run=Run(run_id, facets=run_facets),
            job=of_job,
            eventType=RunState.FAIL if failed else RunState.COMPLETE,
            inputs=inputs,
            outputs=build_outputs(run.outputs, lineage, warehouse),
        ),
    ]


def load_sql(run_results: Path) -> dict[str, str]:
    """Load, by dbt's id, the SQL of each node of a run.

    Raises:
        ContractError: dbt left no results there.
    """
    try:
        results = json.loads(run_results.read_bytes())["results"]
    except (OSError, ValueError, KeyError) as error:
        raise ContractError(f"{run_results} is not dbt's run_results.json: {error!r}") from error
    return {str(each["unique_id"]): str(each["compiled_code"]) for each in results if each.get("compiled_code")}
