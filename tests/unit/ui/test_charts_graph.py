from itertools import pairwise
from xml.etree import ElementTree

from headrace.ledger.views import Graph, GraphNode
from headrace.ui.charts_graph import arrange_layers, draw_graph

EDGES = [("raw_a", "stg_a"), ("raw_b", "stg_b"), ("stg_a", "mart"), ("stg_b", "mart"), ("raw_b", "mart")]
NAMES = ["mart", "stg_b", "raw_a", "raw_b", "stg_a"]


def test_a_dataset_is_right_of_everything_that_it_is_made_from() -> None:
    layers = arrange_layers(NAMES, EDGES)
    assert [sorted(layer) for layer in layers] == [["raw_a", "raw_b"], ["stg_a", "stg_b"], ["mart"]]
    assert layers[0].index("raw_a") == layers[1].index("stg_a"), "lines do not cross without need"


def test_a_cycle_is_drawn_and_does_not_hang() -> None:
    layers = arrange_layers(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")])
    assert sorted(name for layer in layers for name in layer) == ["a", "b", "c"]


def test_a_chain_longer_than_the_interpreter_recurses_is_laid_out() -> None:
    names = [f"n{number}" for number in range(3000)]
    assert len(arrange_layers(names, list(pairwise(names)))) == 3000


def test_verdicts_are_told_by_words_and_signs_too() -> None:
    states = {"mart": None, "stg_a": "pass", "stg_b": "warn", "raw_a": "block", "raw_b": "block"}
    nodes = [GraphNode(name, "model", states[name], [7] if name == "raw_b" else []) for name in NAMES]
    svg = str(draw_graph(Graph(nodes, EDGES), "raw_b", lambda node: f"/incidents?dataset={node.name}"))
    root = ElementTree.fromstring(svg)
    said = {str(link.findtext("title")) for link in root.iter("a")}
    assert said == {
        "mart (model): Not checked", "stg_a (model): Passed", "stg_b (model): Passed with warnings",
        "raw_a (model): Blocked", "raw_b (model): Blocked · 1 incident",
    }  # fmt: skip
    assert sorted(each.text or "" for each in root.iter("text") if each.get("class") == "mark") == [
        "!",
        "·",
        "✓",
        "✕",
        "✕",
    ]
    assert len([each for each in root.iter("path") if each.get("class") == "edge"]) == 5


def test_one_dataset_alone_is_no_graph() -> None:
    assert draw_graph(Graph([GraphNode("a", "model", None)], []), "a", lambda _: None) is None


def test_hostile_names_are_text() -> None:
    nasty = "<script>alert(1)</script>\"'"
    svg = str(
        draw_graph(
            Graph([GraphNode(nasty, nasty, "pass"), GraphNode("b", "", None)], [(nasty, "b")]), nasty, lambda _: nasty
        )
    )
    assert "<script" not in svg
    assert len(list(ElementTree.fromstring(svg).iter("rect"))) == 2


def test_a_long_name_ends_in_its_box_and_is_whole_in_the_title() -> None:
    name = "flight_delay.examples"
    nodes = [GraphNode(name, "examples", "pass"), GraphNode("raw", "source", "pass")]
    root = ElementTree.fromstring(str(draw_graph(Graph(nodes, [("raw", name)]), name, lambda _: None)))
    assert {each.text for each in root.iter("text") if each.get("class") == "name"} == {"flight_delay.exa…", "raw"}
    assert f"{name} (examples): Passed" in [each.text for each in root.iter("title")]
