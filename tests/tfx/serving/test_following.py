"""Following deployments: nothing is dropped, nothing half is loaded, whatever is killed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from served import wait

from headrace.contracts.model_server import SERVERS_FOLDER, ServerRecord

ROOT = Path(__file__).parents[3]
OLD = {"instances": [{"x": 1.0, "word": "w"}]}


def records(served: Any) -> list[Path]:
    return list((served.serving_dir / SERVERS_FOLDER).glob("*.json"))


def test_versions_change_under_requests_and_none_is_dropped(served: Any) -> None:
    served.place(2, "2")
    digests = {number: served_digest(served, number) for number in (1, 2)}
    served.start()
    with served.asked_all_the_while() as found:
        for champion, previous in ((2, 1), (1, 2)) * 5:
            served.deploy(digests, champion=champion, previous=previous)
            wait(lambda number=str(champion): served.version() == number)
    assert {code for code, _ in found} == {200}, found
    assert {version for _, version in found} == {"1", "2"}


def served_digest(served: Any, number: int) -> str:
    from headrace.contracts.deployment import Manifest

    return Manifest.load(served.serving_dir / "m" / str(number)).digest


def test_many_reloads_leave_no_session_behind(served: Any) -> None:
    served.start()
    for number in range(2, 22):
        digest = served.place(number, "2")
        served.deploy({number: digest}, champion=number)
        wait(lambda number=str(number): served.version() == number)
    assert "headrace_models_loaded 1.0" in served.get("/metrics")[1]
    assert len(served.get("/v1/models/m")[1]["model_version_status"]) == 1


@pytest.mark.parametrize("how", ["corrupt", "half", "missing", "other"])
def test_a_version_that_is_not_whole_stays_out_and_says_why(served: Any, how: str) -> None:
    digest = served.place(2, "2")
    folder = served.serving_dir / "m" / "2"
    if how == "corrupt":
        (folder / "saved_model.pb").write_bytes(b"\0" * (folder / "saved_model.pb").stat().st_size)
    elif how == "half":
        shutil.rmtree(folder / "variables")
    elif how == "missing":
        shutil.rmtree(folder)
    else:
        digest = "0" * 64
    served.start()
    served.deploy({1: served_digest(served, 1), 2: digest}, champion=2, previous=1)
    error = served.wait_for("load_failed")["error"]
    assert served.version() == "1"
    assert served.get("/readyz")[0] == 200
    (status,) = served.get("/v1/models/m/versions/2")[1]["model_version_status"]
    assert (status["state"], status["status"]["error_code"]) == ("END", "INTERNAL")
    assert status["status"]["error_message"] == error
    served.deploy({1: served_digest(served, 1)}, champion=1)
    wait(lambda: served.get("/v1/models/m/versions/2")[0] == 404)


def test_files_that_are_whole_and_no_model(served: Any) -> None:
    from headrace.registry.trees import digest_tree

    folder = served.serving_dir / "m" / "2"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"no model")
    manifest = digest_tree(folder)
    manifest.write(folder)
    served.start()
    served.deploy({2: manifest.digest}, champion=2)
    served.wait_for("load_failed")
    assert served.version() == "1"


def test_an_older_deployment_is_ignored(served: Any) -> None:
    digest = served.place(2, "2")
    served.deploy({2: digest}, champion=2, generation=5)
    served.start()
    served.deploy({1: served_digest(served, 1)}, champion=1, generation=4)
    served.deploy({2: digest}, champion=2, generation=6)
    served.wait_for("deployed", 2)
    assert [line["generation"] for line in served.told("deployed")] == [5, 6]


def test_another_signature_is_said_to_old_clients(served: Any) -> None:
    digest = served.place(2, "0")
    served.start()
    assert served.ask(OLD)[0] == 200
    served.deploy({2: digest}, champion=2)
    served.wait_for("deployed", 2)
    assert served.ask(OLD) == (400, {"error": "instances[0]: more is missing"})


def test_a_version_that_is_deleted_while_it_answers_goes_on(served: Any) -> None:
    served.start()
    shutil.rmtree(served.serving_dir / "m" / "1")
    assert served.ask(OLD)[0] == 200
    assert served.get("/readyz")[0] == 200


def test_a_half_written_deployment_changes_nothing(served: Any) -> None:
    served.start()
    (served.serving_dir / "m" / "deployment.json").write_text('{"contract_version": 1, "model": "m", "gener')
    served.wait_for("deployment_unreadable")
    assert served.version() == "1"


def test_killed_while_it_loads_and_started_again_it_follows_the_file(served: Any) -> None:
    digest = served.place(2, "2")
    served.start()
    [record] = records(served)
    served.deploy({2: digest}, champion=2)
    assert served.stop(signal.SIGKILL) == -signal.SIGKILL
    assert record.exists(), "nobody took it away; who reads it sees that the process is gone"
    served.lines.clear()
    served.start()
    assert served.version() == "2"


def test_told_to_stop_it_answers_what_was_asked_and_takes_its_record_away(served: Any) -> None:
    served.start()
    [record] = records(served)
    assert ServerRecord.load(record).address == f"http://127.0.0.1:{served.port}"
    found: list[Any] = []
    slow = threading.Thread(target=lambda: found.append(served.ask({"signature_name": "slow", "inputs": 1_000_000})))
    slow.start()
    wait(lambda: "headrace_requests_in_flight 1.0" in served.get("/metrics")[1])
    assert served.stop() == 0
    slow.join()
    assert found[0][0] == 200
    assert not records(served)
    assert served.told("stopped")


def test_it_waits_for_the_first_deployment(tmp_path: Path, served: Any) -> None:
    file = served.serving_dir / "m" / "deployment.json"
    file.rename(tmp_path / "later.json")
    served.start(ready=False)
    assert served.get("/readyz") == (503, {"ready": False})
    assert served.get("/healthz") == (200, {"status": "ok"})
    (tmp_path / "later.json").rename(file)
    wait(lambda: served.get("/readyz")[0] == 200)


def test_a_prediction_log_that_cannot_be_written_drops_lines_and_no_request(served: Any) -> None:
    (served.folder / "log").write_text("a file where the folder would be")
    served.start("--log-share", "1")
    assert [served.ask(OLD)[0] for _ in range(5)] == [200] * 5
    wait(lambda: "headrace_prediction_log_dropped_total 5.0" in served.get("/metrics")[1])


def test_a_token_is_asked_of_all_but_health(served: Any) -> None:
    served.start(HEADRACE_SERVING_TOKEN="sesame")
    assert served.ask(OLD)[0] == 401
    assert served.get("/v1/models/m")[0] == 401
    assert served.get("/metrics", Authorization="Bearer sesam")[0] == 401
    assert served.get("/v1/models/m", Authorization="Bearer sesame")[0] == 200
    assert served.get("/healthz")[0] == 200
    assert served.process is not None
    assert b"sesame" not in Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
    assert "sesame" not in str(served.lines)


def run_cli(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    (folder / "dags").mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "AIRFLOW__HEADRACE__PROJECT_DIR": str(folder)}
    command = [sys.executable, "-c", "from headrace.cli.app import main; main()", "serve", *arguments]
    return subprocess.run(command, env={**environment, **settings}, capture_output=True, text=True, timeout=60)


def test_an_address_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    done = run_cli(tmp_path, "--host", "0.0.0.0")
    assert (done.returncode, "set a token first" in done.stderr) == (3, True), done.stderr
    done = run_cli(tmp_path, "--host", "0.0.0.0", AIRFLOW__HEADRACE__SERVING_TOKEN_FILE=str(tmp_path / "nope"))
    assert (done.returncode, "cannot be read" in done.stderr) == (3, True), done.stderr


def test_a_port_that_is_taken(served: Any, tmp_path: Path) -> None:
    served.start()
    done = run_cli(tmp_path, "--port", str(served.port), AIRFLOW__HEADRACE__TFX_PYTHON=str(served.process.args[0]))
    assert (done.returncode, "cannot be bound" in done.stderr) == (6, True), done.stderr
