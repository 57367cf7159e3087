"""Parsing one DAG of 150 dbt models with tests and a pipeline of 20 nodes, against Cosmos's DBT_LS; wall seconds.

Cosmos's cache of what ``dbt ls`` said is off: it lies in Airflow's database, and is asked again after every edit.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import record
from benchmarks.dbt_project import generate
from headrace.cli.compile import compile_all
from headrace.contracts.files import fingerprint_files
from headrace.contracts.pipeline import CompiledPipeline, Node
from headrace.settings import load_settings

ROUNDS, NODES = 5, 20
PARSE = """
import json, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
started = time.monotonic()
bag = DagBag(sys.argv[1])
seconds = time.monotonic() - started
print(json.dumps({
    "parse": seconds, "tasks": sum(len(dag.tasks) for dag in bag.dags.values()), "errors": bag.import_errors
}))
"""
OURS = """
from airflow.sdk import DAG
from headrace import DbtTransform, TfxPipeline

with DAG("both", schedule=None):
    DbtTransform() >> TfxPipeline("many")
"""
PEER = """
from airflow.sdk import DAG
from cosmos import DbtTaskGroup, LoadMode, ProfileConfig, ProjectConfig, RenderConfig
from headrace import TfxPipeline
from headrace.settings import load_settings

settings = load_settings()
with DAG("both", schedule=None):
    DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(settings.dbt_project_dir, install_dbt_deps=False),
        profile_config=ProfileConfig(
            profile_name="many", target_name="local", profiles_yml_filepath=settings.dbt_profiles
        ),
        render_config=RenderConfig(load_method=LoadMode.DBT_LS, emit_datasets=False),
        operator_args=dict(install_deps=False),
    ) >> TfxPipeline("many")
"""


def run() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        root = Path(folder)
        prepare(root)
        rounds = [(parse(root / "ours", root, home), parse(root / "peer", root, home)) for _ in range(ROUNDS + 1)][1:]
    for told in (each for pair in rounds for each in pair):
        if told["errors"] or told["tasks"] < 300:
            raise SystemExit(f"a DAG does not load: {told}")
    ours, peer = ([pair[side]["parse"] for pair in rounds] for side in (0, 1))
    ratios = [first / second for first, second in zip(ours, peer, strict=True)]
    print(f"one DAG of 150 dbt models with tests and a pipeline of {NODES} nodes; {ROUNDS} rounds after a warm-up")
    print(f"  Headrace                 {record.show(ours)}   ({record.show(ratios, '×')}, goal: 0.1 ×)")
    print(f"  Cosmos, DBT_LS           {record.show(peer)}")
    figures = {key: record.summarise(each) for key, each in (("ours_s", ours), ("peer_s", peer), ("ratio", ratios))}
    print(f"  {record.write('dag_parse_many', figures).name}")


def prepare(root: Path) -> None:
    """Write and compile both parts; the pipeline's nodes are a chain that nobody runs."""
    generate(root / "dbt_project", root / "many.duckdb")
    for name, text in (("ours", OURS), ("peer", PEER)):
        (root / name).mkdir()
        (root / name / "both.py").write_text(text)
    settings = load_settings(root)
    compile_all(settings, say=lambda _: None)
    nodes = tuple(Node(f"node{i}", "Trainer", (f"node{i - 1}",) if i else ()) for i in range(NODES))
    source = settings.tfx_pipelines_dir / "many" / "pipeline.py"
    source.parent.mkdir(parents=True)
    source.write_text("")  # after compiling: nothing of TFX is needed to load a DAG
    sources = fingerprint_files(settings.tfx_pipelines_dir, ["many/pipeline.py"])
    pipeline = CompiledPipeline(name="many", nodes=nodes, parameters={}, sources=sources, metadata={})
    pipeline.write(settings.compiled_pipeline_dir("many"))


def parse(dags: Path, root: Path, home: str) -> dict:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__HEADRACE__PROJECT_DIR": str(root),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__COSMOS__ENABLE_CACHE": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    shown = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags)], env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(shown.stdout.splitlines()[-1]))


if __name__ == "__main__":
    run()
