"""Datasets up- and downstream of an incident, as a layered SVG graph; pure; orchestration interpreter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from headrace.ledger.views import Graph, GraphNode
from headrace.ui.charts_svg import draw, shorten, write
from headrace.ui.formatting import DECISIONS

_NODE_WIDTH, _NODE_HEIGHT = 170, 46


@dataclass(frozen=True)
class Sizes:
    """How large the boxes of a layered graph are, and how far apart."""

    width: int
    height: int
    gap_x: int
    gap_y: int
    margin: int = 8

    def measure(self, layers: Sequence[Sequence[str]]) -> tuple[int, int]:
        """Return the width and height that layers need."""
        tallest = max(len(layer) for layer in layers)
        across = len(layers) * (self.width + self.gap_x) - self.gap_x
        return 2 * self.margin + across, 2 * self.margin + tallest * (self.height + self.gap_y) - self.gap_y


_SIZES = Sizes(_NODE_WIDTH, _NODE_HEIGHT, 26, 14)
_NAME_FITS = 17
"""Characters of the monospaced name, at the width of a wide one, that end within the box."""
# A verdict is told by its sign and its word, and only then by colour.
SIGNS = {"pass": "✓", "warn": "!", "block": "✕", None: "·"}


def draw_graph(graph: Graph, focus: str, link: Callable[[GraphNode], str | None]) -> Markup | None:
    """Draw datasets from left to right, each right of everything that it is made from.

    Args:
        graph: Nodes and edges; a cycle, which no lineage should have, is cut where it closes.
        focus: The incident's dataset, which is framed.
        link: The address behind a node, or None.

    Returns:
        An ``<svg>``, or None where there is nothing around the dataset.
    """
    if len(graph.nodes) < 2:
        return None
    nodes = {node.name: node for node in graph.nodes}
    edges = [(up, down) for up, down in dict.fromkeys(graph.edges) if up in nodes and down in nodes and up != down]
    layers = arrange_layers(list(nodes), edges)
    width, height = _SIZES.measure(layers)
    places = place_layers(layers, _SIZES)
    lines = Markup("").join(draw_edge(places[up], places[down], _SIZES) for up, down in edges)
    boxes = Markup("").join(_draw_node(node, places[node.name], node.name == focus, link(node)) for node in graph.nodes)
    head = Markup("<title>{}</title><desc>{}</desc>").format(
        f"Datasets around {focus}",
        "; ".join(f"{up} feeds {down}" for up, down in edges[:60]),
    )
    return Markup(
        '<svg class="graph" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group">{2}{3}{4}</svg>'
    ).format(width, height, head, lines, boxes)


def arrange_layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Put each name one layer right of the furthest of what feeds it, and order layers so that few lines cross.

    Args:
        names: Every node.
        edges: ``(upstream, downstream)`` among them.
    """
    upstream: dict[str, list[str]] = {name: [] for name in names}
    downstream: dict[str, list[str]] = {name: [] for name in names}
    for up, down in edges:
        upstream[down].append(up)
        downstream[up].append(down)
    depth: dict[str, int] = {}
    for name in names:
        _measure_depth(name, upstream, depth)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    rank: dict[str, float] = {}
    for layer in layers:
        _rank(layer, rank)
    for _ in range(3):
        for layer in layers[1:]:
            _order_by(layer, upstream, rank)
        for layer in layers[-2::-1]:
            _order_by(layer, downstream, rank)
    return layers


def _measure_depth(start: str, upstream: Mapping[str, Sequence[str]], depth: dict[str, int]) -> None:
    open_names: set[str] = set()
    stack = [start]
    while stack:
        name = stack[-1]
        if name in depth:
            stack.pop()
            continue
        open_names.add(name)
        waiting = [each for each in upstream[name] if each not in depth and each not in open_names]
        if waiting:
            stack.extend(waiting)
            continue
        depth[name] = 1 + max((depth[each] for each in upstream[name] if each in depth), default=-1)
        open_names.discard(name)
        stack.pop()


def _order_by(layer: list[str], neighbours: Mapping[str, Sequence[str]], rank: dict[str, float]) -> None:
    def middle(name: str) -> float:
        around = neighbours[name]
        return sum(rank[each] for each in around) / len(around) if around else rank[name]

    layer.sort(key=middle)
    _rank(layer, rank)


def _rank(layer: Sequence[str], rank: dict[str, float]) -> None:
    rank.update({name: index / len(layer) for index, name in enumerate(layer)})


def place_layers(layers: Sequence[Sequence[str]], sizes: Sizes) -> dict[str, tuple[float, float]]:
    """Return the upper left corner of each box: a layer a column, in the middle of the height."""
    _, height = sizes.measure(layers)
    step_x, step_y = float(sizes.width + sizes.gap_x), float(sizes.height + sizes.gap_y)
    places = {}
    for column, layer in enumerate(layers):
        top = (height - len(layer) * step_y + sizes.gap_y) / 2
        for row, name in enumerate(layer):
            places[name] = (sizes.margin + column * step_x, top + row * step_y)
    return places


def draw_edge(
    start: tuple[float, float], end: tuple[float, float], sizes: Sizes, css: str = "edge", **attributes: str
) -> Markup:
    """Draw a line from the right of one box to the left of another."""
    x1, y1 = start[0] + sizes.width, start[1] + sizes.height / 2
    x2, y2 = end[0], end[1] + sizes.height / 2
    middle = (x1 + x2) / 2
    path = f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return draw("path", css, d=path, **attributes)


def _draw_node(node: GraphNode, place: tuple[float, float], focus: bool, address: str | None) -> Markup:
    x, y = place
    verdict = DECISIONS.get(node.state or "", "Not checked")
    count = len(node.incident_ids)
    incidents = f" · {count} incident{'s'[: count != 1]}" if count else ""
    title = Markup("<title>{}</title>").format(f"{node.name} ({node.kind}): {verdict}{incidents}")
    css = f"node {node.state or 'unknown'}{' focus' if focus else ''}"
    content = Markup("").join(
        [
            title,
            draw("rect", "box", x=x, y=y, width=_NODE_WIDTH, height=_NODE_HEIGHT, rx=6),
            draw("circle", "sign", cx=x + 18, cy=y + _NODE_HEIGHT / 2, r=9),
            write(SIGNS.get(node.state, "·"), "mark", x + 18, y + _NODE_HEIGHT / 2 + 4, "middle"),
            write(shorten(node.name, _NAME_FITS), "name", x + 34, y + 20),
            write(shorten(f"{_short_verdict(node.state)}{incidents}", 24), "kind", x + 34, y + 36),
        ]
    )
    if address is None:
        return draw("g", css, content)
    return draw("a", css, content, href=address)


def _short_verdict(state: str | None) -> str:
    return {"pass": "passed", "warn": "warnings", "block": "blocked"}.get(state or "", "not checked")
