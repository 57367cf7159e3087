"""The value of a check over partitions, as an SVG chart; pure; orchestration interpreter."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from markupsafe import Markup

from headrace.ledger.views import SeriesPoint
from headrace.ui.charts_svg import draw, shorten, write
from headrace.ui.formatting import show_number

WIDTH, HEIGHT = 720, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 30, 34
_LOG_FROM = 12
"""A logarithmic scale is taken where the greatest value is this many times the median: 1,048 among 30s."""

Scale = Callable[[float], float]


def draw_series(points: Sequence[SeriesPoint], unit: str = "", current: str | None = None) -> Markup | None:
    """Draw the newest value of a check on each partition, with the bounds that held then as a band.

    Args:
        points: In the order of their partitions.
        unit: Written after numbers.
        current: The partition to mark as the one that is looked at.

    Returns:
        An ``<svg>``, or None where fewer than two partitions have a number: one point is no chart.
    """
    drawn = [point for point in points if point.value is not None and math.isfinite(point.value)]
    if len(drawn) < 2:
        return None
    bounds = [bound for point in drawn for bound in (point.low, point.high) if bound is not None]
    numbers = [float(point.value or 0.0) for point in drawn] + [float(bound) for bound in bounds]
    logarithmic = wants_log(numbers)
    low, high = _domain(numbers, logarithmic)
    to_y = _scale(low, high, logarithmic)
    step = (WIDTH - _LEFT - _RIGHT) / len(drawn)
    xs = [_LEFT + step * (index + 0.5) for index in range(len(drawn))]
    parts: list[Markup] = [_describe(drawn, unit, logarithmic)]
    ticks = log_ticks(low, high) if logarithmic else linear_ticks(low, high)
    if all(number.is_integer() for number in numbers):  # there is no half row
        ticks = [tick for tick in ticks if tick.is_integer()]
    above = math.inf
    for tick in ticks:
        y = to_y(tick)
        if above - y < 16:  # 0 and 1 lie close below a million
            continue
        above = y
        parts.append(draw("line", "grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
        parts.append(write(show_number(tick), "tick", _LEFT - 8, y + 4, "end"))
    if unit:
        parts.append(write(unit, "tick unit", 4, 14))
    parts += _band(drawn, step, to_y, low, high)
    line = " ".join(f"{x:.1f},{to_y(float(point.value or 0.0)):.1f}" for x, point in zip(xs, drawn, strict=True))
    parts.append(draw("polyline", "line", points=line))
    every = max(1, math.ceil(len(drawn) * 60 / (WIDTH - _LEFT - _RIGHT)))
    for index, (x, point) in enumerate(zip(xs, drawn, strict=True)):
        parts.append(_mark(x, to_y(float(point.value or 0.0)), point, unit, point.partition_key == current))
        if (len(drawn) - 1 - index) % every == 0:
            parts.append(write(shorten(point.partition_key or "all", 11), "tick", x, HEIGHT - 10, "middle"))
    return Markup('<svg class="series" viewBox="0 0 {} {}" role="img">{}</svg>').format(
        WIDTH, HEIGHT, Markup("").join(parts)
    )


def wants_log(numbers: Sequence[float]) -> bool:
    """Tell whether one value would press the others flat: all are at least 0, and the greatest is far above most."""
    magnitudes = sorted(numbers)
    if not magnitudes or magnitudes[0] < 0 or magnitudes[-1] <= 0:
        return False
    positive = [value for value in magnitudes if value > 0]
    return magnitudes[-1] / positive[len(positive) // 2] >= _LOG_FROM


def linear_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers within the bounds, 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten within the bounds, with 0 where the scale begins there; about five of them."""
    top = math.floor(math.log10(high))
    bottom = 0 if low <= 0 else math.ceil(math.log10(low) - 1e-9)
    powers = list(range(bottom, top + 1))
    powers = powers[:: max(1, math.ceil(len(powers) / 5))]
    if len(powers) < 3:
        halves = [factor * 10.0**power for power in range(bottom - 1, top + 1) for factor in (1, 2, 5)]
        return ([0.0] if low <= 0 else []) + [value for value in halves if max(low, 1e-300) <= value <= high]
    return ([0.0] if low <= 0 else []) + [10.0**power for power in powers]


def _domain(numbers: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(numbers), max(numbers)
    if logarithmic:
        return (0.0 if low < 1 else low / 1.5), high * 1.5
    if low == high:
        spread = abs(low) * 0.1 or 1.0
        return low - spread, high + spread
    margin = (high - low) * 0.12
    return (0.0 if 0 <= low < margin * 2 else low - margin), high + margin


def _scale(low: float, high: float, logarithmic: bool) -> Scale:
    def bend(value: float) -> float:
        if not logarithmic:
            return value
        return math.log10(1 + value) if low <= 0 else math.log10(max(value, low))

    bottom, top = bend(low), bend(high)
    return lambda value: _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - (bend(value) - bottom) / (top - bottom))


def _band(points: Sequence[SeriesPoint], step: float, to_y: Scale, low: float, high: float) -> list[Markup]:
    parts: list[Markup] = []
    x = float(_LEFT)
    for (lower, upper), group in groupby(points, key=lambda point: (point.low, point.high)):
        width = step * len(list(group))
        if lower is not None or upper is not None:
            top = to_y(high if upper is None else upper)
            bottom = to_y(low if lower is None else lower)
            parts.append(draw("rect", "band", x=x, y=top, width=width, height=max(1.0, bottom - top)))
            for bound in (lower, upper):
                if bound is not None:
                    parts.append(draw("line", "bound", x1=x, x2=x + width, y1=to_y(bound), y2=to_y(bound)))
        x += width
    return parts


def _mark(x: float, y: float, point: SeriesPoint, unit: str, current: bool) -> Markup:
    failed = point.status != "passed"
    said = f"{point.partition_key or 'whole dataset'}: {show_number(float(point.value or 0.0))}{unit and ' ' + unit}"
    title = Markup("<title>{}</title>").format(f"{said}, {point.status}")
    halo = draw("circle", "halo", cx=x, cy=y, r=11) if current else Markup("")
    if failed:
        path = f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"
        shape = draw("path", "point failed", title, d=path)
        label = f"{show_number(float(point.value or 0.0))}{unit and ' ' + unit}"
        anchor = "end" if x > WIDTH - 80 else "start" if x < _LEFT + 40 else "middle"
        return halo + shape + write(label, "value", x, y - 12, anchor)
    return halo + draw("circle", "point", title, cx=x, cy=y, r=4)


def _describe(points: Sequence[SeriesPoint], unit: str, logarithmic: bool) -> Markup:
    failed = [point for point in points if point.status != "passed"]
    said = [
        f"{point.partition_key or 'whole dataset'} {show_number(float(point.value or 0))}" for point in failed[-10:]
    ]
    title = f"Value on {len(points)} partitions, {len(failed)} failing"
    scale = " The scale is logarithmic." if logarithmic else ""
    desc = f"From {points[0].partition_key} to {points[-1].partition_key}{unit and ', in ' + unit}.{scale}"
    failing = f" Failing: {'; '.join(said)}." if said else ""
    return Markup("<title>{}</title><desc>{}</desc>").format(title, desc + failing)
