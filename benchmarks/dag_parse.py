"""Parsing the whole DAGs folder, against importing airflow and parsing an empty one; five pairs, alternating."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import dag_parse_many, record
from headrace.cli.compile import compile_all
from headrace.settings import load_settings

ROOT = Path(__file__).parents[1]
PAIRS = 5
HEAVY = ("tfx", "tensorflow", "apache_beam", "dbt", "great_expectations", "duckdb", "pandas", "pyarrow")
PARSE = f"""
import json, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
airflow_seconds = time.process_time()
bag = DagBag(sys.argv[1])
print(json.dumps({{
    "airflow": airflow_seconds,
    "parse": time.process_time() - airflow_seconds,
    "dags": sorted(bag.dags),
    "tasks": sum(len(dag.tasks) for dag in bag.dags.values()),
    "errors": bag.import_errors,
    "heavy": sorted({{name.split(".")[0] for name in sys.modules}} & set({HEAVY!r})),
}}))
"""


def run() -> None:
    """Measure and print."""
    compile_all(load_settings(ROOT), say=lambda _: None)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as empty:
        pairs = [(parse(Path(empty), home), parse(ROOT / "dags", home)) for _ in range(PAIRS + 1)][1:]
    last = pairs[-1][1]
    if last["errors"] or not last["dags"]:
        raise SystemExit(f"the DAGs do not load: {last['errors']}")
    airflow = [base["airflow"] for base, _ in pairs]
    parsing = [ours["parse"] - base["parse"] for base, ours in pairs]
    print(
        f"{len(last['dags'])} DAGs, {last['tasks']} tasks; processor time of one process, {PAIRS} pairs after a warm-up"
    )
    print(f"  importing airflow        {record.show(airflow)}")
    print(f"  parsing dags/, beyond it {record.show(parsing)}   (goal: under 2 s)")
    print(f"  heavy packages imported  {', '.join(last['heavy']) or 'none'}")
    figures = {"airflow_s": record.summarise(airflow), "parse_s": record.summarise(parsing), "heavy": last["heavy"]}
    print(f"  {record.write('dag_parse', figures).relative_to(ROOT)}")
    dag_parse_many.run()


def parse(folder: Path, home: str) -> dict:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    shown = subprocess.run(
        [sys.executable, "-c", PARSE, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(shown.stdout.splitlines()[-1]))
