"""What a node's task makes of its process: a stand-in plays the TFX interpreter, the rest is real."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from headrace.airflow.operators.tfx_node import TfxNodeOperator
from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.contracts.files import read_json
from headrace.jobs.job import Job

REFUSED = CheckResult(
    tool="tfma",
    dataset="model",
    partition_key="2013-02",
    check="auc",
    column=None,
    severity=Severity.CRITICAL,
    status=Status.FAILED,
    message="AUC 0.612 is below the required 0.650",
)


class Project:
    """A project whose TFX interpreter is a script that does what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.interpreter = folder / "tfx-python"
        self.runs = folder / "runs-of-the-stand-in"

    def interpret(self, code: str) -> None:
        script = (
            f"#!{sys.executable}\n"
            "import os, sys, time\nfrom pathlib import Path\n"
            "from headrace.contracts.node_run import NodeOutcome\n"
            "from headrace.contracts.check_result import CheckResult\n"
            f"open({str(self.runs)!r}, 'a').write('run\\n')\n"
            "folder = Path(sys.argv[-1])\n" + code
        )
        self.interpreter.write_text(script)
        self.interpreter.chmod(0o755)

    def run(self, try_number: int = 1, node: str = "Trainer") -> Any:
        return self.task(node).execute(self.context(try_number, node))

    def task(self, node: str = "Trainer") -> TfxNodeOperator:
        return TfxNodeOperator(
            task_id=node,
            dag=None,
            pipeline="p",
            node=node,
            project_dir=self.folder,
            partition_key="2013-02",
        )

    def context(self, try_number: int, node: str = "Trainer") -> Any:
        task_instance = SimpleNamespace(dag_id="dag", task_id=node, map_index=-1, try_number=try_number)
        return {"run_id": "r", "ti": task_instance}

    @property
    def task_folder(self) -> Path:
        return next((self.folder / ".headrace" / "runs").glob("*/r/Trainer"))

    @property
    def asked_for_rerun(self) -> bool:
        return bool(read_json(self.task_folder / "request.json")["rerun"])

    @property
    def times_started(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_RUNTIME", "off")  # the stand-in plays fresh processes only
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_PYTHON", str(project.interpreter))
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    monkeypatch.setattr(TfxNodeOperator, "dag_id", "dag", raising=False)
    return project


def test_success_returns_what_other_tasks_may_want(project: Project) -> None:
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 3, outputs={'model': [{'uri': '/m'}]}).write(folder)")
    assert project.run()["outputs"] == {"model": ["/m"]}
    assert read_json(project.task_folder / "request.json")["parameters"] == {}


def test_a_refused_model_fails_for_good_and_says_why(project: Project) -> None:
    check = json.dumps(REFUSED.to_json())
    project.interpret(
        f"import json\ncheck = CheckResult.from_json(json.loads({check!r}))\n"
        "NodeOutcome('Trainer', 'COMPLETE', 3, checks=(check,), blessed=False).write(folder)"
    )
    with pytest.raises(AirflowFailException, match=r"NOT BLESSED.*AUC 0\.612 is below the required 0\.650"):
        project.run()
    recorded = read_json(project.task_folder / "checks.json")["checks"]
    assert [CheckResult.from_json(check) for check in recorded] == [replace(REFUSED, dataset="p.model")]


def test_an_anomaly_fails_for_good(project: Project) -> None:
    check = json.dumps(REFUSED.to_json())
    project.interpret(
        f"import json\ncheck = CheckResult.from_json(json.loads({check!r}))\n"
        "NodeOutcome('Trainer', 'COMPLETE', 3, checks=(check,)).write(folder)"
    )
    with pytest.raises(AirflowFailException, match=r"AUC 0\.612"):
        project.run()


def test_a_node_that_raised_can_be_retried(project: Project) -> None:
    project.interpret(
        "NodeOutcome('Trainer', 'FAILED', 3, error='ValueError: no rows (flight_delay/model.py:12)').write(folder)\n"
        "sys.exit(1)"
    )
    with pytest.raises(AirflowException, match=r"no rows \(flight_delay/model\.py:12\)") as caught:
        project.run()
    assert not isinstance(caught.value, AirflowFailException)


def test_a_segmentation_fault_names_the_node(project: Project) -> None:
    project.interpret("os.kill(os.getpid(), 11)")
    with pytest.raises(AirflowException, match=r"Trainer was ended by signal 11.*segmentation fault"):
        project.run()


def test_a_missing_interpreter_says_how_to_get_it(project: Project) -> None:
    with pytest.raises(AirflowFailException, match=r"no TFX interpreter at .*make setup"):
        project.run()


def test_a_mapped_node_is_refused(project: Project) -> None:
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 3).write(folder)")
    context = project.context(1)
    context["ti"].map_index = 1
    with pytest.raises(AirflowFailException, match="Trainer of p is a mapped task, which cannot work"):
        project.task().execute(context)
    assert project.times_started == 0


def test_no_partition_key_says_how_to_give_one(project: Project) -> None:
    task = project.task()
    task.partition_key = ""
    with pytest.raises(AirflowFailException, match=r"headrace run .* --partition"):
        task.execute(project.context(1))


def test_a_retry_takes_the_result_that_was_left_while_nobody_watched(project: Project) -> None:
    project.interpret("time.sleep(1)\nprint('done')\nNodeOutcome('Trainer', 'COMPLETE', 3).write(folder)")
    worker = subprocess.Popen([sys.executable, "-c", run_in_a_worker(project)], env=dict(os.environ))
    wait_for(lambda: project.times_started == 1)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    time.sleep(2)
    assert project.run(try_number=2)["state"] == "COMPLETE"
    assert project.times_started == 1


def test_a_retry_reconnects_to_a_running_node(project: Project) -> None:
    project.interpret("time.sleep(4)\nNodeOutcome('Trainer', 'COMPLETE', 3).write(folder)")
    worker = subprocess.Popen([sys.executable, "-c", run_in_a_worker(project)], env=dict(os.environ))
    wait_for(lambda: project.times_started == 1)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert Job(project.task_folder).is_running()
    assert project.run(try_number=2)["state"] == "COMPLETE"
    assert project.times_started == 1


def test_a_cleared_task_runs_the_node_again(project: Project) -> None:
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 3).write(folder)")
    project.run()
    assert not project.asked_for_rerun
    project.run(try_number=2)
    assert project.times_started == 2
    assert project.asked_for_rerun


def test_a_cleared_task_whose_process_died_still_runs_the_node_again(project: Project) -> None:
    """Else its retry would be answered with the result from before it was cleared."""
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 3).write(folder)")
    project.run()
    project.interpret("os.kill(os.getpid(), 9)")
    with pytest.raises(AirflowException, match="ended by signal 9"):
        project.run(try_number=2)
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 4).write(folder)")
    project.run(try_number=3)
    assert project.asked_for_rerun


def test_a_retry_of_a_failed_node_is_no_rerun(project: Project) -> None:
    project.interpret("NodeOutcome('Trainer', 'FAILED', 3, error='x').write(folder)\nsys.exit(10)")
    with pytest.raises(AirflowException):
        project.run()
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 3).write(folder)")
    project.run(try_number=2)
    assert not project.asked_for_rerun


def test_results_of_an_earlier_try_are_forgotten(project: Project) -> None:
    check = json.dumps(REFUSED.to_json())
    project.interpret(
        f"import json\ncheck = CheckResult.from_json(json.loads({check!r}))\n"
        "NodeOutcome('Trainer', 'COMPLETE', 3, checks=(check,)).write(folder)"
    )
    with pytest.raises(AirflowFailException):
        project.run()
    assert (project.task_folder / "checks.json").exists()
    project.interpret("os.kill(os.getpid(), 9)")
    with pytest.raises(AirflowException):
        project.run(try_number=2)
    assert not (project.task_folder / "checks.json").exists()


def test_a_task_that_is_ended_before_its_process_is_known_ends_it_all_the_same(project: Project) -> None:
    project.interpret("time.sleep(600)")
    task = project.task()
    task.on_kill()
    with pytest.raises(AirflowException):
        task.execute(project.context(1))
    assert not Job(project.task_folder).is_running()


def test_on_kill_ends_the_process_and_what_it_started(project: Project) -> None:
    project.interpret("import subprocess\nsubprocess.Popen(['sleep', '600'])\ntime.sleep(600)")
    task = project.task()
    ends: list[BaseException] = []

    def execute() -> None:
        try:
            task.execute(project.context(1))
        except AirflowException as error:
            ends.append(error)

    runner = threading.Thread(target=execute)
    runner.start()
    wait_for(lambda: project.times_started == 1)
    task.on_kill()
    runner.join(15)
    assert not runner.is_alive()
    assert len(ends) == 1
    assert not Job(project.task_folder).is_running()


def run_in_a_worker(project: Project) -> str:
    return (
        "from pathlib import Path; from types import SimpleNamespace\n"
        "from headrace.airflow.operators.tfx_node import TfxNodeOperator\n"
        "TfxNodeOperator.dag_id = 'dag'\n"
        f"task = TfxNodeOperator(task_id='Trainer', pipeline='p', node='Trainer', project_dir={str(project.folder)!r},"
        " partition_key='2013-02')\n"
        "ti = SimpleNamespace(dag_id='dag', task_id='Trainer', map_index=-1, try_number=1)\n"
        "task.execute({'run_id': 'r', 'ti': ti})\n"
    )


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_without_the_runtime_the_node_runs_all_the_same_and_its_log_says_why(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__TFX_RUNTIME", "auto")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "headrace").mkdir(mode=0o755)
    project.interpret("NodeOutcome('Trainer', 'COMPLETE', 3, outputs={'model': [{'uri': '/m'}]}).write(folder)")
    task = project.task()
    said: list[str] = []

    def take(text: str, *values: object) -> None:
        said.append(text % values if values else text)

    monkeypatch.setattr(TfxNodeOperator, "log", SimpleNamespace(info=take, warning=take))
    assert task.execute(project.context(1))["outputs"] == {"model": ["/m"]}
    assert project.times_started == 1
    (line,) = [line for line in said if "fresh process" in line]
    assert line.endswith("is not a folder of this user's alone (mode 0700): remove it")
