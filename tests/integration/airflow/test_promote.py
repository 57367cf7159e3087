"""``Promote`` in a DAG that Airflow really runs (``dag.test()``), and what a person's word in Airflow becomes."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_book import METRICS, MODEL, register, train

from headrace.contracts.pipeline import CompiledPipeline
from headrace.ledger.database import open_ledger
from headrace.ledger.query_models import list_deployments, list_models, list_versions, load_version
from headrace.ledger.views_models import ModelVersionRow
from headrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[3]
DAG = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from headrace import Promote


def push(run_id, auc):
    from model_book import METRICS, MODEL, SIGNATURE, push_model
    from headrace.ledger.database import open_ledger
    from headrace.ledger.training import record_training
    from headrace.ledger.views_models import VersionFacts
    from headrace.registry.register import register_version
    from headrace.settings import load_settings
    settings = load_settings()
    pushed = push_model(settings.pushed_dir / MODEL / run_id, run_id)
    metrics = {{"overall": {{"auc": float(auc)}}, "baseline": None, "slices": []}}
    with open_ledger(settings.ledger_path) as ledger:
        record_training(
            ledger, MODEL, "training", run_id, "2013-01", trained_on={{"features": ["2013-01"]}}, blessed=True,
            pushed_to=str(pushed),
        )
        facts = VersionFacts(MODEL, "training", run_id, run_id, metrics, None, SIGNATURE)
        register_version(ledger, settings, pushed, facts)


with DAG("training", schedule=None) as dag:
    pushed = PythonOperator(
        task_id="push", python_callable=push, op_kwargs={{"auc": "{{{{ dag_run.conf['auc'] }}}}"}},
    )
    pushed >> Promote({MODEL!r}, retries=0)

if __name__ == "__main__":
    run = dag.test(run_conf={{"auc": sys.argv[1]}})
    tasks = {{ti.task_id: ti.state for ti in run.get_task_instances()}}
    import json, pathlib
    pathlib.Path("tested.json").write_text(json.dumps([run.state, tasks], default=str))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow home with its database, which takes long to make."""
    folder = tmp_path_factory.mktemp("home")
    execute(folder, folder, "airflow", "db", "migrate")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "training.py").write_text(DAG)
    source = tmp_path / "tfx_pipelines" / MODEL / "pipeline.py"
    source.parent.mkdir(parents=True)
    source.touch()
    set_policy(load_settings(tmp_path), mode="auto")
    return load_settings(tmp_path)


def set_policy(settings: Settings, **policy: Any) -> None:
    about = {"owner": "ml@example.com", "promotion": policy}
    CompiledPipeline(MODEL, (), {}, {}, about).write(settings.compiled_pipeline_dir(MODEL))


def execute(folder: Path, home: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def run_dag(settings: Settings, home: Path, auc: float) -> tuple[str, dict[str, str], str]:
    said = execute(settings.project_dir, home, "python", "dags/training.py", str(auc))
    state, tasks = json.loads((settings.project_dir / "tested.json").read_text())
    return state, {name: task for name, task in tasks.items() if name != "push"}, said


def champion(settings: Settings) -> int | None:
    with open_ledger(settings.ledger_path) as ledger:
        return list_models(ledger)[0].aliases.get("champion")


def test_a_better_model_answers_and_a_worse_one_is_a_red_task(project: Settings, home: Path) -> None:
    state, tasks, _ = run_dag(project, home, 0.70)
    assert (state, tasks) == ("success", {"promote.decide": "success", "promote.deploy": "success"})
    state, tasks, said = run_dag(project, home, 0.60)
    assert (state, tasks) == ("failed", {"promote.decide": "failed", "promote.deploy": "upstream_failed"})
    assert "delays@2 is not promoted: delays@2 has auc 0.6000, delays@1 0.7000" in said
    assert champion(project) == 1
    with open_ledger(project.ledger_path) as ledger:
        (first,) = list_deployments(ledger, MODEL)
        worse = list_versions(ledger, MODEL)[0]
    assert (first.actor, first.reason) == ("policy", "delays@1 has auc 0.7000; no other version answers")
    assert worse.state == "refused"
    assert "the policy: delays@2 has auc 0.6000" in str(worse.state_why)
    assert (project.serving_dir / MODEL / "deployment.json").is_file()


def test_what_is_left_to_a_person_is_skipped_and_says_what_to_type(project: Settings, home: Path) -> None:
    set_policy(project, mode="manual")
    state, tasks, said = run_dag(project, home, 0.70)
    assert (state, tasks) == ("success", {"promote.decide": "skipped"})
    assert "headrace models promote delays@1" in said
    assert champion(project) is None


@pytest.fixture
def waiting(project: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A version that waits for a person."""
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(project.project_dir))
    set_policy(project, mode="approval", timeout_hours=5)
    with open_ledger(project.ledger_path) as ledger:
        register(ledger, project, 1)
    return project


class Instance(SimpleNamespace):
    """Stands for the task instance of a run whose tasks have left some XComs."""

    def xcom_pull(self, task_ids: str) -> Any:
        return self.xcoms[task_ids]

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = key, value


def build_tasks() -> dict[str, Any]:
    from airflow.sdk import DAG

    from headrace import Promote

    with DAG("training", schedule=None) as dag:
        Promote(MODEL)
    return dag.task_dict


def answer(option: str, reason: str) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason},
        "responded_at": datetime(2026, 11, 24, 9, tzinfo=UTC),
        "responded_by_user": {"id": "7", "name": "anna"},
        "timedout": False,
    }


def decide(tasks: dict[str, Any]) -> dict[str, Any]:
    instance = Instance(dag_id="training", task_id="promote.decide", map_index=-1, try_number=1)
    return dict(tasks["promote.decide"].execute({"ti": instance, "run_id": "run_1"}))


def load(settings: Settings) -> ModelVersionRow:
    with open_ledger(settings.ledger_path) as ledger:
        return load_version(ledger, MODEL, 1)


def test_a_person_approves_and_is_on_the_record(waiting: Settings) -> None:
    tasks = build_tasks()
    assert list(tasks) == ["promote.decide", "promote.approve", "promote.deploy"]
    assert tasks["promote.approve"].response_timeout.total_seconds() == 5 * 3600
    decided = decide(tasks)
    assert decided["subject"] == "Promote delays@1?"
    assert f"| auc | {METRICS['overall']['auc']:.4f} | {METRICS['baseline']['auc']:.4f} |" in decided["body"]
    assert load(waiting).aliases == ["challenger"], "it can be asked before"
    instance = Instance(dag_id="training", task_id="promote.approve", xcoms={"promote.decide": decided})
    context = {"ti": instance, "task": tasks["promote.approve"]}
    said = tasks["promote.approve"].execute_complete(context, answer("Approve", "good on EWR"))
    instance = Instance(
        dag_id="training", task_id="promote.deploy", map_index=-1, try_number=1,
        xcoms={"promote.decide": decided, "promote.approve": said},
    )  # fmt: skip
    done = tasks["promote.deploy"].execute({"ti": instance, "run_id": "run_1"})
    assert (done["number"], done["state"]) == (1, "live")
    with open_ledger(waiting.ledger_path) as ledger:
        row = list_deployments(ledger, MODEL)[0]
    assert (row.action, row.actor, row.reason) == ("promote", "anna", "good on EWR")
    assert row.approval is not None
    assert row.approval["by"] == "anna"


def test_a_person_rejects_and_that_is_kept_with_the_version(waiting: Settings) -> None:
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    tasks = build_tasks()
    instance = Instance(
        dag_id="training", task_id="promote.approve", map_index=-1, xcoms={"promote.decide": decide(tasks)}
    )
    context = {"ti": instance, "task": tasks["promote.approve"]}
    with pytest.raises(DownstreamTasksSkipped):
        tasks["promote.approve"].execute_complete(context, answer("Reject", "wrong on JFK"))
    version = load(waiting)
    assert (version.state, version.state_why) == ("refused", "rejected by anna: wrong on JFK")
    assert champion(waiting) is None


def test_a_run_that_pushed_nothing_has_nothing_to_promote(waiting: Settings) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with open_ledger(waiting.ledger_path) as ledger:
        train(ledger, "run_2")
    instance = Instance(dag_id="training", task_id="promote.decide", map_index=-1, try_number=1)
    with pytest.raises(AirflowFailException, match="registered no version of delays"):
        build_tasks()["promote.decide"].execute({"ti": instance, "run_id": "run_2"})
