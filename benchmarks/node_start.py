"""How long a TFX node takes from its request to the first line of its component's code: warm runtime, fresh process.

Alternating: one fresh process, then several nodes in the runtime. The node does nothing but tell the time.
"""

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import record
from headrace.contracts.node_run import NodeRequest
from headrace.jobs.environment import build_worker_environment
from headrace.jobs.job import Job
from headrace.jobs.limits import NodeLimits
from headrace.jobs.runtime import RuntimeClient, start_worker
from headrace.settings import load_settings

ROOT = Path(__file__).parents[1]
PAIRS = 5
WARM_EACH = 8
TELLS = "first line at "
PIPELINE = f'''
import time

from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import pipeline


@component
def TellTime():
    print("{TELLS}", time.monotonic(), flush=True)


def create_pipeline(pipeline_name, pipeline_root, metadata_connection_config):
    return pipeline.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[TellTime()],
        enable_cache=False,
        metadata_connection_config=metadata_connection_config,
    )
'''


def run() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="hr-"))
    python = load_settings(ROOT).tfx_python
    environment = build_worker_environment(folder / "state") | {"XDG_RUNTIME_DIR": str(folder)}
    client = RuntimeClient(python, environment)
    try:
        (folder / "tfx_pipelines" / "tell_time").mkdir(parents=True)
        (folder / "tfx_pipelines" / "tell_time" / "__init__.py").touch()
        (folder / "tfx_pipelines" / "tell_time" / "pipeline.py").write_text(PIPELINE)
        compile_pipeline(folder, python, environment)
        started = time.monotonic()
        client.ensure_running()
        ready = time.monotonic() - started
        start_node(folder, python, environment, "warm-up", warm=True)
        fresh, warm = [], []
        for pair in range(PAIRS):
            fresh.append(start_node(folder, python, environment, f"fresh-{pair}", warm=False))
            warm += [start_node(folder, python, environment, f"warm-{pair}-{n}", warm=True) for n in range(WARM_EACH)]
        status = client.read_status()
    finally:
        pid = client.read_process()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)
    ratio = statistics.median(fresh) / statistics.median(warm)
    print(f"request to first line of component code; {PAIRS} fresh processes, {len(warm)} nodes in the runtime")
    print(f"  fresh process   {record.show(fresh)}")
    print(f"  warm runtime    {record.show(warm)}, p95 {percentile(warm, 95):.2f} s   (goal: 0.50 s, p95 1.00 s)")
    print(f"  ratio           {ratio:.1f}×   (goal: 20×)")
    print(f"  the runtime     ready after {ready:.1f} s, {status.memory_bytes / 1e9 if status else 0:.2f} GB (PSS)")
    figures = {
        "fresh_s": record.summarise(fresh),
        "warm_s": {**record.summarise(warm), "p95": percentile(warm, 95)},
        "ratio": ratio,
        "runtime_ready_s": ready,
        "runtime_memory_bytes": status.memory_bytes if status else None,
    }
    print(f"  {record.write('node_start', figures).relative_to(ROOT)}")


def compile_pipeline(folder: Path, python: Path, environment: dict[str, str]) -> None:
    subprocess.run(
        [
            *(str(python), "-m", "headrace.tfx_worker", "compile", "--pipeline", "tell_time"),
            *("--pipelines-dir", str(folder / "tfx_pipelines"), "--out", str(folder / "compiled")),
            *("--state-dir", str(folder / "state")),
        ],
        env=environment,
        check=True,
        capture_output=True,
    )


def start_node(folder: Path, python: Path, environment: dict[str, str], run_id: str, *, warm: bool) -> float:
    """Return the seconds from the request to the component's first line."""
    job = Job(folder / "runs" / run_id)
    NodeRequest("tell_time", "TellTime", str(folder / "compiled"), str(folder / "tfx_pipelines"), run_id, {}).write(
        job.folder
    )
    said: list[str] = []
    started = time.monotonic()
    argv = ["node", "--job", str(job.folder)]
    start_worker(job, python, argv, environment, NodeLimits(), said.append, use_runtime=warm)
    end = job.follow(said.append)
    told = [line for line in said if line.startswith(TELLS)]
    if end.code != 0 or not told or any("fresh process" in line for line in said):
        raise SystemExit("\n".join(["the node did not run as it should:", *said]))
    return float(told[0].removeprefix(TELLS)) - started


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
