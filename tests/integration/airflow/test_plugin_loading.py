"""The plugin registers once: from the plugins folder, from the wheel, and where both are there."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIST_PLUGINS = """
import json, sys
before = set(sys.modules)
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
import headrace, types
print(json.dumps({
    "plugins": [plugin.name for plugin in plugins if plugin.name == "headrace"],
    "errors": {name: error for name, error in errors.items() if "headrace" in (name + str(error)).lower()},
    "package": headrace.__file__,
    "stdlib_types": types.__file__,
    "loose": sorted(set(sys.modules) & {"settings", "exceptions", "contracts", "job", "base", "blocks", "pools"}),
}))
"""


@pytest.fixture(scope="module")
def site_without_headrace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every installed package but this project."""
    farm = tmp_path_factory.mktemp("site")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "headrace" not in entry.name:
            (farm / entry.name).symlink_to(entry)
    return farm


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the built wheel is installed."""
    built, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(file), str(target)], check=True)
    return target


def list_plugins(tmp_path: Path, path: list[Path], plugins_folder: Path) -> dict:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    # -S: the environment's own site-packages, where this project is installed for development, stays out.
    shown = subprocess.run(
        [sys.executable, "-S", "-c", LIST_PLUGINS], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr[-3000:]
    return json.loads(shown.stdout.splitlines()[-1])


def test_from_the_plugins_folder(site_without_headrace: Path, tmp_path: Path) -> None:
    found = list_plugins(tmp_path, [site_without_headrace], ROOT / "plugins")
    assert (found["plugins"], found["errors"], found["loose"]) == (["headrace"], {}, [])
    assert Path(found["package"]).is_relative_to(ROOT / "plugins")
    assert "headrace" not in found["stdlib_types"]


def test_from_the_wheel(site_without_headrace: Path, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    found = list_plugins(tmp_path, [wheel, site_without_headrace], tmp_path / "plugins")
    assert (found["plugins"], found["errors"]) == (["headrace"], {})
    assert Path(found["package"]).is_relative_to(wheel)


def test_from_both_without_a_clash(site_without_headrace: Path, wheel: Path, tmp_path: Path) -> None:
    found = list_plugins(tmp_path, [wheel, site_without_headrace], ROOT / "plugins")
    assert (found["plugins"], found["errors"]) == (["headrace"], {})
