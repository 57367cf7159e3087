"""``headrace run``: one DAG run for one partition, followed to its end."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from headrace.cli.airflow_api import AirflowApi
from headrace.cli.airflow_stack import AirflowStack
from headrace.cli.exit_codes import ExitCode
from headrace.cli.report import build_report
from headrace.cli.report_table import print_report
from headrace.cli.stack import find_running_api, running_stack
from headrace.cli.watch import WatchedRun, watch_runs
from headrace.quality.partitions import check_partition_key
from headrace.settings import Settings


def run_dag(settings: Settings, dag_id: str, partition_key: str | None, console: Console, as_json: bool) -> ExitCode:
    """Trigger a DAG, follow the run and report on it.

    Raises:
        InvalidPartitionKeyError: The key could be no partition's.
        HeadraceError: There is no such DAG, or Airflow cannot be reached.
    """
    if partition_key is not None:
        check_partition_key(partition_key)
    api = find_running_api(settings)
    place: AbstractContextManager[tuple[AirflowStack | None, AirflowApi]]
    place = running_stack(settings, console) if api is None else nullcontext((None, api))
    with place as (stack, airflow):
        airflow.wait_until_healthy(timeout_seconds=60)
        airflow.wait_for_dag(dag_id)
        airflow.unpause(dag_id)
        run = WatchedRun(dag_id, airflow.trigger(dag_id, partition_key), partition_key)
        check: Callable[[], None] = stack.check if stack else lambda: None
        watch_runs(airflow, console, [run], check)
        if stack is not None:
            _tell_what_goes_on(airflow, console, run)
    report = build_report(settings, partition_key or run.run_id, [run])
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        print_report(console, report)
    return ExitCode.OK if run.state == "success" else ExitCode.FAILED


def _tell_what_goes_on(airflow: AirflowApi, console: Console, run: WatchedRun) -> None:
    """Say which runs this one may have started: they end with this Airflow, and go on with the next."""
    others = [
        f"{other['dag_id']} {other['partition_key'] or other['dag_run_id']}"
        for state in ("queued", "running")
        for other in airflow.runs("~", state=state)
        if other["dag_run_id"] != run.run_id
    ]
    if others:
        console.print(
            f"[yellow]Under way too: {', '.join(others)}. This Airflow stops now; they go on with the next "
            f"'headrace up'.[/]",
            highlight=False,
        )
