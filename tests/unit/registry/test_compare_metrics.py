"""Whether two evaluations say the same: numbers, words for numbers, slices, and what only one of them has."""

import math
from typing import Any

import pytest

from headrace.registry.compare_metrics import compare_metrics, find_difference


def within(one: Any, other: Any, tolerance: float = 0.005) -> bool:
    (pair,) = compare_metrics({"overall": {"auc": one}}, {"overall": {"auc": other}}, tolerance)
    return pair.within


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.7, 0.7, True),
        (0.7, 0.7049, True),
        (0.7, 0.6951, True),
        (0.7, 0.706, False),
        (0.7, 0.694, False),
        (100, 100.0, True),
        (100.0, 101.0, False),
        (math.nan, math.nan, True),
        ("NaN", math.nan, True),
        ("NaN", "NaN", True),
        ("NaN", 0.7, False),
        (0.7, math.nan, False),
        (math.inf, "Infinity", True),
        ("Infinity", "-Infinity", False),
        (None, None, True),
        (None, 0.7, False),
        (True, True, True),
        ({"0.5": [0.1, "NaN"]}, {"0.5": [0.104, "NaN"]}, True),
        ({"0.5": [0.1, 0.2]}, {"0.5": [0.1, 0.21]}, False),
        ({"0.5": [0.1]}, {"0.5": [0.1, 0.2]}, False),
        ({"0.5": 1}, {"0.6": 1}, False),
        ("text", "text", True),
        ("text", "other", False),
    ],
)
def test_two_values(one: Any, other: Any, same: bool) -> None:
    assert within(one, other) is same


def test_the_tolerance_is_what_was_asked_for() -> None:
    assert not within(0.7, 0.7000001, tolerance=0)
    assert within(0.7, 0.7, tolerance=0)
    assert within(0.7, 0.9, tolerance=0.25)


def test_every_slice_of_either_is_compared_and_a_missing_one_is_no_match() -> None:
    recorded = {
        "overall": {"auc": 0.7, "example_count": 10.0},
        "baseline": {"auc": 0.1},
        "slices": [{"slice": {"origin": "EWR"}, "metrics": {"auc": 0.6}}, {"slice": {"origin": "JFK"}, "metrics": {}}],
    }
    reproduced = {
        "overall": {"auc": 0.7, "loss": 0.3},
        "baseline": None,
        "slices": [
            {"slice": {"origin": "EWR"}, "metrics": {"auc": 0.65}},
            {"slice": {"origin": "LGA", "hour": 7}, "metrics": {"auc": 0.6}},
        ],
    }
    found = {(pair.slice, pair.metric): pair.within for pair in compare_metrics(recorded, reproduced, 0.005)}
    assert found == {
        ("", "auc"): True,
        ("", "example_count"): False,
        ("", "loss"): False,
        ("origin EWR", "auc"): False,
        ("origin LGA, hour 7", "auc"): False,
    }
    assert compare_metrics({}, {}, 0.005) == []


def test_the_difference_that_is_shown() -> None:
    assert find_difference(0.5, 0.75) == 0.25
    assert find_difference("NaN", math.nan) == 0.0
    assert find_difference("Infinity", math.inf) == 0.0
    assert find_difference(None, 0.7) is None
    assert find_difference(True, 1) is None
