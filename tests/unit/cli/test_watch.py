"""What the terminal shows of a run."""

from dataclasses import replace

from rich.console import Console

from headrace.cli.airflow_api import TaskState
from headrace.cli.watch import WatchedRun, watch_runs

TASK = TaskState(task_id="land", state="running", try_number=1, duration=None, start="2026", end=None)


class RecordedApi:
    """Answers as Airflow did, one look after another."""

    def __init__(self, looks: list[tuple[str, list[TaskState]]]) -> None:
        self.looks = looks
        self.broken: dict[str, str] = {}

    def run(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {"state": self.looks[0][0]}

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        return (self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])[1]

    def import_errors(self) -> dict[str, str]:
        return self.broken

    def task_error(self, dag_id: str, run_id: str, task: TaskState) -> str:
        return "CheckFailedError: 1 of 2,010 rows [bad]"


def watch(
    looks: list[tuple[str, list[TaskState]]], broken: dict[str, str] | None = None
) -> tuple[str, list[WatchedRun]]:
    console = Console(record=True, width=120, file=None, force_terminal=False)
    run = WatchedRun("flights_dataops", "r", "2013-02")
    api = RecordedApi(looks)
    api.broken = broken or {}
    watched = watch_runs(api, console, [run], lambda: None, poll_seconds=0)  # type: ignore[arg-type]
    return console.export_text(), watched


def test_each_ended_task_is_told_once() -> None:
    done = replace(TASK, state="success", duration=2.0)
    text, watched = watch([("running", [TASK]), ("running", [done]), ("running", [done]), ("success", [done])])
    assert text.count("land") == 1
    assert "flights_dataops 2013-02: success" in text
    assert watched[0].finished


def test_a_failure_shows_its_error_and_what_did_not_run() -> None:
    failed = replace(TASK, state="failed", duration=1.0)
    after = replace(TASK, task_id="publish", state="upstream_failed")
    text, _ = watch([("failed", [failed, after])])
    assert "CheckFailedError: 1 of 2,010 rows [bad]" in text
    assert "1 tasks after the failed one not run" in text


def test_a_dag_file_that_stopped_loading_is_told_once() -> None:
    broken = {"training.py": "Traceback …\nStaleCompileError: run 'headrace compile'."}
    text, _ = watch([("running", [TASK]), ("running", [TASK]), ("success", [])], broken)
    assert text.count("training.py cannot be loaded, so its runs stand still: StaleCompileError") == 1


def test_a_retry_is_told_and_so_is_its_end() -> None:
    retry = replace(TASK, state="up_for_retry", duration=1.0)
    done = replace(TASK, state="success", try_number=2, duration=1.0)
    text, _ = watch([("running", [retry]), ("success", [done])])
    assert [line.split()[1] for line in text.splitlines() if "land" in line] == ["retry", "ok"]
