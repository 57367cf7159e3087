"""What a partition reaches, in a ledger of 10,000 model versions that were each trained on 365 partitions.

``python -m benchmarks.impact``; on SQLite and, where a server is installed, on Postgres. The goal is a second.
"""

import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, literal, select

from benchmarks import record
from benchmarks.ledger import start_postgres
from headrace.ledger import schema
from headrace.ledger.database import Ledger, open_ledger
from headrace.ledger.impact import find_impact
from headrace.ledger.query_versions import load_lineage

ROOT = Path(__file__).parents[1]
GOAL_SECONDS = 1.0
MODELS, PARTITIONS, ROUNDS = 10_000, 365, 20
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHAIN = ("raw_weather", "stg_weather", "flight_features", "flight_features.published")


def run(models: int = MODELS) -> None:
    """Measure and print."""
    figures: dict[str, Any] = {"models": models, "partitions": PARTITIONS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-impact-")))
        databases: dict[str, Any] = {"sqlite": folder / "ledger.sqlite"}
        url = stack.enter_context(start_postgres())
        if url:
            databases["postgresql"] = url
        for name, address in databases.items():
            with open_ledger(address) as ledger:
                fill(ledger, models)
                figures[name] = measure(name, ledger)
    print(f"  {record.write('impact', figures).relative_to(ROOT)}")


def measure(name: str, ledger: Ledger) -> dict[str, Any]:
    """Ask for one partition after the other."""
    found: dict[str, list[float]] = {"impact": [], "lineage": []}
    for number in range(ROUNDS):
        key = _key(number * PARTITIONS // ROUNDS)
        began = time.perf_counter()
        impact = find_impact(ledger, "raw_weather", key)
        found["impact"].append(time.perf_counter() - began)
        assert len(impact.models) + impact.more == MODELS, "every model was trained on it"
        assert impact.serving, "one answers"
        began = time.perf_counter()
        load_lineage(ledger, "flight_features", key, downstream=False)
        found["lineage"].append(time.perf_counter() - began)
    told = {}
    for what, seconds in found.items():
        median, worst = statistics.median(seconds), max(seconds)
        told[what] = {"median_s": round(median, 4), "worst_s": round(worst, 4)}
        goal = f"   (goal: {GOAL_SECONDS:g} s)" if what == "impact" else ""
        print(f"  {name:12}{what:9} median {1e3 * median:6.0f} ms, worst {1e3 * worst:6.0f} ms{goal}", flush=True)
    return told


def fill(ledger: Ledger, models: int) -> None:
    """Write a year of days through the chain, and models that were each trained on all of them."""
    with ledger.begin() as connection:
        pairs = [*pairwise(CHAIN[:3]), ("flight_features", "flight_delay.examples")]
        rows = [{"name": name, "kind": "model", "project": "p"} for name in {each for pair in pairs for each in pair}]
        connection.execute(insert(schema.dataset), rows)
        edges = [{"upstream": one, "downstream": other, "project": "p"} for one, other in pairs]
        connection.execute(insert(schema.dataset_edge), edges)
        for number in range(PARTITIONS):
            _write_chain(connection, number)
        trained = [
            {
                "pipeline": "flight_delay", "dag_id": "training", "run_id": f"r{n}", "blessed": True, "pushed_to": "x",
                "partition_key": _key(n % PARTITIONS), "at": NOW + timedelta(minutes=n),
            }
            for n in range(models)
        ]  # fmt: skip
        connection.execute(insert(schema.trained_model), trained)
        t, v = schema.trained_model.c, schema.data_version.c
        seen = select(t.id, literal("flight_features"), v.partition_key, v.fingerprint, v.id)
        seen = seen.join_from(schema.trained_model, schema.data_version, v.dataset == CHAIN[-1])
        names = ["model_id", "dataset", "partition_key", "fingerprint", "version_id"]
        connection.execute(insert(schema.trained_on).from_select(names, seen))
        ids = list(connection.scalars(select(t.id).order_by(t.id)))
        empty = {"code": {}, "signature": {}, "features": ["x"], "metrics": {}, "verdicts": []}
        versions = [
            {
                "model": "flight_delay", "number": n + 1, "trained_model_id": id_, "digest": f"{n:064d}",
                "state": "candidate", "pushed_version": "1", "at": NOW, **empty,
            }
            for n, id_ in enumerate(ids)
        ]  # fmt: skip
        connection.execute(insert(schema.model_version), versions)
        newest = connection.scalar(select(schema.model_version.c.id).order_by(schema.model_version.c.number.desc()))
        alias = {"model": "flight_delay", "alias": "champion", "model_version_id": newest, "at": NOW}
        connection.execute(insert(schema.model_alias).values(**alias, actor="a", reason="r"))
    if ledger.dialect == "postgresql":
        with ledger.begin() as connection:
            connection.exec_driver_sql("ANALYZE")


def _write_chain(connection: Connection, number: int) -> None:
    key, before = _key(number), None
    for name in CHAIN:
        version = {
            "dataset": name, "partition_key": key, "fingerprint": f"{number:064d}", "kind": "model", "rows": 1_000,
            "first_seen": NOW, "last_seen": NOW, "detail": {},
        }  # fmt: skip
        made = connection.execute(insert(schema.data_version).values(version).returning(schema.data_version.c.id))
        id_ = made.scalar_one()
        if before is not None:
            run_of = {
                "job": f"model.{name}", "kind": "dbt", "state": "complete", "dag_id": "data", "run_id": f"r{number}",
                "partition_key": key, "detail": {},
            }  # fmt: skip
            done = connection.execute(insert(schema.lineage_run).values(run_of).returning(schema.lineage_run.c.id))
            run_id = done.scalar_one()
            io = [{"run_id": run_id, "version_id": before, "role": 0}, {"run_id": run_id, "version_id": id_, "role": 1}]
            connection.execute(insert(schema.lineage_io), io)
        before = id_


def _key(number: int) -> str:
    return f"{datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number):%Y-%m-%d}"


if __name__ == "__main__":
    run()
