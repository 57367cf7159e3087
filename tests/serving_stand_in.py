"""A model server in a process of its own, as far as deployments are concerned: it follows ``deployment.json``, says
with which version it answers, and never loads what it is told to refuse.

    python tests/serving_stand_in.py SERVING_DIR [REFUSED_NUMBER] [--deaf]
"""

import json
import os
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from headrace.contracts.deployment import Deployment, Manifest
from headrace.contracts.files import ContractError
from headrace.contracts.model_server import ServerRecord

SERVING = Path(sys.argv[1])
REFUSED = {int(word) for word in sys.argv[2:] if word.isdecimal()}
DEAF = "--deaf" in sys.argv
"""Never follows: it answers with what it found first."""


class Served:
    """What is in memory of each model: the last deployment of which every version could be loaded."""

    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.errors: dict[tuple[str, int], str] = {}

    def follow(self, model: str) -> None:
        try:
            found = Deployment.load(SERVING / model)
        except ContractError:
            return
        before = self.deployments.get(model)
        if before is not None and (found.generation <= before.generation or DEAF):
            return
        for number, digest in found.versions.items():
            try:
                manifest = Manifest.load(SERVING / model / str(number))
                wrong = manifest.digest != digest or number in REFUSED
            except ContractError:
                wrong = True
            if wrong:
                self.errors[model, number] = f"version {number} cannot be loaded"
                return
        self.deployments[model] = found


SERVED = Served()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, _, _, model, *rest = self.path.split("/")
        SERVED.follow(model)
        deployment = SERVED.deployments.get(model)
        number = None
        if rest[:1] == ["labels"] and deployment is not None:
            number = deployment.aliases.get(rest[1])
        elif rest[:1] == ["versions"]:
            number = int(rest[1])
        error = SERVED.errors.get((model, number)) if number is not None else None
        loaded = deployment is not None and number in deployment.versions
        if number is None or not (loaded or error):
            self.answer(404, {"error": "no such version"})
            return
        status = {"error_code": "INTERNAL", "error_message": error} if error else {"error_code": "OK"}
        state = "END" if error else "AVAILABLE"
        self.answer(200, {"model_version_status": [{"version": str(number), "state": state, "status": status}]})

    def answer(self, code: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    started = datetime.now(UTC).isoformat()
    for folder in SERVING.glob("*/"):
        SERVED.follow(folder.name)

    def tell() -> None:
        while True:
            address = f"http://127.0.0.1:{server.server_port}"
            ServerRecord(address, os.getpid(), socket.gethostname(), started, time.time()).write(SERVING)
            print("ready", flush=True)  # noqa: T201
            time.sleep(1)

    threading.Thread(target=tell, daemon=True).start()
    server.serve_forever()


main()
