"""Following DAG runs in the terminal: a line for each task that ended, and what is running now."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from headrace.cli.airflow_api import FINISHED, AirflowApi, TaskState

ENDED = {
    "success": "[green]ok[/]     ",
    "failed": "[red]FAILED[/] ",
    "skipped": "[yellow]skipped[/]",
    "removed": "[dim]removed[/]",
    "up_for_retry": "[yellow]retry[/]  ",
}
ALIVE = frozenset({"running", "queued", "deferred", "restarting", "scheduled"})


@dataclass
class WatchedRun:
    """A DAG run that is being followed."""

    dag_id: str
    run_id: str
    partition_key: str | None
    state: str = "queued"
    tasks: list[TaskState] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    _told: set[tuple[str, str, int]] = field(default_factory=set)

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def title(self) -> str:
        return f"{self.dag_id} {self.partition_key or self.run_id}"

    def poll(self, api: AirflowApi) -> None:
        # The state first: a run that is finished has no task that can still change.
        self.state = api.run(self.dag_id, self.run_id)["state"]
        self.tasks = api.tasks(self.dag_id, self.run_id)

    def news(self) -> Iterable[TaskState]:
        """Yield each task that ended, or is to be tried again, since the last call."""
        for task in self.tasks:
            told = (task.task_id, task.state, task.try_number)
            if task.state in ENDED and told not in self._told:
                self._told.add(told)
                yield task


def watch_runs(
    api: AirflowApi,
    console: Console,
    runs: list[WatchedRun],
    check: Callable[[], None],
    on_finished: Callable[[WatchedRun], Iterable[WatchedRun]] = lambda _: (),
    poll_seconds: float = 1.0,
) -> list[WatchedRun]:
    """Follow runs until all have finished.

    Args:
        api: Of the Airflow that runs them.
        console: Where to write.
        runs: What to follow at first.
        check: Called at each poll; raises where Airflow itself has died.
        on_finished: Told of each run that has finished; returns the runs to follow from then on.
        poll_seconds: Between two looks.

    Returns:
        Every run that was followed.
    """
    started = time.monotonic()
    followed, active = list(runs), list(runs)
    import_errors = _ImportErrors(api, console)
    with console.status("waiting for Airflow to start the run") as status:
        while active:
            check()
            import_errors.tell_new()
            for run in list(active):
                run.poll(api)
                for task in run.news():
                    _tell(console, api, run, task, time.monotonic() - started)
                if run.finished:
                    active.remove(run)
                    colour = "green" if run.state == "success" else "red"
                    not_run = sum(task.state == "upstream_failed" for task in run.tasks)
                    after = f", {not_run} tasks after the failed one not run" if not_run else ""
                    console.print(f"[bold {colour}]{run.title}: {run.state}[/]{after}", highlight=False)
                    more = list(on_finished(run))
                    followed += more
                    active += more
            status.update(_describe_active(active, time.monotonic() - started))
            time.sleep(poll_seconds)
    return followed


class _ImportErrors:
    """DAG files that stopped loading while their runs go on: such a run stands still until its file is mended."""

    every_seconds = 10.0

    def __init__(self, api: AirflowApi, console: Console) -> None:
        self.api, self.console = api, console
        self._told: set[str] = set()
        self._next = 0.0

    def tell_new(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.every_seconds
        for file, trace in self.api.import_errors().items():
            error = trace.strip().splitlines()[-1]
            if error not in self._told:
                self._told.add(error)
                self.console.print(
                    f"[yellow]{escape(file)} cannot be loaded, so its runs stand still: {escape(error)}[/]"
                )


def _tell(console: Console, api: AirflowApi, run: WatchedRun, task: TaskState, elapsed: float) -> None:
    took = f"{task.duration:6.1f} s" if task.duration else "        "
    console.print(f"{_clock(elapsed)}  {ENDED[task.state]}  {took}  {run.title}  {task.task_id}", highlight=False)
    if task.state in ("failed", "up_for_retry"):
        error = api.task_error(run.dag_id, run.run_id, task)
        if error:
            run.errors[task.task_id] = error
            console.print(f"       [red]{escape(error[:1500])}[/]", highlight=False)


def _describe_active(active: list[WatchedRun], elapsed: float) -> str:
    parts = []
    for run in active:
        done = sum(task.state in ENDED for task in run.tasks)
        running = [task.task_id for task in run.tasks if task.state in ALIVE]
        parts.append(f"{run.title} {done}/{len(run.tasks)}: {', '.join(running[:3]) or run.state}")
    return f"{_clock(elapsed)}  " + "  |  ".join(parts)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:2d}:{int(seconds) % 60:02d}"
