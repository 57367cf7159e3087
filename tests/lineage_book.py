"""Short words for lineage as a chain records it: months of weather and flights that become features and models."""

from collections.abc import Sequence

from model_book import METRICS, SIGNATURE, push_model

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.ledger.database import Ledger
from headrace.ledger.recording import record_results
from headrace.ledger.runs import DataVersion, LineageRun, Newest, load_current, record_runs
from headrace.ledger.training import record_training
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import ModelVersionRow, VersionFacts
from headrace.registry.register import register_version
from headrace.settings import Settings

CHAIN_DAG, TRAINING_DAG = "flights_dataops", "flight_delay_training"
SOURCES = ("weather", "flights")


def record_month(ledger: Ledger, key: str, prefix: str = "", dag_id: str = CHAIN_DAG, content: str = "a") -> None:
    """Record how two files of a month become raw partitions, are staged, joined and published."""

    def made(name: str, kind: str, fingerprint: str | None = None, rows: int = 2_010) -> DataVersion:
        digest = fingerprint and f"{fingerprint}{key}{name}".encode().hex().ljust(64, "0")[:64]
        return DataVersion(f"{prefix}{name}", key, digest, kind, rows=rows)

    runs = [
        LineageRun(
            f"land.raw_{name}", "land",
            [made(f"{name}.csv", "file", content)], [made(f"raw_{name}", "source", content)],
        )
        for name in SOURCES
    ]  # fmt: skip
    runs += [
        LineageRun(
            f"model.flights.stg_{name}", "dbt", [Newest(f"{prefix}raw_{name}", key)], [made(f"stg_{name}", "model")]
        )
        for name in SOURCES
    ]
    runs += [
        LineageRun(
            "model.flights.flight_features", "dbt",
            [Newest(f"{prefix}stg_{name}", key) for name in SOURCES], [made("flight_features", "model", rows=24_951)],
        ),
        LineageRun(
            "publish.features", "publish", [Newest(f"{prefix}flight_features", key)],
            [made("flight_features.published", "features", content, 24_951)],
        ),
    ]  # fmt: skip
    record_runs(ledger, TaskTry(dag_id, f"manual__{key}", "land"), key, runs)


def record_checks(ledger: Ledger, dataset: str, key: str, status: str, dag_id: str = CHAIN_DAG) -> int | None:
    """Record a check of a partition, and return the incident that it opened."""
    severity = Severity.WARNING if status == "warned" else Severity.CRITICAL
    result = CheckResult(
        tool="gx", dataset=dataset, partition_key=key, check="expect_row_count", column=None, severity=severity,
        status=Status.PASSED if status == "passed" else Status.FAILED, message=f"{dataset} of {key}: {status}",
    )  # fmt: skip
    task = TaskTry(dag_id, f"manual__{key}", f"check_{dataset}"[:200])
    return next(iter(record_results(ledger, task, [result]).opened), None)


def record_pipeline(
    ledger: Ledger, keys: Sequence[str], run_id: str, prefix: str = "", dag_id: str = TRAINING_DAG
) -> None:
    """Record how published partitions become examples and a model, by nodes of a pipeline."""
    task = TaskTry(dag_id, run_id, "flight_delay.ExampleGen")

    def artifact(name: str, number: int) -> DataVersion:
        return DataVersion(
            f"{prefix}flight_delay.{name}", "", f"mlmd:{number}:{run_id}", "artifact", detail={"mlmd_id": number}
        )

    examples, model = artifact("examples", 12), artifact("model", 15)
    read = [Newest(f"{prefix}flight_features.published", key) for key in keys]
    runs = [
        LineageRun("flight_delay.ExampleGen", "tfx", read, [examples], execution_id=3),
        LineageRun("flight_delay.Trainer", "tfx", [examples], [model], execution_id=5),
    ]
    record_runs(ledger, task, keys[-1], runs)


def register_on(
    ledger: Ledger,
    settings: Settings,
    number: int,
    keys: Sequence[str],
    dataset: str = "flight_features.published",
    model: str = "flight_delay",
    dag_id: str = TRAINING_DAG,
) -> ModelVersionRow:
    """Train, push and register a version on the newest contents of a dataset's partitions."""
    current = load_current(ledger, [(dataset, key) for key in keys])
    run_id = f"train__{number}"
    record_training(
        ledger, model, dag_id, run_id, keys[-1], trained_on={dataset: keys}, blessed=True, node="Evaluator",
        pushed_to="somewhere", contents={place: (row.fingerprint, row.id) for place, row in current.items()},
    )  # fmt: skip
    pushed = push_model(settings.pushed_dir / model / f"180000000{number}", f"weights of {number}")
    facts = VersionFacts(model, dag_id, run_id, pushed.name, metrics=METRICS, signature=SIGNATURE)
    return register_version(ledger, settings, pushed, facts)
