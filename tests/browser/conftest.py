"""Tests in a browser. Without one they are skipped, which is said; with ``HEADRACE_REQUIRE_BROWSER=1`` they fail."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from chromium import has_playwright, require_playwright

pytest.register_assert_rewrite("inbox_fixtures", "airflow_server")

if has_playwright():
    from inbox_fixtures import browser, chromium, home, own, prefixed, server, shoot, visit

    __all__ = ["browser", "chromium", "home", "own", "prefixed", "server", "shoot", "visit"]
else:

    class WithoutPlaywright(pytest.Module):
        """A file of tests that cannot even be imported."""

        def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
            require_playwright()
            return ()

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
        return WithoutPlaywright.from_parent(parent, path=module_path)
