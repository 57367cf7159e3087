"""The set-up finds real interpreters, and says what to do where there is none."""

import importlib.util
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_environments", ROOT / "requirements/setup_environments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setup: ModuleType) -> Path:
    """A machine with one interpreter, that of this test, and no network."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def fake_python(path: Path, version: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 127\n" if version is None else f"#!/bin/sh\necho {version}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_shim_that_does_not_run_is_passed_over(setup: ModuleType, empty_machine: Path) -> None:
    fake_python(empty_machine / "bin" / "python3.10", None)
    real = empty_machine / "pyenv" / "versions" / "3.10.13" / "bin" / "python3.10"
    fake_python(real, "3.10")
    assert setup.find_python(("3.10",)) == str(real)


def test_this_interpreter_is_taken_where_it_fits(setup: ModuleType, empty_machine: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert setup.find_python(("9.9", version)) == sys.executable


def test_no_python_to_be_found_says_where_it_looked_and_what_to_do(setup: ModuleType, empty_machine: Path) -> None:
    assert setup.find_python(("3.10",)) is None
    with pytest.raises(setup.SetupError) as caught:
        setup.install_python(UV, "3.10", "TFX")
    for part in ("TFX interpreter needs Python 3.10", "PYENV_ROOT", "could not download", "pyenv install 3.10"):
        assert part in str(caught.value)


def test_the_command_ends_with_one_message_and_no_traceback(empty_machine: Path) -> None:
    """The script itself, in a clone in which nothing is set up, with no Python 3.10 anywhere."""
    clone = empty_machine / "clone"
    (clone / "requirements").mkdir(parents=True)
    for name in ("setup_environments.py", "airflow.txt", "tfx.txt"):
        (clone / "requirements" / name).write_bytes((ROOT / "requirements" / name).read_bytes())
    (clone / "pyproject.toml").write_text("")
    fake_python(clone / ".tools" / "bin" / "uv", "uv 0.13.9")
    fake_python(clone / ".venv" / "bin" / "python", "3.11")
    # The fake uv succeeds at everything and makes nothing: no interpreter comes of it.
    script = [sys.executable, str(clone / "requirements" / "setup_environments.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "setup: the TFX interpreter needs Python 3.10" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_lock_is_pinned_by_hashes_and_names_no_index() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        if lock.name == "tfx-excludes.txt":
            continue
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock
        assert "://" not in text, lock
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert all("==" in pin for pin in pins), lock
