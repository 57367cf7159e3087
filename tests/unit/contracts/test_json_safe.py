"""Whatever a tool hands over is bounded and can be stored."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from headrace.contracts.json_safe import hide_secrets, make_json_safe, make_name_safe, make_text_safe

NESTED: dict[str, Any] = {}
NESTED["again"] = NESTED


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), "NaN"),
        (datetime(2013, 2, 12, 8, tzinfo=UTC), "2013-02-12T08:00:00+00:00"),
        (date(2013, 2, 12), "2013-02-12"),
        (timedelta(minutes=2), 120.0),
        (b"\xff\x00", "\ufffd\ufffd"),
        ("a\0b\ud800", "a\ufffdb\ufffd"),
        ((1, None, True), [1, None, True]),
        ({1: {2}}, {"1": [2]}),
        ("Größe 漢字", "Größe 漢字"),
        (10**400, "an integer of 1329 bits"),
    ],
)
def test_values(given: Any, safe: Any) -> None:
    assert make_json_safe(given) == safe


def test_numpy() -> None:
    import numpy

    given = {"a": numpy.int64(3), "b": numpy.array([1.5, numpy.nan]), "c": numpy.datetime64("2013-02-12")}
    assert make_json_safe(given) == {"a": 3, "b": [1.5, "NaN"], "c": "2013-02-12"}


def test_it_is_bounded() -> None:
    huge = make_json_safe(
        {"text": "x" * 2**20, "list": list(range(10**6)), "map": {i: i for i in range(10**4)}, "ring": NESTED}
    )
    assert len(huge["text"]) == 2_000
    assert huge["text"].endswith("…")
    assert (len(huge["list"]), len(huge["map"])) == (201, 201)
    assert len(json.dumps(huge, allow_nan=False)) < 20_000


def test_names_stay_two() -> None:
    one, other = make_name_safe("x" * 600), make_name_safe("x" * 601)
    assert one != other
    assert len(one) == 500
    assert make_name_safe("a\0") != make_name_safe("a\ud800")
    assert make_name_safe("raw_weather") == "raw_weather"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://anna:hunter2@db:5432/flights", "password=hunter2", "PASSWORD: 'hunter2'", "api_key=hunter2&x=1",
        "Authorization: Bearer hunter2hunter2", '{"token": "hunter2"}', "AWS_SECRET_ACCESS_KEY=hunter2",
    ],
)  # fmt: skip
def test_secrets(text: str) -> None:
    assert "hunter2" not in hide_secrets(text)
    assert "hunter2" not in make_text_safe(text)
    assert "hunter2" not in str(make_json_safe({"deep": [text]}))


def test_a_secret_at_the_cut() -> None:
    assert "hunter2" not in make_text_safe("x" * 1_980 + " password=hunter2hunter2hunter2hunter2")


@pytest.mark.parametrize(
    "text", ["https://runbooks.example.com/a:b@c", "the key of the table", "a token passed", "12:30"]
)
def test_what_is_no_secret(text: str) -> None:
    assert make_text_safe(text) == text
