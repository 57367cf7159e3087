"""What is drawn of a check over partitions: its value and the bounds of that value."""

from typing import Any

import pytest

from headrace.ledger.query_series import build_point, read_bounds, read_number


def _point(tool: str = "gx", **row: Any) -> tuple[float | None, float | None, float | None]:
    words = {"partition_key": "2013-02", "id": 7, "status": "failed", "observed": None, "expected": None}
    point = build_point(tool, {**words, "failed_rows": None, "total_rows": 1000, **row})
    assert (point.partition_key, point.result_id) == ("2013-02", 7)
    return point.value, point.low, point.high


def test_an_observed_number_has_the_bounds_that_were_expected() -> None:
    assert _point(observed=1048.36, expected={"min_value": 0, "max_value": 200}) == (1048.36, 0, 200)
    assert _point(observed=12, expected={"value": 12}) == (12, 12, 12)
    assert _point("tfma", observed=0.61, expected={"change": False, "lower": 0.65}) == (0.61, 0.65, None)


def test_a_bound_on_a_change_is_none_on_the_value() -> None:
    assert _point("tfma", observed=0.61, expected={"change": True, "lower": -0.02}) == (0.61, None, None)


def test_a_count_of_failing_rows_has_the_bounds_of_a_count() -> None:
    """The bounds in ``expected`` are of the column's values then."""
    between = {"min_value": 0, "max_value": 200}
    assert _point(observed=3, failed_rows=3, expected=between) == (3, None, 0)
    assert _point(observed=3, failed_rows=3, expected={**between, "mostly": 0.99}) == (3, None, 10)
    assert _point(observed=["a", "b"], failed_rows=2, expected=None) == (2, None, 0)


def test_a_dbt_test_that_passes_has_no_failing_rows() -> None:
    assert _point("dbt", status="passed") == (0, None, 0)
    assert _point("dbt", failed_rows=4, observed=4) == (4, None, 0)
    assert _point("dbt", status="error") == (None, None, None)


@pytest.mark.parametrize("value", [None, True, "NaN", "Infinity", float("nan"), float("inf"), [1], {"a": 1}, 10**400])
def test_what_cannot_be_drawn_is_no_number(value: Any) -> None:
    assert read_number(value) is None


@pytest.mark.parametrize("expected", [None, [], "0 to 1", {"min_value": "a"}, {"values": ["x"]}])
def test_what_is_no_bound_is_none(expected: Any) -> None:
    assert read_bounds(expected) == (None, None)
