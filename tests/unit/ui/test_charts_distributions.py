from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from headrace.ui.charts_distributions import MOST_FEATURES, draw_statistics

NASTY = '<img src=x onerror="alert(1)">\'&'
EMPTY: dict[str, Any] = dict.fromkeys(("mean", "std", "min", "max", "median", "zeros", "unique")) | {
    "count": 100, "missing": 0, "nan": 0, "histogram": [], "top": [],
}  # fmt: skip


def feature(**more: Any) -> dict[str, Any]:
    return {**EMPTY, "type": "float", **more}


def of(current: Mapping[str, Any], baseline: Mapping[str, Any] | None = None) -> dict[str, Any]:
    both = {"current": {"partition_key": "2013-02", "splits": {"train": current}}, "baseline": None}
    if baseline is not None:
        both["baseline"] = {"partition_key": "2013-01", "splits": {"train": baseline}}
    return both


def bars(svg: object, side: str) -> list[tuple[float, float]]:
    found = [each for each in ElementTree.fromstring(str(svg)).iter("rect") if each.get("class") == f"bar {side}"]
    return [(float(str(each.get("x"))), float(str(each.get("height")))) for each in found]


def test_both_sides_of_a_histogram_have_one_scale() -> None:
    now = feature(histogram=[[0, 10, 50], [10, 20, 50]])
    before = feature(histogram=[[0, 5, 100], [5, 10, 100]])
    (drawn,), left = draw_statistics(of({"x": now}, {"x": before}), "x")
    assert left == 0
    (first, baseline), (second, current) = drawn.charts
    assert (first, second) == ("Baseline", "Current")
    assert [x for x, _ in bars(baseline, "baseline")] == [0.0, 75.0], "0 to 10 is the left half of 0 to 20"
    assert [x for x, _ in bars(current, "current")] == [0.0, 150.0]
    # 200 rows over 0 to 10 are a density twice that of 100 rows over 0 to 20.
    assert bars(baseline, "baseline")[0][1] == 2 * bars(current, "current")[0][1]
    assert drawn.moved == 0.5


def test_values_are_compared_as_shares_in_one_order() -> None:
    now = feature(type="string", top=[["UA", 60], ["B6", 20]])
    before = feature(type="string", count=1000, top=[["B6", 500], ["UA", 100]])
    (drawn,), _ = draw_statistics(of({"carrier": now}, {"carrier": before}), "carrier")
    texts = [
        [each.text for each in ElementTree.fromstring(str(chart)).iter("text") if each.get("text-anchor") == "end"]
        for _, chart in drawn.charts
    ]
    assert texts == [["UA", "B6"], ["UA", "B6"]]
    assert drawn.moved == 0.5


def test_missing_values_count_as_movement_and_are_told() -> None:
    now, before = feature(count=50, missing=50), feature(count=100, missing=0)
    (drawn,), _ = draw_statistics(of({"x": now}, {"x": before}), None)
    assert drawn.moved == 0.5
    assert drawn.facts[0] == ("missing", "0 %", "50 %")
    assert [chart for _, chart in drawn.charts] == [None, None]


def test_without_a_baseline_only_what_is_now_is_drawn() -> None:
    (drawn,), _ = draw_statistics(of({"x": feature(histogram=[[1, 1, 5]])}), "x")
    assert [heading for heading, _ in drawn.charts] == ["Current"]
    assert drawn.moved is None
    assert drawn.facts[0] == ("missing", "", "0 %")


def test_the_incidents_feature_is_first_and_the_rest_bounded() -> None:
    now = {f"f{number:02}": feature() for number in range(30)}
    before = {**now, "f07": feature(count=50, missing=50)}
    drawn, left = draw_statistics(of(now, before), "f20")
    assert [each.feature for each in drawn[:3]] == ["f20", "f07", "f00"]
    assert (len(drawn), left) == (MOST_FEATURES, 6)


def test_nothing_measured_is_nothing_drawn() -> None:
    assert draw_statistics({}, "x") == ([], 0)


def test_hostile_names_and_values_are_text() -> None:
    (drawn,), _ = draw_statistics(of({NASTY: feature(top=[[NASTY, 3]])}, {NASTY: feature(top=[])}), NASTY)
    for _, chart in drawn.charts:
        if chart is not None:
            assert not list(ElementTree.fromstring(str(chart)).iter("img"))
            assert "<img" not in str(chart)
