"""The lineage of a partition as one SVG graph: data versions are boxes, the runs stand on the lines; pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from headrace.ui.charts_graph import SIGNS, Sizes, arrange_layers, draw_edge, place_layers
from headrace.ui.charts_svg import draw, shorten, write
from headrace.ui.formatting import show_count, show_overrides, show_partition
from headrace.ui.lineage_layout import LineageNode, Picture

SIZES = Sizes(width=236, height=88, gap_x=156, gap_y=18, margin=16)
_WORDS = {"pass": "passed", "warn": "warnings", "block": "blocked", None: "not checked"}
_TEXT_X = 36
_FITS = 29
"""Characters that end within a box, at the width of a wide one."""
_RUN_FITS = 22


def draw_lineage(picture: Picture, link_run: Callable[[Mapping[str, Any]], str]) -> Markup:
    """Draw data from left to right, each right of everything that it was made of.

    Args:
        picture: Nodes and edges; a ring, which bad metadata may claim, is cut where it closes.
        link_run: The address of a run.

    Returns:
        An ``<svg>``. A box leads to its row in the table; its neighbours are named for the keyboard.
    """
    edges = [(edge.up, edge.down) for edge in picture.edges]
    layers = arrange_layers([node.id for node in picture.nodes], edges)
    width, height = SIZES.measure(layers)
    places = place_layers(layers, SIZES)
    nodes = {node.id: node for node in picture.nodes}
    lines = Markup("").join(
        draw_edge(
            places[edge.up],
            places[edge.down],
            SIZES,
            "edge" if edge.runs else "edge untold",
            data_up=edge.up,
            data_down=edge.down,
        )
        for edge in picture.edges
    )
    boxes = Markup("").join(_draw_node(nodes[name], places[name]) for layer in layers for name in layer)
    marks = Markup("").join(
        _draw_runs(name, picture, places[name], link_run) for layer in layers for name in layer if name in picture.above
    )
    head = Markup("<title>{}</title>").format("Lineage: what was made of what, from left to right")
    return Markup(
        '<svg class="graph lineage" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group">{2}{3}{4}{5}</svg>'
    ).format(width, height, head, lines, boxes, marks)


def tell_verdict(node: LineageNode) -> str:
    """Write a verdict as words; of several, how many have which, the worst first."""
    if node.members == 1:
        return _WORDS[node.verdict]
    return ", ".join(
        f"{node.verdicts[each]:,} {_WORDS[each]}" for each in ("block", "warn", "pass", None) if node.verdicts.get(each)
    )


def tell_run(run: Mapping[str, Any]) -> str:
    """Write what ran in a word or two: the dbt model, the pipeline's node, or what kind of task it was."""
    return str(run["job"]).rpartition(".")[2] if run["kind"] in ("dbt", "tfx") else str(run["kind"])


def _draw_node(node: LineageNode, place: tuple[float, float]) -> Markup:
    x, y = place
    folded = node.members > 1
    where = f"{node.members:,} versions" if folded else show_partition(node.partition_key)
    lines = (where, "" if folded else node.content, show_count(node.rows, "row") if node.rows is not None else "")
    models = _tell_models(node.models)
    said = f"{node.dataset}, {', '.join(line for line in lines if line)}: {tell_verdict(node)}"
    said += f", trained on it: {models[2:]}" if models else ""
    content = Markup("").join(
        [
            Markup("<title>{}</title>").format(show_overrides(said)),
            *([draw("rect", "box behind", x=x + 6, y=y + 6, width=SIZES.width, height=SIZES.height, rx=8)] * folded),
            draw("rect", "box", x=x, y=y, width=SIZES.width, height=SIZES.height, rx=8),
            draw("circle", "sign", cx=x + 20, cy=y + 20, r=9),
            write(SIGNS.get(node.verdict, "·"), "mark", x + 20, y + 24, "middle"),
            write(_cut(node.dataset, _FITS - 3), "name", x + _TEXT_X, y + 24),
            write(_cut(" · ".join(line for line in lines if line), _FITS + 4), "kind", x + _TEXT_X, y + 42),
            write(_cut(tell_verdict(node), _FITS), f"verdict {node.verdict or 'unknown'}", x + _TEXT_X, y + 59),
            write(_cut(models, _FITS), "models", x + _TEXT_X, y + 76)
            if models
            else write(_cut(node.kind, _FITS), "kind", x + _TEXT_X, y + 76),
        ]
    )
    css = f"node {node.verdict or 'unknown'}{' focus' if node.asked else ''}"
    text = " ".join(
        [node.dataset, node.partition_key, node.fingerprint, node.kind, *(m["name"] for m in node.models[:50])]
    )
    return draw("a", css, content, href=f"#row-{node.id}", id=node.id, data_text=show_overrides(text.casefold()))


def _draw_runs(
    name: str, picture: Picture, place: tuple[float, float], link_run: Callable[[Mapping[str, Any]], str]
) -> Markup:
    """Write left of a box what made it: the newest run, and how many there were beside it."""
    runs = {run["id"]: run for edge in picture.above[name] for run in edge.runs}
    x, y = place[0] - 8, place[1] + SIZES.height / 2
    if not runs:
        return draw("g", "by", write("not yours to read", "run", x, y - 8, "end"), data_of=name)
    newest = runs[max(runs)]
    more = f" +{len(runs) - 1}" if len(runs) > 1 else ""
    title = f"{newest['job']} of {newest['dag_id']}, run {newest['run_id']}, {newest['state']}"
    content = Markup("").join(
        [
            Markup("<title>{}</title>").format(show_overrides(title)),
            write(_cut(f"by {tell_run(newest)}", _RUN_FITS - len(more)) + more, "run", x, y - 8, "end"),
            write(_cut(str(newest["run_id"]), _RUN_FITS), "run id", x, y + 16, "end"),
        ]
    )
    return draw("a", "by", content, href=link_run(newest), data_of=name, data_leave="", tabindex=-1)


def _tell_models(models: Sequence[Mapping[str, Any]]) -> str:
    if not models:
        return ""
    first = models[0]
    aliases = f" ({', '.join(first['aliases'])})" if first["aliases"] else ""
    more = f" +{len(models) - 1:,}" if len(models) > 1 else ""
    return f"→ {first['name']}{aliases}{more}"


def _cut(text: str, most: int) -> str:
    return str(show_overrides(shorten(text, most)))
