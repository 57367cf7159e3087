"""``compile``: what it writes, when it is stale, and how it refuses; both interpreters."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from conftest import FLIGHT_PIPELINES, TFX_PYTHON, Project, WarmWorker, build_environment, make_project

from headrace.contracts.pipeline import IR_FILE


def test_help_is_instant_and_names_the_exit_codes() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [str(TFX_PYTHON), "-m", "headrace.tfx_worker", "--help"],
        env=build_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "STALE_COMPILE" in done.stdout
    assert time.monotonic() - started < 5


def test_flight_delay_is_compiled_with_its_order_and_parameters(flights: Project) -> None:
    compiled = flights.load_compiled()
    order = [node.id for node in compiled.nodes]
    upstream = {node.id: node.upstream for node in compiled.nodes}
    assert all(order.index(other) < order.index(node) for node in order for other in upstream[node])
    assert "ExampleValidator" in upstream["Evaluator"], "a model of data that did not pass would be blessed"
    assert not {"StatisticsGen", "ExampleValidator"} & {*upstream["Transform"], *upstream["Trainer"]}, "they run beside"
    assert set(upstream["Pusher"]) == {"Evaluator", "InfraCheck", "Trainer"}
    assert {node.id for node in compiled.nodes if node.is_check} == {"ExampleValidator", "Evaluator", "InfraCheck"}
    assert [node.id for node in compiled.nodes if node.is_pusher] == ["Pusher"]
    assert {node.id: node.outputs for node in compiled.nodes}["ParquetExampleGen"] == ("Examples",)
    assert compiled.parameters == {"partition_key": None, "window": 12, "eval_days": 7, "gap_days": 1}
    assert compiled.metadata["owner"] == "ml-platform@example.com"


def test_every_folder_lies_under_the_state_folder(flights: Project) -> None:
    text = (flights.compiled_dir / IR_FILE).read_text()
    for folder in ("tfx/metadata.sqlite", "tfx/flight_delay", "pushed/flight_delay", "features/flight_features"):
        assert str(flights.state_dir / folder) in text


def test_beam_arguments_are_those_of_one_process_unless_others_are_given(penguins: Project, tmp_path: Path) -> None:
    assert "--sdk_container_image=none" in (penguins.compiled_dir / IR_FILE).read_text()
    code, said = penguins.compile("--out", str(tmp_path), "--arg", 'beam_pipeline_args=["--direct_num_workers=1"]')
    assert code == 0, said
    text = (tmp_path / IR_FILE).read_text()
    assert "--direct_num_workers=1" in text
    assert "--sdk_container_image" not in text


def test_a_compile_is_stale_when_what_it_imported_changed(penguins: Project) -> None:
    compiled = penguins.load_compiled()
    assert compiled.changed_sources(penguins.pipelines_dir) == []
    restore = penguins.edit("model.py", "run_fn", "run_fn ")
    assert compiled.changed_sources(penguins.pipelines_dir) == [], "a model is not part of a pipeline's shape"
    restore()
    restore = penguins.edit("pipeline.py", "Tells", "Now tells")
    try:
        assert compiled.changed_sources(penguins.pipelines_dir) == ["penguin/pipeline.py"]
        code, outcome = penguins.run_node("SchemaGen", "stale")
        assert (code, outcome) == (4, None)
        assert "penguin/pipeline.py changed" in penguins.logs["SchemaGen"]
    finally:
        restore()


def test_an_ir_that_is_not_the_one_described_is_refused(penguins: Project) -> None:
    ir = penguins.compiled_dir / IR_FILE
    before = ir.read_bytes()
    ir.write_bytes(before + b"\n")
    try:
        code, outcome = penguins.run_node("SchemaGen", "damaged")
        assert (code, outcome) == (3, None)
        assert "run 'headrace compile'" in penguins.logs["SchemaGen"]
    finally:
        ir.write_bytes(before)


BROKEN = {
    "raises": ("def create_pipeline(pipeline_name):\n    return 1 / 0\n", "broken/pipeline.py:2 in create_pipeline"),
    "syntax": ("def create_pipeline(:\n", "broken/pipeline.py:1"),
    "missing_function": ("", "no function create_pipeline"),
    "missing_import": ("import nowhere_to_be_found\n", "broken/pipeline.py:1"),
    "unknown_argument": ("def create_pipeline(favourite_colour):\n    pass\n", "requires 'favourite_colour'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_pipeline_is_one_clear_message(warm: WarmWorker, tmp_path: Path, kind: str) -> None:
    source, said = BROKEN[kind]
    (tmp_path / "source" / "broken").mkdir(parents=True)
    (tmp_path / "source" / "broken" / "__init__.py").touch()
    (tmp_path / "source" / "broken" / "pipeline.py").write_text(source)
    project = make_project(warm, tmp_path / "project", tmp_path / "source", "broken")
    code, output = project.compile()
    assert code == 5, output
    assert said in output.strip().splitlines()[-1]
    assert not project.compiled_dir.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{", "not valid JSON"),
        ('{"argumants": {}}', "argumants"),
        ('{"arguments": {"colour": 1}}', "no argument colour"),
        ('{"promotion": {"mode": "always"}}', "promotion's mode is 'always': write auto or approval or manual"),
        ('{"severity": {"drift": "error"}}', "the severity of drift is 'error': it may be info, warning, critical"),
    ],
)
def test_wrong_settings_are_one_clear_message(warm: WarmWorker, tmp_path: Path, settings: str, said: str) -> None:
    project = make_project(warm, tmp_path, FLIGHT_PIPELINES, "flight_delay")
    (project.pipelines_dir / "flight_delay" / "headrace.json").write_text(settings)
    code, output = project.compile()
    assert code == 5
    assert said in output


def test_arguments_of_the_command_line_win(penguins: Project, tmp_path: Path) -> None:
    other = Project(penguins.warm, penguins.pipelines_dir, "penguin", tmp_path)
    code, output = other.compile("--arg", "eval_accuracy_threshold=0.5", "--arg", 'train_args={"numSteps": 3}')
    assert code == 0, output
    text = (other.compiled_dir / IR_FILE).read_text()
    assert json.dumps(3) in text
    assert "0.5" in text


def test_plain_tfx_knows_nothing_of_headrace() -> None:
    sources = [file.read_text() for file in FLIGHT_PIPELINES.rglob("*.py")]
    assert sources
    assert not [source for source in sources if "import headrace" in source or "from headrace" in source]


def test_the_worker_imports_nothing_of_the_orchestration_side(warm: WarmWorker) -> None:
    imported = set(warm.run_script("import_worker"))
    assert "tfx" in imported
    assert not imported & {"airflow", "dbt", "great_expectations", "cosmos", "duckdb"}
