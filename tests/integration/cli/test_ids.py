"""Ids that no database can have."""

import pytest

from .conftest import Run


@pytest.mark.parametrize(
    "typed",
    [
        ("incidents", "ack", "99999999999999999999"),
        ("incidents", "show", "0"),
        ("quarantine", "show", "9223372036854775808"),
        ("notifications", "retry", "9223372036854775808"),
    ],
)
def test_an_id_that_cannot_be_is_a_usage_error(type_in: Run, typed: tuple[str, ...]) -> None:
    done = type_in(*typed)
    assert done.returncode == 2, done.stderr
    assert "ID" in done.stderr
    assert "Traceback" not in done.stderr
