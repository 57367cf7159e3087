"""A metric over a model's versions, a line for each slice, as SVG; pure; orchestration interpreter."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from headrace.ui.charts import linear_ticks
from headrace.ui.charts_svg import draw, shorten, write
from headrace.ui.formatting import show_number

WIDTH, HEIGHT = 720, 260
MOST_LINES = 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 170, 16, 30


def draw_metric(lines: Mapping[str, Mapping[int, float]], champion: int | None = None) -> Markup | None:
    """Draw a metric over versions.

    Args:
        lines: Name of a slice to the value of each version's number; at most eight are drawn, in this order.
        champion: The version to mark.

    Returns:
        An ``<svg>``, or None where fewer than two versions have a number: one point is no chart.
    """
    shown = {name: _list_finite(values) for name, values in list(lines.items())[:MOST_LINES]}
    numbers = sorted({number for values in shown.values() for number in values})
    if len(numbers) < 2:
        return None
    values = [value for each in shown.values() for value in each.values()]
    margin = (max(values) - min(values)) * 0.08 or abs(max(values)) * 0.05 or 1.0
    low, high = min(values) - margin, max(values) + margin
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(numbers) - 1)
    xs = {number: _LEFT + step * place for place, number in enumerate(numbers)}

    def to_y(value: float) -> float:
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in linear_ticks(low, high):
        parts.append(draw("line", "grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=to_y(tick), y2=to_y(tick)))
        parts.append(write(show_number(tick), "tick", _LEFT - 8, to_y(tick) + 4, "end"))
    if champion in xs:
        parts.append(draw("line", "mark", x1=xs[champion], x2=xs[champion], y1=_TOP, y2=HEIGHT - _BOTTOM))
    every = math.ceil(len(numbers) * 34 / (WIDTH - _LEFT - _RIGHT))
    for place, number in enumerate(numbers):
        if (len(numbers) - 1 - place) % every == 0:
            parts.append(write(f"@{number}", "tick", xs[number], HEIGHT - 8, "middle"))
    for place, (name, each) in enumerate(shown.items()):
        points = " ".join(f"{xs[number]:.1f},{to_y(value):.1f}" for number, value in sorted(each.items()))
        parts.append(draw("polyline", f"metric m{place}", points=points))
        for number, value in each.items():
            told = draw("title", "", f"{name} of version {number}: {show_number(value)}")
            parts.append(draw("circle", f"point m{place}", told, cx=xs[number], cy=to_y(value), r=3.0))
    parts += _write_legend([name for name, each in shown.items() if each], list(shown))
    return Markup('<svg class="series" viewBox="0 0 {} {}" role="img">{}</svg>').format(
        WIDTH, HEIGHT, Markup("").join(parts)
    )


def _write_legend(names: Sequence[str], order: Sequence[str]) -> list[Markup]:
    """Name each line at its side, one below the other."""
    found = []
    for row, name in enumerate(names):
        y = _TOP + 10 + row * 20
        place = order.index(name)
        found.append(draw("circle", f"point m{place}", cx=WIDTH - _RIGHT + 22.0, cy=float(y), r=4.0))
        found.append(write(shorten(name, 22), "tick", WIDTH - _RIGHT + 32, y + 4))
    return found


def _list_finite(values: Mapping[int, float]) -> dict[int, float]:
    return {number: float(value) for number, value in values.items() if math.isfinite(value)}
