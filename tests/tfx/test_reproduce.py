"""A model that was trained, pushed and registered, made again by ``headrace reproduce``; both interpreters."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import FLIGHT_PIPELINES, TFX_PYTHON, Project, WarmWorker, make_project
from flight_data import write_flight_features

from headrace.contracts.contents import name_kept
from headrace.contracts.node_run import NodeOutcome
from headrace.ledger.database import open_ledger
from headrace.ledger.runs import DataVersion, LineageRun, record_runs
from headrace.ledger.training import record_training
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import VersionFacts
from headrace.registry.contents import keep_read
from headrace.registry.register import register_version
from headrace.registry.sources import gather_sources
from headrace.settings import Settings, load_settings

MODEL, ASSET = "flight_delay", "flight_features"
WINDOW = ["2012-01", "2012-02"]
PARAMETERS = {"partition_key": WINDOW[-1], "window": 2}
HEADRACE = Path(sys.executable).with_name("headrace")
LATE_BY_CHANCE = "(hash(day * 100 + n) % 2)::bigint as is_late, 25.0 as wind_speed_mph"


@dataclass
class Registered:
    """A project with registered versions, of which everything but what is kept was changed since."""

    project: Project
    settings: Settings
    outcomes: dict[str, NodeOutcome]
    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [str(HEADRACE), *arguments]

    def type_in(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*arguments), env=self.environment, capture_output=True, text=True)

    @property
    def scratch(self) -> list[str]:
        """The folders in which a version is made; TensorFlow leaves some of its own beside them."""
        return [name for name in os.listdir(self.environment["TMPDIR"]) if name.startswith("headrace")]

    @property
    def digests(self) -> dict[str, str]:
        (examples,) = self.outcomes["ParquetExampleGen"].outputs["examples"]
        return dict(json.loads(examples["properties"]["partition_digests"]))

    def register(self, run_id: str, **facts: Any) -> str:
        """Register what the run pushed, as the Pusher's task does."""
        compiled, outcomes = self.project.load_compiled(), self.outcomes
        seen = [DataVersion(ASSET, key, sha256, "features") for key, sha256 in self.digests.items()]
        code = {**compiled.sources, **{name: sha for each in outcomes.values() for name, sha in each.code.items()}}
        about = {
            "metrics": outcomes["Evaluator"].metrics,
            "ir": hashlib.sha256((self.project.compiled_dir / "pipeline.pbtxt").read_bytes()).hexdigest(),
            "code": code,
            "parameters": PARAMETERS,
            **facts,
        }
        sources = gather_sources(self.project.pipelines_dir, self.project.compiled_dir / "none", code)
        with open_ledger(f"sqlite:///{self.settings.ledger_path}") as ledger:
            ids = record_runs(ledger, TaskTry("dag", run_id, "t"), None, [LineageRun("seen", "publish", [], seen)])
            record_training(
                ledger, MODEL, "dag", run_id, WINDOW[-1], trained_on={ASSET: WINDOW},
                contents={(ASSET, key): (sha256, id_) for (_, key, sha256), id_ in ids.items()},
            )  # fmt: skip
            pushed = Path(str(outcomes["Pusher"].pushed_to))
            facts_ = VersionFacts(MODEL, "dag", run_id, pushed.name, **about)
            return register_version(ledger, self.settings, pushed, facts_, sources=sources).name


@pytest.fixture(scope="module")
def registered(warm: WarmWorker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("reproduce")
    project = make_project(warm, folder, FLIGHT_PIPELINES, MODEL)
    (folder / "dags").mkdir()
    features = project.state_dir / "features" / ASSET
    for month in ("2011-12", *WINDOW):
        write_flight_features(features, month)
    code, said = project.compile()
    assert code == 0, said
    outcomes = project.run_until("Pusher", "trained", **PARAMETERS)
    # The folder of the runtime's socket must have a short name.
    sockets, scratch = Path(tempfile.mkdtemp(prefix="hr-")), folder / "scratch"
    scratch.mkdir()
    settings = replace(load_settings(folder), state_dir=project.state_dir, tfx_python=TFX_PYTHON)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "HEADRACE"))}
    environment = {
        **clean,
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder),
        "AIRFLOW__HEADRACE__STATE_DIR": str(settings.state_dir),
        "AIRFLOW__HEADRACE__TFX_PYTHON": str(TFX_PYTHON),
        "XDG_RUNTIME_DIR": str(sockets),
        "TMPDIR": str(scratch),
    }
    found = Registered(project, settings, outcomes, environment)
    assert keep_read(settings.features_dir, found.digests) == []
    found.register("first")
    found.register("elsewhere", lock="1" * 64, parameters={"partition_key": "2099-01"})
    # What is there now is of no use: other flights, and a model that cannot be trained.
    for month in WINDOW:
        other = write_flight_features(folder / "other", month, LATE_BY_CHANCE)
        other.replace(features / other.name)
    project.edit("model.py", "def run_fn(", "raise RuntimeError\ndef run_fn(")
    yield found
    found.type_in("runtime", "stop")
    shutil.rmtree(sockets)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def test_a_version_is_made_again_from_what_is_kept(registered: Registered) -> None:
    state = registered.settings.state_dir
    before = {name: snapshot(state / name) for name in ("tfx", "pushed", "registry", "features", "compiled", "jobs")}
    done = registered.type_in("reproduce", f"{MODEL}@1", "--json", "--tolerance", "0.000001")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is True
    metrics = {(each["slice"], each["metric"]): each for each in document["metrics"]}
    assert metrics["", "auc"]["reproduced"] == pytest.approx(metrics["", "auc"]["recorded"])
    assert metrics["", "auc"]["recorded"] > 0.9, "of the other flights nothing can be learnt"
    assert {"carrier UA", "origin JFK"} <= {name for name, _ in metrics}
    assert (document["partitions"], document["parameters"]) == (WINDOW, PARAMETERS)
    assert (document["same_ir"], document["same_lock"]) == (True, True)
    assert len(document["digest"]["reproduced"]) == 64
    nodes = {each["node"]: each["state"] for each in document["nodes"]}
    assert nodes["Trainer"] == nodes["Evaluator"] == nodes["latest_blessed_model_resolver"] == "COMPLETE"
    assert "Pusher" not in nodes
    assert "Trainer: complete, " in done.stderr
    assert registered.scratch == []
    assert {name: snapshot(state / name) for name in before} == before, "nothing of the project was written"


def test_another_environment_is_refused_unless_any_will_do(registered: Registered) -> None:
    refused = registered.type_in("reproduce", f"{MODEL}@2")
    assert refused.returncode == 3
    assert "flight_delay@2 was trained by another TFX environment: its lock was 111111111111" in refused.stderr
    failed = registered.type_in("reproduce", f"{MODEL}@2", "--any-environment")
    assert failed.returncode == 1
    assert "another TFX environment" in failed.stdout
    assert "ParquetExampleGen failed" in failed.stderr
    assert "there is no partition '2099-01'; there are 2012-01, 2012-02" in failed.stderr
    assert registered.scratch == []


def test_ctrl_c_ends_what_was_started_and_leaves_nothing(registered: Registered) -> None:
    process = subprocess.Popen(
        registered.command("reproduce", f"{MODEL}@1"), env=registered.environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any(line.startswith("ParquetExampleGen: complete") for line in process.stdout)
    assert len(registered.scratch) == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert registered.scratch == []
    wait_until(lambda: json.loads(registered.type_in("runtime", "status", "--json").stdout)["nodes"] == [])


def test_an_unknown_version_and_a_missing_content_are_told(registered: Registered) -> None:
    unknown = registered.type_in("reproduce", f"{MODEL}@7")
    assert (unknown.returncode, "flight_delay has no version 7" in unknown.stderr) == (2, True)
    assert registered.type_in("reproduce", "flight_delays@1").returncode == 2
    sha256 = registered.digests[WINDOW[0]]
    kept = name_kept(registered.settings.features_dir / ASSET, sha256)
    aside = kept.rename(kept.with_name("aside"))
    lost = registered.type_in("reproduce", f"{MODEL}@1")
    aside.rename(kept)
    assert lost.returncode == 1
    assert f"of partition 2012-01 (SHA-256 {sha256})" in lost.stderr


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
