"""The browser that the tests drive, and what to do where there is none."""

import importlib.util
import os
import shutil
import warnings
from typing import NoReturn

import pytest

NAMES = ("chromium", "chromium-browser")
REQUIRED = "HEADRACE_REQUIRE_BROWSER"


def has_playwright() -> bool:
    return importlib.util.find_spec("playwright") is not None


def require_playwright() -> None:
    """Skip where playwright is not installed; fail where a browser is required."""
    if not has_playwright():
        _give_up("playwright is not installed: make setup-dev")


def find_chromium() -> str:
    """Return the path of Chromium; skip where there is none, fail where a browser is required."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        _give_up(f"neither {' nor '.join(NAMES)} is on PATH: install Chromium")
    return found


def _give_up(missing: str) -> NoReturn:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{missing} ({REQUIRED}=1: the browser tests must run)", pytrace=False)
    warnings.warn(f"the browser tests do not run: {missing}", stacklevel=2)
    pytest.skip(f"the browser tests do not run: {missing}", allow_module_level=True)
