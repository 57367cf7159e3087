import math
from xml.etree import ElementTree

import pytest

from headrace.ledger.views import SeriesPoint
from headrace.ui.charts import draw_series, linear_ticks, log_ticks, wants_log

NASTY = '<img src=x onerror="alert(1)">\'&\u202e'


def point(
    key: str, value: float | None, status: str = "passed", low: float | None = None, high: float | None = None
) -> SeriesPoint:
    return SeriesPoint(key, value, low, high, status, 1)


def parse(svg: object) -> ElementTree.Element:
    return ElementTree.fromstring(str(svg))


def by_class(root: ElementTree.Element, css: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.get("class") == css]


WIND = [point(f"2013-{month:02}", value, high=80, low=5) for month, value in enumerate((42.6, 36.8, 34.5), 3)]


def test_the_wind_of_1048_mph_is_drawn_on_a_logarithmic_scale_above_its_bounds() -> None:
    svg = parse(
        draw_series([point("2013-01", 42.6, low=5, high=80), point("2013-02", 1048.36, "failed", 5, 80), *WIND])
    )
    (band,) = by_class(svg, "band")
    (failed,) = by_class(svg, "point failed")
    height_of_failed = float(str(failed.get("d")).split()[1].split("l")[0]) + 6
    assert height_of_failed < float(str(band.get("y"))), "it lies above the band"
    passed = [float(str(each.get("cy"))) for each in by_class(svg, "point")]
    top, bottom = float(str(band.get("y"))), float(str(band.get("y"))) + float(str(band.get("height")))
    assert all(top < y < bottom for y in passed), "all others lie in it"
    assert max(passed) - min(passed) > 2, "and are not pressed flat"
    assert "logarithmic" in (svg.findtext("desc") or "")
    assert "2013-02 1,048.36" in (svg.findtext("desc") or "")
    assert svg.findtext("title") == "Value on 5 partitions, 1 failing"


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [([30, 31, 1048.0], True), ([30, 31, 200], False), ([-5, 3, 1000], False), ([0, 0, 0], False), ([0, 0, 1], False),
     ([], False)],
)  # fmt: skip
def test_a_logarithmic_scale_is_for_one_value_far_above_the_others(numbers: list[float], wanted: bool) -> None:
    assert wants_log(numbers) is wanted


def test_counts_of_failing_rows_with_zeros_and_a_million_are_drawn() -> None:
    svg = parse(
        draw_series([point("a", 0), point("b", 3, "failed"), point("c", 1_000_000, "failed"), point("d", 20, "failed")])
    )
    ys = [float(str(each.get("cy"))) for each in by_class(svg, "point")]
    assert all(math.isfinite(y) for y in ys)
    assert next(each.text for each in by_class(svg, "tick")) == "0"


def test_equal_values_and_negative_values_have_a_scale() -> None:
    for points in (
        [point("a", 7), point("b", 7)],
        [point("a", 0), point("b", 0)],
        [point("a", -3), point("b", 2, low=-10)],
    ):
        assert parse(draw_series(points)).get("role") == "img"


def test_what_is_no_number_is_left_out_and_one_point_is_no_chart() -> None:
    points = [point("a", None), point("b", math.nan), point("c", math.inf), point("d", 1.0)]
    assert draw_series(points) is None
    assert len(by_class(parse(draw_series([*points, point("e", 2.0)])), "point")) == 2


def test_bounds_that_changed_are_bands_beside_each_other() -> None:
    svg = parse(draw_series([point("a", 1, high=5), point("b", 2, high=5), point("c", 2, low=1), point("d", 2)]))
    assert len(by_class(svg, "band")) == 2


def test_hostile_partition_keys_are_text() -> None:
    svg = parse(draw_series([point(NASTY, 1, "failed"), point("b", 2)], unit=NASTY))
    assert not list(svg.iter("img"))
    assert any(NASTY in (title.text or "") for title in svg.iter("title"))


def test_many_partitions_do_not_write_over_each_other() -> None:
    svg = parse(draw_series([point(f"2013-01-{day:02}", day) for day in range(1, 61)]))
    keys = [each for each in by_class(svg, "tick") if each.get("text-anchor") == "middle"]
    assert len(keys) <= 12
    assert keys[-1].text == "2013-01-60", "the newest is always named"


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-5.0, 7.0), (1e-9, 3e-9), (1e9, 4.2e9)])
def test_linear_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = linear_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1500.0), (3.0, 1600.0), (0.5, 1e12), (20.0, 300.0)])
def test_log_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)


def test_the_unit_stands_at_the_axis_and_behind_what_failed() -> None:
    svg = parse(draw_series([*WIND, point("2013-06", 90.5, "failed")], unit="mph"))
    assert [each.text for each in by_class(svg, "tick unit")] == ["mph"]
    assert [each.text for each in by_class(svg, "value")] == ["90.5 mph"]
    assert "90.5 mph, failed" in [title.text or "" for title in svg.iter("title")][-1]
    bare = parse(draw_series([*WIND, point("2013-06", 90.5, "failed")]))
    assert by_class(bare, "tick unit") == []
    assert [each.text for each in by_class(bare, "value")] == ["90.5"]
