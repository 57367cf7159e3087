"""Distributions that TFDV measured, current beside baseline, as SVG charts; pure; orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from headrace.ui.charts_svg import draw, shorten, write
from headrace.ui.formatting import show_number

WIDTH, HEIGHT = 300, 120
_BOTTOM, _TOP = 20, 6
_BAR, _LABEL = 17, 104
MOST_VALUES = 8
MOST_FEATURES = 24

Feature = Mapping[str, Any]


@dataclass(frozen=True)
class FeatureCharts:
    """One feature of one split.

    Attributes:
        charts: ``(heading, chart)``: the baseline where there is one, then what is now; a chart is None where the
            feature has no value.
        facts: ``(name, baseline's, current's)``, as text; the baseline's is empty where there is none.
        moved: How far apart the two are, in [0, 1]: the largest difference of a share; None without a baseline.
    """

    split: str
    feature: str
    kind: str
    charts: Sequence[tuple[str, Markup | None]]
    facts: Sequence[tuple[str, str, str]]
    moved: float | None
    of_incident: bool


def draw_statistics(statistics: Mapping[str, Any], column: str | None) -> tuple[list[FeatureCharts], int]:
    """Draw each feature of each split; the incident's own first, then those that moved most.

    Args:
        statistics: ``{"current": {"partition_key", "splits"}, "baseline": the same or None}``, splits as in
            :data:`headrace.contracts.statistics.Statistics`.
        column: The feature that the incident is about.

    Returns:
        At most :data:`MOST_FEATURES` features, and how many were left out.
    """
    current, baseline = (((statistics.get(side) or {}).get("splits") or {}) for side in ("current", "baseline"))
    drawn = [
        _draw_feature(split, name, feature, (baseline.get(split) or {}).get(name), name == column)
        for split, features in current.items()
        for name, feature in features.items()
    ]
    drawn.sort(key=lambda each: (not each.of_incident, -(each.moved or 0.0), each.feature, each.split))
    return drawn[:MOST_FEATURES], max(0, len(drawn) - MOST_FEATURES)


def _draw_feature(split: str, name: str, now: Feature, before: Feature | None, of_incident: bool) -> FeatureCharts:
    sides = [("Baseline", before)] if before is not None else []
    sides.append(("Current", now))
    numeric = any((feature or {}).get("histogram") for _, feature in sides)
    charts = _draw_histograms(name, sides) if numeric else _draw_values(name, sides)
    return FeatureCharts(
        split, name, str(now.get("type") or ""), charts, _facts(now, before), _distance(now, before), of_incident
    )


def _draw_histograms(name: str, sides: Sequence[tuple[str, Feature | None]]) -> list[tuple[str, Markup | None]]:
    buckets = {
        heading: [tuple(map(float, each)) for each in (side or {}).get("histogram") or ()] for heading, side in sides
    }
    everything = [bucket for each in buckets.values() for bucket in each]
    low, high = min(bucket[0] for bucket in everything), max(bucket[1] for bucket in everything)
    span = (high - low) or 1.0
    dense = {heading: _density(each) for heading, each in buckets.items()}
    tallest = max((height for each in dense.values() for height in each), default=0.0) or 1.0
    charts: list[tuple[str, Markup | None]] = []
    for heading, _ in sides:
        if not buckets[heading]:
            charts.append((heading, None))
            continue
        bars = Markup("")
        for (left, right, count), height in zip(buckets[heading], dense[heading], strict=True):
            x, width = (left - low) / span * WIDTH, max(1.0, (right - left) / span * WIDTH - 1)
            tall = height / tallest * (HEIGHT - _TOP - _BOTTOM)
            if count:
                tall = max(tall, 1.5)  # one value among a million is still seen
            said = Markup("<title>{}</title>").format(
                f"{show_number(left)} to {show_number(right)}: {show_number(count)}"
            )
            bars += draw(
                "rect", f"bar {heading.lower()}", said, x=x, y=HEIGHT - _BOTTOM - tall, width=width, height=tall
            )
        axis = draw("line", "axis", x1=0, x2=WIDTH, y1=HEIGHT - _BOTTOM, y2=HEIGHT - _BOTTOM)
        ends = write(show_number(low), "tick", 0, HEIGHT - 5) + write(
            show_number(high), "tick", WIDTH, HEIGHT - 5, "end"
        )
        charts.append((heading, _frame(f"{heading} distribution of {name}", bars + axis + ends, HEIGHT)))
    return charts


def _draw_values(name: str, sides: Sequence[tuple[str, Feature | None]]) -> list[tuple[str, Markup | None]]:
    shares = {heading: _shares(side) for heading, side in sides}
    order = sorted(
        {value for each in shares.values() for value in each}, key=lambda v: -max(s.get(v, 0) for s in shares.values())
    )
    shown = order[:MOST_VALUES]
    most = max((share for each in shares.values() for share in each.values()), default=0.0) or 1.0
    height = max(1, len(shown)) * _BAR + 4
    charts: list[tuple[str, Markup | None]] = []
    for heading, _ in sides:
        if not shares[heading]:
            charts.append((heading, None))
            continue
        bars = Markup("")
        for row, value in enumerate(shown):
            share = shares[heading].get(value)
            y = float(row * _BAR + 2)
            said = Markup("<title>{}</title>").format(f"{value}: {_percent(share)}")
            bars += draw("text", "tick", shorten(value, 16) or "(empty)", x=_LABEL - 6, y=y + 12, text_anchor="end")
            length = (share or 0.0) / most * (WIDTH - _LABEL - 50)
            bars += draw(
                "rect", f"bar {heading.lower()}", said, x=_LABEL, y=y + 2, width=max(1.0, length), height=_BAR - 5
            )
            bars += write(_percent(share), "tick", _LABEL + length + 6, y + 12)
        charts.append((heading, _frame(f"{heading} values of {name}", bars, height)))
    return charts


def _frame(title: str, content: Markup, height: int) -> Markup:
    head = Markup("<title>{}</title>").format(title)
    return Markup('<svg class="distribution" viewBox="0 0 {} {}" role="img">{}{}</svg>').format(
        WIDTH, height, head, content
    )


def _density(buckets: Sequence[tuple[float, ...]]) -> list[float]:
    """Heights whose areas add up to 1, so that histograms of other bucket widths and row counts compare."""
    total = sum(bucket[2] for bucket in buckets) or 1.0
    return [bucket[2] / total / ((bucket[1] - bucket[0]) or 1.0) for bucket in buckets]


def _shares(feature: Feature | None) -> dict[str, float]:
    top = (feature or {}).get("top") or ()
    total = (feature or {}).get("count") or sum(count for _, count in top) or 1
    return {str(value): float(count) / float(total) for value, count in top}


def _distance(now: Feature, before: Feature | None) -> float | None:
    if before is None:
        return None
    apart = abs(_missing(now) - _missing(before))
    left, right = _shares(now), _shares(before)
    apart = max([apart, *(abs(left.get(value, 0.0) - right.get(value, 0.0)) for value in {*left, *right})])
    if now.get("histogram") and before.get("histogram"):
        apart = max(apart, _histogram_distance(now["histogram"], before["histogram"]))
    return min(1.0, apart)


def _histogram_distance(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> float:
    """The greatest difference of the two cumulative shares, at any bucket's edge."""
    edges = sorted({float(edge) for bucket in (*left, *right) for edge in bucket[:2]})
    return max(abs(_cumulative(left, edge) - _cumulative(right, edge)) for edge in edges)


def _cumulative(buckets: Sequence[Sequence[float]], edge: float) -> float:
    total = sum(bucket[2] for bucket in buckets) or 1.0
    return (
        sum(
            bucket[2] if bucket[1] <= edge else bucket[2] * (edge - bucket[0]) / ((bucket[1] - bucket[0]) or 1.0)
            for bucket in buckets
            if bucket[0] < edge or bucket[1] <= edge
        )
        / total
    )


def _missing(feature: Feature) -> float:
    count, missing = feature.get("count") or 0, feature.get("missing") or 0
    return float(missing) / float((count + missing) or 1)


def _facts(now: Feature, before: Feature | None) -> list[tuple[str, str, str]]:
    facts = [("missing", _percent(_missing(before)) if before else "", _percent(_missing(now)))]
    for name in ("count", "unique", "mean", "std", "min", "median", "max", "zeros", "nan"):
        values = [None if feature is None else feature.get(name) for feature in (before, now)]
        if any(value is not None for value in values) and not (name == "nan" and not any(values)):
            texts = ["" if value is None else show_number(value) for value in values]
            facts.append((name, texts[0], texts[1]))
    return facts


def _percent(share: float | None) -> str:
    if share is None:
        return "–"
    return "< 0.1 %" if 0 < share < 0.001 else f"{share * 100:.1f} %".replace(".0 %", " %")
