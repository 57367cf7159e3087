"""A model server in a process of its own, and what is deployed to it."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.contracts.deployment import Deployment
from headrace.registry.trees import digest_tree
from headrace.settings import load_settings

ROOT = Path(__file__).parents[2]
MODEL = "m"


class Served:
    """A serving folder, and a server on it."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder, self.models = folder, models
        self.serving_dir = folder / "serving"
        self.generation = 0
        self.process: subprocess.Popen[str] | None = None
        self.port = 0
        self.lines: list[dict[str, Any]] = []

    def place(self, number: int, weight: str) -> str:
        """Put a version where servers load it from; return its digest."""
        target = self.serving_dir / MODEL / str(number)
        shutil.copytree(self.models / weight, target)
        manifest = digest_tree(target)
        manifest.write(target)
        return manifest.digest

    def deploy(self, versions: dict[int, str], *, generation: int | None = None, **aliases: int) -> None:
        """Write what is to answer: numbers to digests, and aliases."""
        self.generation = generation or self.generation + 1
        Deployment(MODEL, self.generation, versions, aliases).write(self.serving_dir / MODEL)

    def start(self, *arguments: str, ready: bool = True, **environment: str) -> "Served":
        command = [str(load_settings(ROOT).tfx_python), "-m", "headrace.tfx_worker", "serve", "--port", "0"]
        command += ["--serving-dir", str(self.serving_dir), "--log-dir", str(self.folder / "log"), *arguments]
        plugins = {"PYTHONPATH": str(ROOT / "plugins"), "TF_CPP_MIN_LOG_LEVEL": "2"}
        self.process = subprocess.Popen(
            command, env={**os.environ, **plugins, **environment}, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        address = self.wait_for("serving")["address"]
        self.port = int(address.rpartition(":")[2])
        if ready:
            wait(lambda: self.get("/readyz")[0] == 200)
        return self

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                self.lines.append(json.loads(line))

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        wait(lambda: len(self.told(event)) >= count)
        return self.told(event)[count - 1]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in list(self.lines) if line["event"] == event]

    def send(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        code, said, body = self.send("GET", path, headers=headers)
        return code, json.loads(body) if said["content-type"] == "application/json" else body.decode()

    def ask(self, document: Any, path: str = f"/v1/models/{MODEL}:predict") -> tuple[int, Any]:
        code, _, body = self.send("POST", path, document if isinstance(document, str) else json.dumps(document))
        return code, json.loads(body)

    def version(self) -> str:
        body = json.dumps({"instances": [{"x": 1.0, "word": "w"}]})
        return self.send("POST", f"/v1/models/{MODEL}:predict", body)[1]["x-headrace-model-version"]

    @contextmanager
    def asked_all_the_while(self) -> Iterator[Counter[Any]]:
        """Ask from three threads; gives the count of each code and version, and of errors."""
        found: Counter[Any] = Counter()
        stop = threading.Event()
        body = json.dumps({"instances": [{"x": 2.0, "word": "w"}]})

        def run() -> None:
            while not stop.is_set():
                try:
                    code, headers, _ = self.send("POST", f"/v1/models/{MODEL}:predict", body)
                    found[code, headers.get("x-headrace-model-version")] += 1
                except OSError as error:
                    found[repr(error)] += 1

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)


def wait(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
