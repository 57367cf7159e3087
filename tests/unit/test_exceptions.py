"""Errors cross processes, and say whether trying again can help."""

import pickle

import pytest

from headrace import exceptions
from headrace.exceptions import HeadraceError

EVERY = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, HeadraceError)]


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_survives_pickling_with_its_facts(kind: type[HeadraceError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what, where, what to do", suite="raw_weather")))
    assert (type(error), error.message, str(error)) == (kind, "what, where, what to do", "what, where, what to do")
    assert error.attrs() == {"error": kind.__name__, "retryable": kind.retryable, "suite": "raw_weather"}


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    told = exceptions.__doc__ or ""
    assert [kind.__name__ for kind in EVERY if kind.__name__ not in told] == []
