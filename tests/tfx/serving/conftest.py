"""Small models, and servers of them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import ROOT, Served

from headrace.settings import load_settings


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of weight 1, 2 and 3; that of weight 0 has a column more."""
    folder = tmp_path_factory.mktemp("models")
    script = ROOT / "tests" / "tfx" / "scripts" / "save_small_model.py"
    command = [str(load_settings(ROOT).tfx_python), str(script), str(folder), "1", "2", "3", "0", "9"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def served(tmp_path: Path, small_models: Path) -> Iterator[Served]:
    """Version 1 is deployed; nothing runs yet."""
    made = Served(tmp_path, small_models)
    made.deploy({1: made.place(1, "1")}, champion=1)
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, small_models: Path) -> Iterator[Served]:
    """Versions 1 and 2 answer, as previous and champion, and 3 as challenger."""
    made = Served(tmp_path_factory.mktemp("served"), small_models)
    digests = {number: made.place(number, str(number)) for number in (1, 2, 3)}
    made.deploy(digests, champion=2, previous=1, challenger=3)
    yield made.start("--log-share", "0.5")
    assert made.stop() == 0
