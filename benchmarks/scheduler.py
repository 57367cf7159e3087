"""``headrace up`` against ``airflow standalone`` with its defaults: ready, idle, and a chain of tasks that do nothing.

The same interpreter and packages (the plugins that are installed load in both), the same DAG, a fresh home each
time, one after the other in turn. Ready: from the start of the command until Airflow's own health check says healthy
of every component. Idle: processor time and PSS of the whole tree, 30 s after the DAG is there. Processor times are
beside the clock's, for they suffer less from whatever else the machine does.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from benchmarks import record
from benchmarks.airflow_project import run_dag
from benchmarks.process_tree import ProcessTree
from headrace.cli.airflow_api import AirflowApi
from headrace.cli.airflow_stack import STACK_FILE

ROOT = Path(__file__).parents[1]
PAIRS = 3
TASKS, WARM_UP_RUNS, RUNS = 20, 1, 3
SETTLE_SECONDS, IDLE_SECONDS, READY_SECONDS = 15, 15, 300
DAG = f"""
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, chain

with DAG("chain", schedule=None, catchup=False):
    chain(*(PythonOperator(task_id=f"t{{n:02d}}", python_callable=lambda: None) for n in range({TASKS})))
"""
PORT = 8299
COMMANDS = {"airflow standalone": ["airflow", "standalone"], "headrace up": ["headrace", "up"]}
UNITS = {
    "ready_s": "s",
    "ready_processor_s": "s",
    "idle_mb": "MB",
    "idle_cores": "cores",
    "task_s": "s",
    "task_processor_s": "s",
}


def run() -> None:
    """Measure and print; ``HEADRACE_BENCH_PAIRS`` for fewer or more pairs."""
    pairs = int(os.environ.get("HEADRACE_BENCH_PAIRS", PAIRS))
    taken: dict[str, dict[str, list[float]]] = {name: {key: [] for key in UNITS} for name in COMMANDS}
    for _ in range(pairs):
        for name in COMMANDS:
            for key, value in measure(name).items():
                taken[name][key].append(value)
            print(f"  {name:20}" + "".join(f"{key} {taken[name][key][-1]:8.2f}  " for key in UNITS), flush=True)
    figures = {}
    for key, unit in UNITS.items():
        peer, ours = (taken[name][key] for name in COMMANDS)
        ratios = record.divide(ours, peer)
        print(f"  {key:18} {record.show(peer, unit)}   {record.show(ours, unit)}   {record.show(ratios, '×')}")
        figures[key] = {
            "airflow_standalone": record.summarise(peer),
            "headrace_up": record.summarise(ours),
            "ratio": record.summarise(ratios),
        }
    print(f"  {record.write('scheduler', {'tasks': TASKS, **figures}).relative_to(ROOT)}")


def measure(name: str) -> dict[str, float]:
    """Start one, measure it, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "dags").mkdir()
        (project / "dags" / "chain.py").write_text(DAG)
        started = time.monotonic()
        with running(name, project) as tree:
            api = wait_until_healthy(project, tree)
            ready, ready_processor = time.monotonic() - started, tree.cpu_seconds()
            api.wait_for_dag("chain")
            api.unpause("chain")
            time.sleep(SETTLE_SECONDS)
            before, clock = tree.cpu_seconds(), time.monotonic()
            time.sleep(IDLE_SECONDS)
            cores = (tree.cpu_seconds() - before) / (time.monotonic() - clock)
            memory = tree.pss_mb()
            chains = [run_chain(api, tree) for _ in range(WARM_UP_RUNS + RUNS)][WARM_UP_RUNS:]
    clocks, processors = zip(*chains, strict=True)
    return {
        "ready_s": ready,
        "ready_processor_s": ready_processor,
        "idle_mb": memory,
        "idle_cores": cores,
        "task_s": statistics.median(clocks),
        "task_processor_s": statistics.median(processors),
    }


@contextlib.contextmanager
def running(name: str, project: Path) -> Iterator[ProcessTree]:
    """Run one in a folder of its own, without anybody's configuration, and leave nothing of it running."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "HEADRACE"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    command, *arguments = COMMANDS[name]
    if command == "airflow":
        # Where it is and which DAGs it has, and a token for us; nothing else of its defaults is changed.
        environment |= {
            "AIRFLOW_HOME": str(project),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__PORT": str(PORT),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{PORT}/execution/",
        }
    with (project / "output").open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(command)), *arguments],
            cwd=project,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    tree = ProcessTree(process.pid)
    try:
        yield tree
    finally:
        tree.members()
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for folder in tree.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(folder.name), signal.SIGKILL)
        process.wait()
        time.sleep(1)
        shutil.rmtree(project / "logs", ignore_errors=True)


def wait_until_healthy(project: Path, tree: ProcessTree) -> AirflowApi:
    deadline = time.monotonic() + READY_SECONDS
    stack = project / ".headrace" / STACK_FILE
    url = f"http://127.0.0.1:{PORT}"
    while time.monotonic() < deadline and tree.members():
        if stack.exists():
            with contextlib.suppress(ValueError):
                url = json.loads(stack.read_text())["url"]
        if (api := AirflowApi(url)).is_healthy():
            return api
        time.sleep(0.2)
    raise SystemExit(f"it is not healthy:\n{(project / 'output').read_text()[-3000:]}")


def run_chain(api: AirflowApi, tree: ProcessTree) -> tuple[float, float]:
    """Run the chain; returns seconds per task, from the first one's start to the last one's end, and of processor."""
    before = tree.cpu_seconds()
    tasks = run_dag(api, "chain", None)
    first = min(datetime.fromisoformat(task["start_date"]) for task in tasks)
    last = max(datetime.fromisoformat(task["end_date"]) for task in tasks)
    return (last - first).total_seconds() / len(tasks), (tree.cpu_seconds() - before) / len(tasks)
