"""What is drawn of a lineage: nodes, folded where they are many, and the runs between them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

from headrace.ledger.query_versions import UNTOLD, LineageView
from headrace.ui.charts_lineage import draw_lineage
from headrace.ui.lineage_layout import Picture, fold_lineage
from headrace.ui.visible_lineage import keep_lineage

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def version(id_: int, dataset: str, key: str = "2013-02", verdict: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "dataset": dataset, "partition_key": key, "fingerprint": f"{id_:064x}", "kind": "model", "rows": 10,
        "uri": None, "first_seen": NOW, "last_seen": NOW + timedelta(minutes=id_), "detail": {}, "verdict": verdict,
        "models": [], **more,
    }  # fmt: skip


def run(id_: int, job: str = "model.flights.stg", dag_id: str = "data") -> dict[str, Any]:
    return {
        "id": id_, "job": job, "kind": "dbt", "state": "complete", "dag_id": dag_id, "run_id": f"run{id_}",
        "partition_key": "2013-02",
    }  # fmt: skip


def view(versions: list[Any], edges: list[tuple[int, int, int]], start: list[int], runs: list[Any]) -> LineageView:
    return LineageView(
        "asked", "2013-02", start, {each["id"]: each for each in versions}, {each["id"]: each for each in runs}, edges,
        truncated=False,
    )  # fmt: skip


def chain(months: int) -> LineageView:
    """Three datasets of that many months, each made of the one before, and one of its last month; a model of all."""
    versions, edges = [], []
    for month in range(months):
        key = f"{2000 + month // 12}-{month % 12 + 1:02d}"
        ids = [month * 3 + step + 1 for step in range(3)]
        verdict = "block" if month == 4 else "pass"
        versions += [version(id_, f"step{step}", key, verdict) for step, id_ in enumerate(ids)]
        edges += [(ids[0], ids[1], ids[1]), (ids[1], ids[2], ids[2]), (ids[2], 9_000, 9_000)]
        edges += [(ids[1] - 3, ids[1], ids[1])] if month else []  # it looks back
    model = version(9_000, "examples", "", kind="artifact", detail={"mlmd_id": 12})
    runs = [run(id_) for id_ in {edge[1] for edge in edges}]
    return view([*versions, model], edges, [9_000], runs)


def draw(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(str(draw_lineage(picture, lambda each: f"/runs/{each['run_id']}")))


def test_each_is_a_node_until_they_are_many() -> None:
    few, many = fold_lineage(chain(49)), fold_lineage(chain(50))
    assert (len(few.nodes), few.folded) == (148, False)
    assert many.folded
    assert sorted((node.dataset, node.members) for node in many.nodes) == [
        ("examples", 1), ("step0", 50), ("step1", 50), ("step2", 50),
    ]  # fmt: skip
    (step,) = (node for node in many.nodes if node.dataset == "step2")
    assert (step.partition_key, step.rows, step.verdict) == ("2004-02", 500, "block")
    assert dict(step.verdicts) == {"pass": 49, "block": 1}
    (edge,) = (each for each in many.edges if each.up == step.id)
    assert [each["id"] for each in edge.runs] == [9_000]
    assert len(many.edges) == 3, "no edge leads from a folded node to itself"


def test_what_was_asked_about_stays_by_itself() -> None:
    found = chain(60)
    picture = fold_lineage(view(list(found.versions.values()), list(found.edges), [7], list(found.runs.values())))
    (asked,) = (node for node in picture.nodes if node.asked)
    assert (asked.id, asked.members, asked.dataset) == ("v7", 1, "step0")
    assert max(node.members for node in picture.nodes if node.dataset == "step0") == 59


def test_the_nearest_are_shown_where_even_folded_they_are_too_many() -> None:
    versions = [version(id_, f"d{id_}") for id_ in range(1, 31)]
    edges = [(id_, id_, id_ + 1) for id_ in range(1, 30)]
    picture = fold_lineage(view(versions, edges, [10], [run(id_) for id_ in range(1, 30)]), most=20, most_folded=5)
    assert sorted(node.dataset for node in picture.nodes) == ["d10", "d11", "d12", "d8", "d9"]
    assert picture.left_out == 25


def test_a_ring_is_drawn_and_ends() -> None:
    versions = [version(id_, f"d{id_}") for id_ in (1, 2, 3)]
    picture = fold_lineage(view(versions, [(1, 1, 2), (2, 2, 3), (3, 3, 1)], [2], [run(1), run(2), run(3)]))
    root = draw(picture)
    assert len([each for each in root.iter("a") if "node" in each.get("class", "")]) == 3
    assert len(list(root.iter("path"))) == 3


def test_a_box_says_place_content_rows_verdict_and_model_by_words() -> None:
    models = [{"name": "delay@2", "aliases": ["champion"]}, {"name": "delay@1", "aliases": []}]
    picture = fold_lineage(
        view([version(1, "raw"), version(2, "stg", verdict="block", models=models)], [(1, 5, 2)], [2], [run(5)])
    )
    root = draw(picture)
    (box,) = (each for each in root.iter("a") if each.get("id") == "v2")
    assert [each.text for each in box.iter("text")] == [
        "✕", "stg", "2013-02 · 00000000 · 10 rows", "blocked", "→ delay@2 (champion) +1",
    ]  # fmt: skip
    assert box.get("class") == "node block focus"
    assert box.get("href") == "#row-v2"
    (by,) = (each for each in root.iter("a") if each.get("class") == "by")
    assert (by.get("href"), [each.text for each in by.iter("text")]) == ("/runs/run5", ["by stg", "run5"])
    assert by.findtext("title") == "model.flights.stg of data, run run5, complete"


def test_hostile_names_are_text() -> None:
    nasty = "<script>alert(1)</script>\"'\N{RIGHT-TO-LEFT OVERRIDE}"
    models = [{"name": f"{nasty}@1", "aliases": [nasty]}]
    picture = fold_lineage(
        view([version(1, nasty, nasty, models=models), version(2, "b")], [(1, 1, 2)], [1], [run(1, f"m.{nasty}")])
    )
    svg = str(draw_lineage(picture, lambda _: "/x"))
    assert "<script" not in svg
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in svg
    ElementTree.fromstring(svg)


def test_what_is_hidden_is_joined_by_a_run_that_is_not_told() -> None:
    """1 → 2 (hidden) → 3 (hidden) → 4, 1 → 4 by a hidden run, and a hidden ring."""
    versions = [version(id_, f"d{id_}") for id_ in range(1, 6)]
    edges = [(1, 1, 2), (2, 2, 3), (3, 3, 2), (3, 4, 4), (4, 5, 5)]
    runs = [run(id_, dag_id="secret") for id_ in (1, 2, 3, 4)] + [run(5)]
    owners = {1: {"data"}, 2: {"secret"}, 3: {"secret"}, 4: {"secret", "data"}, 5: {"data"}}
    kept = keep_lineage(view(versions, edges, [1], runs), {"data"}, owners, {})
    assert list(kept.versions) == [1, 4, 5]
    assert list(kept.runs) == [5]
    assert kept.edges == [(1, UNTOLD, 4), (4, 5, 5)]
    root = draw(fold_lineage(kept))
    assert [each.get("class") for each in root.iter("path")] == ["edge untold", "edge"]
    assert "not yours to read" in [each.text for each in root.iter("text")]


def test_what_no_known_run_touched_and_models_of_hidden_dags_are_left_out() -> None:
    models = [{"name": "a@1", "aliases": []}, {"name": "b@1", "aliases": []}]
    found = view([version(1, "d1", models=models), version(2, "d2")], [], [1, 2], [])
    kept = keep_lineage(found, {"data"}, {1: {"data"}}, {"a": {"data"}, "b": {"data", "secret"}})
    assert kept.start == [1]
    assert [each["name"] for each in kept.versions[1]["models"]] == ["a@1"]
