"""``headrace demo``: the example's partitions, one after the other, from landed files to pushed models."""

import json
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from headrace.cli.airflow_api import AirflowApi, AirflowApiError
from headrace.cli.exit_codes import ExitCode
from headrace.cli.report import build_report
from headrace.cli.report_table import print_report
from headrace.cli.stack import find_running_api, running_stack
from headrace.cli.watch import WatchedRun, watch_runs
from headrace.examples.nycflights import write_landing_files
from headrace.exceptions import ConfigurationError
from headrace.quality.partitions import parse_month_key
from headrace.settings import Settings

DATAOPS, TRAINING, LABEL = "flights_dataops", "flight_delay_training", "is_late"


def run_demo(settings: Settings, partitions: list[str], console: Console, as_json: bool) -> ExitCode:
    """Run the partitions through both DAGs and report.

    Returns:
        OK only if each partition's features were published and its model was blessed and pushed.
    """
    for partition_key in partitions:
        parse_month_key(partition_key)
    if find_running_api(settings) is not None:
        raise ConfigurationError("Airflow of this project is running ('headrace up'): stop it, or use 'headrace run'.")
    console.print(f"landing files of {', '.join(partitions)} in {settings.landing_dir}", highlight=False)
    write_landing_files(settings.landing_dir, partitions)
    started = time.monotonic()
    with running_stack(settings, console, warm=True) as (stack, api):
        for dag_id in (DATAOPS, TRAINING):
            api.wait_for_dag(dag_id)
            api.unpause(dag_id)
        chain = _Chain(api, partitions)
        runs = watch_runs(api, console, chain.start_next(), stack.check, chain.follow_up)
    reports = [
        build_report(settings, key, [run for run in runs if run.partition_key == key], LABEL) for key in partitions
    ]
    whole_way = all(map(went_the_whole_way, reports))
    if as_json:
        print(json.dumps({"ok": whole_way, "seconds": time.monotonic() - started, "partitions": reports}, indent=1))
    else:
        for report in reports:
            print_report(console, report)
        told = "[bold green]Both partitions" if len(partitions) == 2 else "[bold green]Every partition"
        if not whole_way:
            told = "[bold red]Not every partition"
        console.print(f"{told} went the whole way[/] ({time.monotonic() - started:.0f} s)")
    return ExitCode.OK if whole_way else ExitCode.FAILED


def went_the_whole_way(report: dict[str, Any]) -> bool:
    """Return whether a partition was published and its model blessed, pushed and able to score."""
    states = {run["dag_id"]: run["state"] for run in report["runs"]}
    model = report["model"] or {}
    return (
        states.get(DATAOPS) == states.get(TRAINING) == "success"
        and bool(model.get("blessed"))
        and bool(model.get("pushed_to"))
        and len(report["scored"]) > 0
    )


class _Chain:
    """The order of the runs: a partition's DataOps run starts its training run, and the next partition."""

    def __init__(self, api: AirflowApi, partitions: list[str]) -> None:
        self.api = api
        self.waiting = list(partitions)
        self.known = {run["dag_run_id"] for run in api.runs(TRAINING)}

    def start_next(self) -> list[WatchedRun]:
        if not self.waiting:
            return []
        partition_key = self.waiting.pop(0)
        return [WatchedRun(DATAOPS, self.api.trigger(DATAOPS, partition_key), partition_key)]

    def follow_up(self, run: WatchedRun) -> Iterable[WatchedRun]:
        if run.dag_id != DATAOPS:
            return []
        training = [self._find_training(run.partition_key)] if run.state == "success" else []
        return [*training, *self.start_next()]

    def _find_training(self, partition_key: str | None, timeout_seconds: float = 90) -> WatchedRun:
        """Wait for the run that the published partition starts."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for found in self.api.runs(TRAINING):
                if found["dag_run_id"] not in self.known and found["partition_key"] == partition_key:
                    self.known.add(found["dag_run_id"])
                    return WatchedRun(TRAINING, found["dag_run_id"], partition_key)
            time.sleep(1)
        raise AirflowApiError(f"Publishing {partition_key} started no run of {TRAINING} in {timeout_seconds:.0f} s.")
