"""What is reached from a dataset, circles included, is what a walk finds."""

import random

import pytest

from headrace.ledger.query_lineage import build_reach, list_downstream

DIAMOND = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["e"]}


def test_downstream_is_nearest_first() -> None:
    assert list_downstream(DIAMOND, "a") == ["b", "c", "d", "e"]
    assert list_downstream(DIAMOND, "e") == []
    assert list_downstream(DIAMOND, "unknown") == []


@pytest.mark.parametrize("seed", range(20))
def test_reach_is_what_a_walk_finds(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"dataset_{number}" for number in range(12)]
    edges = {name: chance.sample(names, chance.randrange(1, 4)) for name in chance.sample(names, 9)}
    reach = build_reach(edges)
    for name in names:
        found = list_downstream(edges, name)
        assert reach.count_downstream(name) == len(found)
        assert {other for other in names if reach.includes(name, other)} == {name, *found}


def test_nothing_is_reached_without_edges() -> None:
    assert build_reach({}).count_downstream("a") == 0
    assert build_reach({}).includes("a", "a")
