"""What the server is sent, and what happens around it, that nobody meant; a real server, a real model."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from served import MODEL, ROOT, wait

from headrace.contracts.deployment import Deployment
from headrace.contracts.model_server import ServerRecord
from headrace.settings import load_settings

ROW = {"x": 1.0, "word": "w"}


def test_a_standard_output_that_takes_nothing_stops_no_answer_and_no_promotion(served: Any) -> None:
    command = [str(load_settings(ROOT).tfx_python), "-m", "headrace.tfx_worker", "serve", "--port", "0"]
    command += ["--serving-dir", str(served.serving_dir), "--log-dir", str(served.folder / "log")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    with Path("/dev/full").open("w") as full:
        served.process = subprocess.Popen(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    records = served.serving_dir / "servers"
    wait(lambda: list(records.glob("*.json")))
    served.port = int(ServerRecord.load(next(records.glob("*.json"))).address.rpartition(":")[2])
    assert served.ask({"instances": [ROW]}) == (200, {"predictions": [{"y": 1.0, "said": "w"}]})
    served.deploy({2: served.place(2, "2")}, champion=2)
    wait(lambda: served.version() == "2")
    assert "headrace_log_lines_lost_total" in served.get("/metrics")[1]
    served.process.send_signal(signal.SIGTERM)
    _, said = served.process.communicate(timeout=60)
    assert (served.process.returncode, "Traceback" in said) == (0, False), said


def test_a_model_that_fails_when_it_is_asked_is_not_adopted_and_says_why(served: Any) -> None:
    served.start()
    served.deploy({1: json_digest(served, 1), 9: served.place(9, "9")}, champion=9, previous=1)
    wait(lambda: served.told("load_failed"))
    code, said = served.get(f"/v1/models/{MODEL}/versions/9")
    (status,) = said["model_version_status"]
    assert (code, status["state"], status["status"]["error_code"]) == (200, "END", "INTERNAL")
    assert "/nowhere/" in status["status"]["error_message"]
    assert served.version() == "1"


def json_digest(served: Any, number: int) -> str:
    return str(json.loads((served.serving_dir / MODEL / str(number) / "manifest.json").read_text())["digest"])


def test_a_model_that_has_a_challenger_only_holds_up_nobody(served: Any) -> None:
    served.start()
    folder = served.serving_dir / "other"
    folder.mkdir()
    digest = served.place(7, "2")
    (served.serving_dir / MODEL / "7").rename(folder / "7")
    Deployment("other", 1, {7: digest}, {"challenger": 7}).write(folder)
    wait(lambda: any(line["model"] == "other" for line in served.told("deployed")))
    assert served.get("/readyz")[0] == 200
    assert served.ask({"instances": [ROW]}, "/v1/models/other/labels/challenger:predict")[0] == 200


@pytest.mark.parametrize(
    ("verb", "document", "said"),
    [
        ("predict", {"signature_name": {"a": 1}, "instances": [ROW]}, "no signature"),
        ("regress", {"signature_name": ["regress"], "examples": [{"x": 1.0}]}, "no signature"),
        ("regress", {"signature_name": "regress", "context": [1], "examples": [{"x": 1.0}]}, "'context'"),
        ("regress", {"signature_name": "regress", "context": "x", "examples": [{"x": 1.0}]}, "'context'"),
        ("regress", {"signature_name": "regress", "examples": [{"x": 2**63}]}, "examples[0].x"),
        ("predict", {"signature_name": "bytes", "instances": [{"b64": "é"}]}, "base64"),
        ("predict", {"signature_name": "slow", "instances": [1]}, "rounds is one value for the whole request"),
    ],
)
def test_what_nobody_means_is_400_and_says_where(running: Any, verb: str, document: Any, said: str) -> None:
    code, answer = running.ask(json.dumps(document), f"/v1/models/{MODEL}:{verb}")
    assert code == 400, answer
    assert said in answer["error"]


def test_a_list_that_is_too_deep(running: Any) -> None:
    code, answer = running.ask(json.dumps({"signature_name": "one", "instances": [json.loads("[" * 60 + "]" * 60)]}))
    assert code == 400, answer


def test_under_the_challengers_name_no_other_version_answers(served: Any) -> None:
    served.deploy({1: json_digest(served, 1), 2: served.place(2, "2")}, champion=1, challenger=2)
    served.start()
    path = f"/v1/models/{MODEL}_challenger"
    assert served.ask({"instances": [ROW]}, f"{path}:predict")[1]["predictions"][0]["y"] == 2.0
    assert served.ask({"instances": [ROW]}, f"{path}/versions/2:predict")[0] == 200
    for other in (1, 99):
        assert served.ask({"instances": [ROW]}, f"{path}/versions/{other}:predict")[0] == 404
        assert served.get(f"{path}/versions/{other}")[0] == 404


def test_headers_that_do_not_end_are_cut_off(running: Any) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nlong: ")
        said = b""
        try:
            for _ in range(64):
                client.sendall(b"x" * 65536)
            while part := client.recv(4096):
                said += part
        except OSError:
            pass  # it was closed while we were sending
    assert said == b"" or said.startswith(b"HTTP/1.1 431")
    assert running.get("/healthz")[0] == 200


def test_what_is_refused_is_counted(running: Any) -> None:
    running.ask("x" * 5_000_000)
    running.ask({"instances": [ROW]}, "/v1/models/nobody:predict")
    metrics = running.get("/metrics")[1]
    assert f'code="413",model="{MODEL}",verb="predict"' in metrics
    assert "nobody" not in metrics


def test_what_ran_out_of_time_frees_its_place_when_it_ends() -> None:
    command = [str(load_settings(ROOT).tfx_python), str(ROOT / "tests" / "tfx" / "scripts" / "time_out_requests.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["late"] == [504] * 8
    assert found["busy"] == 2, "what had begun goes on, and nothing else was kept"
    assert found["begun"] == 3
    assert (found["after"], found["slow_body"]) == (200, 408)
    assert sorted(found["told"]) == [200, 408] + [504] * 8
