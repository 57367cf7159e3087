"""Modules that are imported when they are first used; standard library only."""

import importlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headrace.tfx_worker.deferred_imports import defer_imports


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / f"pkg_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def write_module(package: Path, code: str) -> str:
    (package / "late.py").write_text(code)
    return f"{package.name}.late"


def test_its_code_runs_when_it_is_first_asked_for_something(package: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    name = write_module(package, f"open({str(ran)!r}, 'a').write('x')\nVALUE = 3\ndef f(): return VALUE")
    defer_imports([name])
    module = importlib.import_module(name)
    assert module.__file__ == str(package / "late.py")
    assert not hasattr(module, "__wrapped__"), "as who looks through sys.modules asks"
    assert not ran.exists()
    assert module.f() == 3
    assert module.f() == 3
    assert ran.read_text() == "x"
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018


def test_threads_that_ask_at_once_all_get_it(package: Path) -> None:
    name = write_module(package, "import time\ntime.sleep(0.3)\nVALUE = 3")
    defer_imports([name])
    module = importlib.import_module(name)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(module.VALUE)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [3] * 8


def test_what_fails_says_so_each_time(package: Path) -> None:
    name = write_module(package, "import no_such_module_at_all\nVALUE = 3")
    defer_imports([name])
    module = importlib.import_module(name)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
            module.VALUE  # noqa: B018


def test_a_module_that_does_not_exist_is_missing_as_ever(package: Path) -> None:
    defer_imports([f"{package.name}.gone"])
    with pytest.raises(ModuleNotFoundError, match="gone"):
        importlib.import_module(f"{package.name}.gone")


def test_it_is_what_other_modules_import(package: Path) -> None:
    name = write_module(package, "from . import user\nVALUE = user.OTHER + 1")
    (package / "user.py").write_text("from . import late\nOTHER = 2\ndef ask(): return late.VALUE")
    code = (
        f"from headrace.tfx_worker.deferred_imports import defer_imports; defer_imports([{name!r}])\n"
        f"from {package.name} import user; print(user.ask())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{package.parent}:{Path(__file__).parents[2] / 'plugins'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "3"
