"""Short words for a model that was trained, pushed and registered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.ledger.database import Ledger
from headrace.ledger.training import record_training
from headrace.ledger.views_models import ModelVersionRow, VersionFacts
from headrace.registry.register import register_version
from headrace.settings import Settings

MODEL = "delays"
METRICS = {
    "overall": {"auc": 0.71},
    "baseline": {"auc": 0.70},
    "slices": [{"slice": {"origin": "EWR"}, "metrics": {"auc": 0.69, "example_count": 900.0}}],
}
SIGNATURE = {
    "serving_default": {
        "inputs": {"distance": {"dtype": "float32", "shape": [-1]}},
        "outputs": {"probability": {"dtype": "float32", "shape": [-1]}},
        "method": "tensorflow/serving/predict",
    }
}


def push_model(folder: Path, content: str = "weights") -> Path:
    """Write what a Pusher writes."""
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "variables.index").write_text(f"index of {content}")
    (folder / "variables" / "variables.data-00000-of-00001").write_text(content * 100)
    (folder / "saved_model.pb").write_text(f"graph of {content}")
    return folder


def train(
    ledger: Ledger, run_id: str, keys: Sequence[str] = ("2013-01",), model: str = MODEL, dag_id: str = "training"
) -> None:
    record_training(
        ledger, model, dag_id, run_id, keys[-1], trained_on={"features": keys, f"{model}.examples": keys},
        blessed=True, node="Evaluator", pushed_to="somewhere",
    )  # fmt: skip


def register(
    ledger: Ledger,
    settings: Settings,
    number: int,
    keys: Sequence[str] = ("2013-01",),
    model: str = MODEL,
    dag_id: str = "training",
    **facts: Any,
) -> ModelVersionRow:
    """Train, push and register the run of this number; its content is its own."""
    run_id = f"run_{number}"
    train(ledger, run_id, keys, model, dag_id)
    pushed = settings.pushed_dir / model / f"170000000{number}"
    if not pushed.exists():
        push_model(pushed, f"weights of {number}")
    more = {"metrics": METRICS, "signature": SIGNATURE, **facts}
    return register_version(ledger, settings, pushed, VersionFacts(model, dag_id, run_id, pushed.name, **more))
