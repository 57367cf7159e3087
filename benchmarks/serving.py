"""The model server against the model in process; under reloads and rollbacks; its memory over reloads.

``python -m benchmarks.serving``; asks the newest registered version of ``flight_delay``, so run ``make demo`` first.
"""

import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import record
from headrace.contracts.deployment import Deployment
from headrace.registry.trees import digest_tree
from headrace.settings import load_settings

ROOT = Path(__file__).parents[1]
MODEL = "flight_delay"
PATH = f"/v1/models/{MODEL}:predict"
ROWS = (1, 10, 100)
CALLS, ROUNDS = 300, 3
REQUESTS, RELOADS, ROLLBACKS, MEMORY_RELOADS = 10_000, 50, 10, 100
GOAL_OVERHEAD_MS, GOAL_RATIO = 3.0, 2.0


def run() -> None:
    """Measure and print."""
    settings = load_settings(ROOT)
    models = sorted((settings.registry_dir / MODEL).glob("*/model"), key=lambda path: int(path.parent.name))
    if not models:
        raise SystemExit(f"There is no version of {MODEL} in {settings.registry_dir}: run 'make demo' first.")
    with tempfile.TemporaryDirectory(prefix="headrace-serving-") as temporary:
        folder = Path(temporary)
        bodies = write_bodies(settings.features_dir, models[-1], folder / "bodies", settings.tfx_python)
        server = Server(folder / "serving", models[-1], settings.tfx_python)
        with server.running():
            figures = {"latency": compare(server, models[-1], bodies, settings.tfx_python)}
            figures["throughput"] = measure_throughput(server, (bodies / "1.json").read_bytes())
            figures["changes"] = change_under_load(server, (bodies / "1.json").read_bytes())
            figures["memory"] = measure_memory(server)
    print(f"  {record.write('serving', figures).relative_to(ROOT)}")


class Server:
    """``headrace serve``'s process on a folder of two versions with the same files."""

    def __init__(self, serving_dir: Path, model: Path, python: Path) -> None:
        self.serving_dir, self.model, self.python, self.port = serving_dir, model, python, 0
        self.generation, self.digests = 0, dict[int, str]()
        self.process: Any = None
        for number in (1, 2):
            self.place(number)
        self.deploy(champion=1, previous=2)

    def place(self, number: int) -> None:
        target = self.serving_dir / MODEL / str(number)
        shutil.copytree(self.model, target)
        manifest = digest_tree(target)
        manifest.write(target)
        self.digests[number] = manifest.digest

    def deploy(self, **aliases: int) -> None:
        self.generation += 1
        versions = {number: self.digests[number] for number in aliases.values()}
        Deployment(MODEL, self.generation, versions, aliases).write(self.serving_dir / MODEL)

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [str(self.python), "-m", "headrace.tfx_worker", "serve", "--port", "0"]
        command += ["--serving-dir", str(self.serving_dir), "--log-dir", str(self.serving_dir.parent / "log")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TF_CPP_MIN_LOG_LEVEL": "2"}
        log = (self.serving_dir.parent / "server.log").open("w+")
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            while not self.port:
                time.sleep(0.1)
                for line in (self.serving_dir.parent / "server.log").read_text().splitlines():
                    if '"event":"serving"' in line:
                        self.port = int(json.loads(line)["address"].rpartition(":")[2])
                if self.process.poll() is not None:
                    raise SystemExit("the server ended")
            yield
        finally:
            self.process.terminate()
            self.process.wait(60)
            log.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def wait_for(self, number: int) -> float:
        """Return the seconds until the champion is this version."""
        began, connection = time.perf_counter(), self.connect()
        while True:
            connection.request("GET", f"/v1/models/{MODEL}/labels/champion")
            if json.loads(connection.getresponse().read())["model_version_status"][0]["version"] == str(number):
                return time.perf_counter() - began
            time.sleep(0.005)

    def read_memory(self) -> float:
        """Return its resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_bodies(features: Path, model: Path, folder: Path, python: Path) -> Path:
    """Write requests of real rows: the columns that the model takes, of the newest partition."""
    code = (
        "import json, sys; from headrace.tfx_worker.signatures import read_signatures; "
        "print(json.dumps(sorted(read_signatures(sys.argv[1])['serving_columns']['inputs'])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([str(python), "-c", code, str(model)], env=environment, check=True, capture_output=True)
    columns = json.loads(done.stdout.splitlines()[-1])
    [*_, newest] = sorted((features / "flight_features").glob("*.parquet"))
    wanted = ", ".join(f'"{name}"' for name in columns)
    with duckdb.connect() as connection:
        rows = connection.execute(f"select {wanted} from read_parquet(?) limit {max(ROWS)}", [str(newest)]).fetchall()
    folder.mkdir(parents=True)
    instances = [dict(zip(columns, row, strict=True)) for row in rows]
    for count in ROWS:
        (folder / f"{count}.json").write_text(json.dumps({"instances": instances[:count]}))
    return folder


def compare(server: Server, model: Path, bodies: Path, python: Path) -> dict[str, Any]:
    """Ask in process and over HTTP, by turns."""
    spent: dict[tuple[int, str], list[float]] = {}
    script = Path(__file__).with_name("serving_in_process.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    for _ in range(ROUNDS):
        command = [str(python), str(script), str(model), str(bodies)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        for rows, ways in json.loads(done.stdout.splitlines()[-1]).items():
            for way, each in ways.items():
                spent.setdefault((int(rows), way), []).extend(each)
        for rows in ROWS:
            spent.setdefault((rows, "http"), []).extend(ask(server, (bodies / f"{rows}.json").read_bytes(), CALLS))
    figures: dict[str, Any] = {}
    for rows in ROWS:
        of = {way: spent[rows, way] for way in ("tensors", "json", "http")}
        median = {way: statistics.median(each) for way, each in of.items()}
        p99 = {way: statistics.quantiles(each, n=100)[98] for way, each in of.items()}
        figures[str(rows)] = {"p50_ms": median, "p99_ms": p99}
        told = ", ".join(f"{way} {median[way]:.2f} ms (p99 {p99[way]:.1f})" for way in of)
        print(
            f"  {rows:3} rows  {told}; over tensors +{median['http'] - median['tensors']:.2f} ms, "
            f"{median['http'] / median['tensors']:.2f} ×, over JSON {median['http'] / median['json']:.2f} ×",
            flush=True,
        )
    print(f"    goals: +{GOAL_OVERHEAD_MS:g} ms at one row, {GOAL_RATIO:g} × at 100", flush=True)
    return figures


def ask(server: Server, body: bytes, calls: int) -> list[float]:
    """Return the milliseconds of each call, over one connection."""
    connection, spent = server.connect(), []
    for number in range(calls + 20):
        began = time.perf_counter()
        connection.request("POST", PATH, body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        if number >= 20:
            spent.append(1e3 * (time.perf_counter() - began))
    return spent


def measure_throughput(server: Server, body: bytes, seconds: float = 5) -> dict[str, float]:
    """Return the requests of one row a second, by connections."""
    found = {}
    for connections in (4, 16):
        with asked_all_the_while(server, body, connections) as counted:
            began = time.perf_counter()
            time.sleep(seconds)
            spent = time.perf_counter() - began
            answered = counted[200]
        found[str(connections)] = answered / spent
        print(f"  {connections:3} connections: {answered / spent:.0f} requests/s", flush=True)
    return found


def change_under_load(server: Server, body: bytes) -> dict[str, Any]:
    """Reload and roll back while four connections ask, until 10,000 were answered; the goal is no error."""
    swaps = []
    with asked_all_the_while(server, body, 4) as counted:
        for number in range(3, 3 + RELOADS):
            server.place(number)
            server.deploy(champion=number, previous=1)
            server.wait_for(number)
        for number in range(ROLLBACKS):
            champion, previous = (1, 2 + RELOADS) if number % 2 == 0 else (2 + RELOADS, 1)
            server.deploy(champion=champion, previous=previous)
            swaps.append(server.wait_for(champion))
        while sum(counted.values()) < REQUESTS:
            time.sleep(0.1)
    errors = sum(count for code, count in counted.items() if code != 200)
    print(
        f"  {RELOADS} reloads and {ROLLBACKS} rollbacks under {sum(counted.values()):,} requests: {errors} errors; "
        f"a rollback is followed in {statistics.median(swaps):.2f} s (worst {max(swaps):.2f})",
        flush=True,
    )
    return {"requests": sum(counted.values()), "errors": errors, "rollback_s": swaps}


def measure_memory(server: Server) -> dict[str, float]:
    """Reload a hundred times, and see whether it grows."""
    found = {}
    for number in range(1_000, 1_001 + MEMORY_RELOADS):
        server.place(number)
        server.deploy(champion=number)
        server.wait_for(number)
        if (number - 1_000) % 20 == 0:
            found[str(number - 1_000)] = server.read_memory()
        if number > 1_001:
            shutil.rmtree(server.serving_dir / MODEL / str(number - 2))
    told = ", ".join(f"{megabytes:.0f} MB after {reloads}" for reloads, megabytes in found.items())
    print(f"  resident memory over reloads: {told}", flush=True)
    return found


@contextmanager
def asked_all_the_while(server: Server, body: bytes, connections: int) -> Iterator[Counter[Any]]:
    """Ask from so many connections; gives the count of each code, and of each error."""
    counted: Counter[Any] = Counter()
    stop = threading.Event()

    def ask_on() -> None:
        connection = server.connect()
        while not stop.is_set():
            try:
                connection.request("POST", PATH, body)
                answer = connection.getresponse()
                answer.read()
                counted[answer.status] += 1
            except OSError as error:
                counted[repr(error)] += 1
                connection = server.connect()

    threads = [threading.Thread(target=ask_on) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        stop.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    run()
