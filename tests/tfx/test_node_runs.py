"""Runs, retries, repeats, refusals and the cache, on somebody else's pipeline; both interpreters."""

import os
import shutil
import signal
import sqlite3
from pathlib import Path

from conftest import Project, WarmWorker, by_column, wait_for

from headrace.contracts.node_run import OUTCOME_FILE, NodeOutcome


def test_somebody_elses_pipeline_goes_the_whole_way(penguins: Project, penguin_run: dict[str, NodeOutcome]) -> None:
    assert {outcome.state for outcome in penguin_run.values()} == {"COMPLETE"}
    evaluator = penguin_run["Evaluator"]
    assert evaluator.blessed is True
    assert evaluator.metrics is not None
    assert evaluator.metrics["overall"]["sparse_categorical_accuracy"] > 0.9
    assert {found["slice"]["island"] for found in evaluator.metrics["slices"]} == {"Biscoe", "Dream", "Torgersen"}
    assert [check.message.split(" ")[-3:] for check in evaluator.checks] == [["the", "required", "0.9."]]
    assert penguin_run["ExampleValidator"].checks
    assert penguin_run["latest_blessed_model_resolver"].blessed is None
    pushed = Path(penguin_run["Pusher"].pushed_to or "")
    assert (pushed / "saved_model.pb").is_file()
    assert penguins.state_dir / "pushed" / "penguin" in pushed.parents
    trainer, pusher = penguin_run["Trainer"], penguin_run["Pusher"]
    made = {each["id"] for artifacts in penguin_run["Transform"].outputs.values() for each in artifacts}
    assert {each["id"] for each in trainer.inputs["transform_graph"]} <= made
    assert all(each["created"] > 0 for artifacts in trainer.outputs.values() for each in artifacts)
    assert (trainer.execution_type, len(trainer.code_digest or "")) == ("tfx.components.trainer.component.Trainer", 64)
    assert trainer.features is None, "its only signature is of serialized examples"
    assert pusher.signature is not None
    (read,) = pusher.signature["serving_default"]["inputs"].values()
    assert (read["dtype"], read["shape"]) == ("DT_STRING", [-1])


def test_a_node_that_succeeded_is_a_no_op_with_the_same_outcome(
    penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    for node in ("Evaluator", "latest_blessed_model_resolver", "Pusher"):
        code, again = penguins.run_node(node, "first")
        assert code == 0
        assert again is not None
        assert again.execution_id == penguin_run[node].execution_id
        assert again.checks == penguin_run[node].checks
        assert again.metrics == penguin_run[node].metrics
        assert again.pushed_to == penguin_run[node].pushed_to
        assert "nothing to do" in penguins.logs[node]


def test_a_cleared_node_runs_again_and_is_what_later_nodes_read(
    penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    penguins.run_until("Trainer", "cleared")
    _, first = penguins.run_node("Trainer", "cleared")
    code, second = penguins.run_node("Trainer", "cleared", rerun=True)
    assert code == 0
    assert first is not None
    assert second is not None
    assert first.state == "CACHED"
    assert second.state == "COMPLETE"
    assert second.outputs["model"][0]["uri"] != first.outputs["model"][0]["uri"]
    _, kept = penguins.run_node("Trainer", "cleared")
    assert kept is not None
    assert kept.execution_id == second.execution_id, "a retry without the flag keeps the second attempt"
    code, _ = penguins.run_node("Evaluator", "cleared")
    assert code == 0, penguins.logs["Evaluator"]
    assert f"read model: {second.outputs['model'][0]['uri']}" in penguins.logs["Evaluator"]
    assert "COMPLETE" in penguins.logs["Evaluator"]


def test_an_edited_model_is_not_answered_from_the_cache(penguins: Project, penguin_run: dict[str, NodeOutcome]) -> None:
    outcomes = penguins.run_until("Trainer", "unchanged")
    assert {node for node, outcome in outcomes.items() if outcome.state == "COMPLETE"} <= {
        "latest_blessed_model_resolver"
    }
    assert outcomes["Trainer"].outputs["model"][0]["id"]
    restore = penguins.edit("model.py", "SGD(0.5)", "SGD(0.4)")
    try:
        outcomes = penguins.run_until("Trainer", "edited")
    finally:
        restore()
    assert outcomes["Transform"].state == "CACHED", "its own code did not change"
    assert outcomes["Trainer"].state == "COMPLETE"


def test_code_that_raises_is_named_by_file_and_line_and_can_be_retried(
    penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    penguins.run_until("Transform", "raises")
    restore = penguins.edit("model.py", "keras.utils.set_random_seed(1)", "raise ArithmeticError('no fish')")
    try:
        code, outcome = penguins.run_node("Trainer", "raises")
    finally:
        restore()
    assert code == 10
    assert outcome is not None
    assert outcome.state == "FAILED"
    assert outcome.error == "ArithmeticError: no fish (at penguin/model.py:9 in run_fn)"
    code, _ = penguins.run_node("Evaluator", "raises")
    assert code != 0, "there is no model in this run"
    code, outcome = penguins.run_node("Trainer", "raises")
    assert code == 0, penguins.logs["Trainer"]


def test_a_retry_with_mended_code_does_not_answer_for_the_code_that_failed(
    penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    def fail_in(run_id: str) -> tuple[int, NodeOutcome | None]:
        penguins.run_until("Transform", run_id)
        restore = penguins.edit("model.py", "keras.utils.set_random_seed(1)", "raise ArithmeticError('never trains')")
        try:
            return penguins.run_node("Trainer", run_id)
        finally:
            restore()

    _, failed = fail_in("mended")
    code, mended = penguins.run_node("Trainer", "mended")
    assert code == 0, penguins.logs["Trainer"]
    assert failed is not None
    assert mended is not None
    assert mended.execution_id != failed.execution_id
    code, outcome = fail_in("with the code that failed")
    assert outcome is not None
    assert (code, outcome.state) == (10, "FAILED"), "it was given the model of the mended code"


def test_a_retry_reads_what_there_is_by_then_and_a_repeat_is_never_answered_by_what_it_repeats(
    penguins: Project, penguin_run: dict[str, NodeOutcome]
) -> None:
    run_id = "cleared above"

    def run(node: str, expected: int, rerun: bool = False) -> NodeOutcome:
        code, outcome = penguins.run_node(node, run_id, rerun=rerun)
        assert code == expected, penguins.logs[node]
        assert outcome is not None
        return outcome

    penguins.run_until("StatisticsGen", run_id)
    lost = Path(run("StatisticsGen", 0, rerun=True).outputs["statistics"][0]["uri"])
    shutil.rmtree(lost)
    run("SchemaGen", 10)
    there = Path(run("StatisticsGen", 0, rerun=True).outputs["statistics"][0]["uri"])
    assert run("SchemaGen", 0).state == "COMPLETE"
    assert f"read statistics: {there}" in penguins.logs["SchemaGen"]
    assert str(lost) not in penguins.logs["SchemaGen"]
    elsewhere = there.rename(there.with_name("elsewhere"))
    run("SchemaGen", 10, rerun=True)
    elsewhere.rename(there)
    assert run("SchemaGen", 0, rerun=True).state == "COMPLETE"


def test_sys_exit_in_users_code_is_a_failure(penguins: Project, penguin_run: dict[str, NodeOutcome]) -> None:
    penguins.run_until("Transform", "exits")
    restore = penguins.edit("model.py", "keras.utils.set_random_seed(1)", "raise SystemExit(0)")
    try:
        code, outcome = penguins.run_node("Trainer", "exits")
    finally:
        restore()
    assert code == 10
    assert outcome is not None
    assert outcome.state == "FAILED"


def test_a_node_killed_in_the_middle_leaves_no_outcome_and_a_retry_completes(
    penguins: Project, penguin_run: dict[str, NodeOutcome], tmp_path: Path
) -> None:
    penguins.run_until("Transform", "killed")
    marker = tmp_path / "started"
    stop = f"""import pathlib, time
    pathlib.Path(fn_args.serving_model_dir).mkdir(parents=True)
    pathlib.Path(fn_args.serving_model_dir, "half").touch()
    pathlib.Path({str(marker)!r}).touch()
    time.sleep(300)"""
    restore = penguins.edit("model.py", "keras.utils.set_random_seed(1)", stop)
    job = penguins.request("Trainer", "killed")
    (job / OUTCOME_FILE).write_text("an old outcome")
    try:
        pid, _ = penguins.warm.start(["node", "--job", str(job)])
        wait_for(marker)
        os.kill(pid, signal.SIGKILL)
        assert penguins.warm.wait() == -signal.SIGKILL
    finally:
        restore()
    assert not (job / OUTCOME_FILE).exists()
    code, outcome = penguins.run_node("Trainer", "killed")
    assert code == 0, penguins.logs["Trainer"]
    assert "did not succeed before" in penguins.logs["Trainer"]
    assert outcome is not None
    model = Path(outcome.outputs["model"][0]["uri"])
    assert list(model.rglob("saved_model.pb"))
    assert not list(model.rglob("half")), "what the killed attempt left is gone"


def test_a_model_below_its_threshold_is_refused_with_the_reason(
    penguins: Project, penguin_run: dict[str, NodeOutcome], tmp_path: Path
) -> None:
    code, said = penguins.compile("--arg", "eval_accuracy_threshold=1.01")
    assert code == 0, said
    try:
        penguins.run_until("Trainer", "strict")
        penguins.run_node("latest_blessed_model_resolver", "strict")
        code, outcome = penguins.run_node("Evaluator", "strict")
        assert code == 0, "a refusal is an outcome"
        assert outcome is not None
        assert outcome.blessed is False
        assert "is below the required 1.01" in by_column(outcome)[None]
        code, pushed = penguins.run_node("Pusher", "strict")
        assert code == 0
        assert pushed is not None
        assert pushed.pushed_to is None
    finally:
        assert penguins.compile()[0] == 0


def test_processes_that_open_a_new_metadata_store_at_once_do_not_fail(
    warm: WarmWorker, penguins: Project, tmp_path: Path
) -> None:
    other = Project(warm, penguins.pipelines_dir, "penguin", tmp_path)
    assert other.compile()[0] == 0
    jobs = [other.request("latest_blessed_model_resolver", f"at once {number}") for number in range(3)]
    answers = warm.run_script("run_at_once", *jobs)
    assert answers == [0, 0, 0], [(job / "log").read_text() for job in jobs]
    with sqlite3.connect(tmp_path / "tfx" / "metadata.sqlite") as database:
        [(states,)] = database.execute("select group_concat(distinct last_known_state) from Execution")
    assert states == "3"
