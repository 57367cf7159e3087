"""A compiled pipeline as a task group: which task waits for which."""

from pathlib import Path

import pytest
from airflow.sdk import DAG

from headrace.airflow.task_groups.tfx_pipeline import TfxPipeline, order_nodes
from headrace.contracts.pipeline import CompiledPipeline, Node
from headrace.settings import load_settings

EXAMPLES = Node("Gen", "tfx.CsvExampleGen", (), ("Examples",))
TRAINER = Node("Trainer", "tfx.Trainer", ("Gen",), ("Model", "ModelRun"))
LEAF = Node("Validator", "tfx.ExampleValidator", ("Gen",), ("ExampleAnomalies",))


def push(name: str, *upstream: str) -> Node:
    return Node(name, "tfx.Pusher", upstream, ("PushedModel",))


def infra(name: str, *upstream: str) -> Node:
    return Node(name, "own.InfraCheck", upstream, ("InfraBlessing",))


def test_a_check_that_nothing_reads_comes_before_the_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__HEADRACE__PROJECT_DIR", str(tmp_path))
    settings = load_settings()
    (settings.tfx_pipelines_dir / "p").mkdir(parents=True)
    (settings.tfx_pipelines_dir / "p" / "pipeline.py").touch()
    nodes = (EXAMPLES, TRAINER, push("to_serving", "Trainer"), LEAF)
    CompiledPipeline("p", nodes, {}, {}, {}).write(settings.compiled_pipeline_dir("p"))
    with DAG("d", schedule=None) as dag:
        TfxPipeline("p")
    assert dag.get_task("p.to_serving").upstream_task_ids == {"p.Trainer", "p.Validator"}
    assert dag.get_task("p.Trainer").upstream_task_ids == {"p.Gen"}


def test_a_check_of_what_was_pushed_stays_behind_the_push() -> None:
    nodes = (EXAMPLES, TRAINER, push("Pusher", "Trainer"), infra("after", "Pusher"), infra("later", "after"), LEAF)
    waits_for = order_nodes(nodes)
    assert waits_for["Pusher"] == ["Trainer", "Validator"]
    assert waits_for["after"] == ["Pusher"]


def test_two_pushes_with_a_check_behind_each_make_no_circle() -> None:
    nodes = (
        *(EXAMPLES, TRAINER, push("one", "Trainer"), push("two", "Trainer")),
        *(infra("of_one", "one"), infra("of_two", "two")),
    )
    waits_for = order_nodes(nodes)
    assert waits_for["one"] == ["Trainer", "of_two"]
    assert waits_for["two"] == ["Trainer"], "of_two must come before one, which comes before of_one"


def test_a_check_that_tfx_orders_anyway_is_waited_for_once() -> None:
    nodes = (EXAMPLES, TRAINER, LEAF, push("Pusher", "Trainer", "Validator"))
    assert order_nodes(nodes)["Pusher"] == ["Trainer", "Validator"]
