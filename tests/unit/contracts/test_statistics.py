"""Distributions that cross the interpreters: what is written is what is read, and nothing else is."""

import math
from pathlib import Path

import pytest

from headrace.contracts.files import ContractError, write_json
from headrace.contracts.statistics import STATISTICS_FILE, load_statistics, write_statistics

STATISTICS = {
    "train": {
        "wind_speed_mph": {
            "type": "float",
            "count": 2010,
            "missing": 3,
            "nan": 0,
            "mean": 10.9,
            "std": 24.1,
            "min": 0.0,
            "max": 1048.36,
            "median": 9.2,
            "zeros": 40,
            "histogram": [[0.0, 104.8, 2009.0], [104.8, 1048.36, 1.0]],
            "top": [],
            "unique": None,
        }
    },
    "eval": {},
}


def test_statistics_survive_their_file(tmp_path: Path) -> None:
    write_statistics(tmp_path, STATISTICS)
    assert load_statistics(tmp_path) == STATISTICS


def test_a_node_that_measured_nothing_has_none(tmp_path: Path) -> None:
    assert load_statistics(tmp_path) is None


@pytest.mark.parametrize("splits", [None, [], {"train": [1]}])
def test_another_document_under_that_name_is_refused(tmp_path: Path, splits: object) -> None:
    write_json(tmp_path / STATISTICS_FILE, {"splits": splits})
    with pytest.raises(ContractError, match=r"statistics\.json"):
        load_statistics(tmp_path)


def test_nan_never_reaches_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_statistics(tmp_path, {"train": {"x": {"mean": math.nan}}})
    assert load_statistics(tmp_path) is None
