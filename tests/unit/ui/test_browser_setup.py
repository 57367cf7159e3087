"""The browser tests without a browser: skipped with a reason, and failed where one is required."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "browser"))
from chromium import find_chromium, require_playwright

LACKING = pytest.mark.parametrize("lack", [require_playwright, find_chromium])


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "playwright", None)


@LACKING
@pytest.mark.filterwarnings("ignore:the browser tests do not run")
def test_they_are_skipped(nothing: None, lack: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="do not run"):
        lack()


@LACKING
def test_they_fail_where_a_browser_is_required(
    nothing: None, lack: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="HEADRACE_REQUIRE_BROWSER=1"):
        lack()


def test_any_of_its_names_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "chromium-browser"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() == str(program)
