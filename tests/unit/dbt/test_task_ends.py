"""How tasks end as dbt ends its nodes, on the artifacts of a real run."""

from dataclasses import replace

import pytest

from headrace.dbt.invocation import NodeEnd
from headrace.dbt.manifest import DbtManifest, DbtNode
from headrace.dbt.task_ends import TaskEnd, TaskEnds

A, B, C = "model.shop.a", "model.shop.b", "model.shop.c"
A_TEST, A_WARN, B_TEST = "test.shop.a_is.1", "test.shop.a_may_be.2", "test.shop.b_is.3"
UNIT, SOURCE_TEST = "unit_test.shop.b.adds_up", "test.shop.source_is.4"
TASKS = {"a.run": [A], "a.test": [A_TEST, A_WARN], "b.run": [UNIT, B], "b.test": [B_TEST], "c.run": [C]}
UPSTREAM = {"a.test": ["a.run"], "b.run": ["a.test"], "b.test": ["b.run"]}
ALL = {A, B, C, A_TEST, A_WARN, B_TEST, UNIT}


@pytest.fixture
def ends() -> TaskEnds:
    nodes = [
        *(DbtNode(unique_id, unique_id.rpartition(".")[2], "model") for unique_id in (A, B, C)),
        DbtNode(A_TEST, "a_is", "test", tests=A),
        DbtNode(A_WARN, "a_may_be", "test", tests=A, severity="warn"),
        DbtNode(B_TEST, "b_is", "test", tests=B),
        DbtNode(UNIT, "adds_up", "unit_test", tests=B),
        DbtNode(SOURCE_TEST, "source_is", "test"),
    ]
    return TaskEnds(TASKS, UPSTREAM, DbtManifest("shop", {node.unique_id: node for node in nodes}), "2013-01")


def tell(ends: TaskEnds, **statuses: str) -> list[TaskEnd]:
    known = {"a": A, "b": B, "c": C, "a_is": A_TEST, "a_may_be": A_WARN, "b_is": B_TEST, "adds_up": UNIT}
    nodes = [
        NodeEnd(known[name], status, failures=int(status in ("fail", "warn"))) for name, status in statuses.items()
    ]
    return [end for node in nodes if (end := ends.add(node)) is not None]


def states(ends: TaskEnds) -> dict[str, bool]:
    return {task_id: end.failed for task_id, end in ends.ended.items()}


def test_a_task_ends_with_the_last_of_its_nodes(ends: TaskEnds) -> None:
    assert [end.task_id for end in tell(ends, a="success", a_is="pass")] == ["a.run"]
    assert [end.task_id for end in tell(ends, a_may_be="pass")] == ["a.test"]
    assert states(ends) == {"a.run": False, "a.test": False}


def test_a_warning_is_a_success_that_can_be_read(ends: TaskEnds) -> None:
    (run, end) = tell(ends, a="success", a_is="pass", a_may_be="warn")
    assert (run.failed, end.failed) == (False, False)
    assert ("warning", "2013-01 a: 1 row fails a_may_be") in end.lines


def test_what_follows_a_failure_is_left_to_airflow(ends: TaskEnds) -> None:
    tell(ends, a="success", a_is="fail", a_may_be="pass", adds_up="skipped", b="skipped", b_is="skipped", c="success")
    ends.finish(ALL, {})
    assert states(ends) == {"a.run": False, "a.test": True, "c.run": False}
    assert ends.list_open() == []
    assert ends.list_unexplained({A_TEST: "a_is failed"}) == []


def test_a_failed_unit_test_fails_its_model(ends: TaskEnds) -> None:
    tell(ends, a="success", a_is="pass", a_may_be="pass", adds_up="fail", b="skipped", b_is="skipped", c="success")
    ends.finish(ALL, {})
    assert states(ends) == {"a.run": False, "a.test": False, "b.run": True, "c.run": False}
    assert "adds_up" in ends.ended["b.run"].message
    assert ends.list_unexplained({UNIT: "adds_up failed"}) == []


@pytest.mark.parametrize(("waived", "failed"), [({}, True), ({A_WARN: "waived by anna: it is right"}, False)])
def test_a_failure_that_only_its_user_calls_critical_is_judged_at_the_end(
    ends: TaskEnds, waived: dict[str, str], failed: bool
) -> None:
    nodes = dict(ends.manifest.nodes)
    nodes[A_WARN] = replace(nodes[A_WARN], meta={"severity": "critical"})
    ends.manifest = replace(ends.manifest, nodes=nodes)
    assert [end.task_id for end in tell(ends, a="success", a_is="pass", a_may_be="warn")] == ["a.run"]
    tell(ends, adds_up="pass", b="success", b_is="pass", c="success")
    ends.finish(ALL, waived)
    assert states(ends)["a.test"] is failed
    assert not any(states(ends)[name] for name in ("b.run", "b.test", "c.run"))


def test_a_failure_without_a_task_is_unexplained(ends: TaskEnds) -> None:
    tell(ends, a="success", a_is="pass", a_may_be="pass", adds_up="pass", b="success", b_is="pass", c="success")
    ends.finish(ALL, {})
    assert ends.list_unexplained({SOURCE_TEST: "source_is failed"}) == ["source_is failed"]


def test_a_node_of_which_dbt_told_nothing_is_no_success(ends: TaskEnds) -> None:
    tell(ends, a="success", a_is="pass", a_may_be="pass", adds_up="pass", b="success", b_is="pass")
    ends.finish(ALL, {})
    assert "c.run" not in ends.ended
    assert ends.list_open() == ["c.run"]


def test_a_model_that_dbt_was_not_to_build_is_no_success_either(ends: TaskEnds) -> None:
    tell(ends, a="success", a_is="pass", a_may_be="pass", adds_up="pass", b="success", b_is="pass")
    ends.finish(ALL - {C}, {})
    assert ends.list_open() == ["c.run"]


def test_waived_tests_are_named_and_end_nothing_red(ends: TaskEnds) -> None:
    tell(ends, a="success", a_is="pass", a_may_be="pass", adds_up="pass", b="success", c="success")
    ends.finish(ALL - {B_TEST}, {B_TEST: "waived by anna: it is right"})
    assert states(ends)["b.test"] is False
    assert ends.ended["b.test"].lines == (("warning", f"{B_TEST} was not run: waived by anna: it is right"),)


@pytest.mark.parametrize("status", ["error", "partial success", "something new"])
def test_a_model_is_built_only_where_dbt_says_success(ends: TaskEnds, status: str) -> None:
    (end,) = tell(ends, a=status)
    assert end.failed


def test_an_end_is_json(ends: TaskEnds) -> None:
    (end,) = tell(ends, a="success")
    assert end.to_json()["lines"] == [["info", "2013-01 a: dbt built it"]]
