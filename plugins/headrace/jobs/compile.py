"""Compiling a pipeline by the worker, in a process of its own; standard library only, either interpreter."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.exceptions import ConfigurationError
from headrace.jobs.environment import build_worker_environment

_SHOWN_LINES = 25


def compile_pipeline(tfx_python: Path, pipelines_dir: Path, pipeline: str, out: Path, state_dir: Path) -> None:
    """Compile one pipeline.

    Args:
        tfx_python: The TFX interpreter.
        pipelines_dir: Folder of pipelines.
        pipeline: Name of the pipeline's folder in it.
        out: Folder of the IR and the nodes file.
        state_dir: Under which artifacts, ML Metadata, pushed models and, in ``features/``, the data lie.

    Raises:
        ConfigurationError: There is no TFX interpreter, or the pipeline cannot be compiled; the message holds why.
    """
    if not tfx_python.exists():
        raise ConfigurationError(f"There is no TFX interpreter at {tfx_python}: run 'make setup'.")
    command = [str(tfx_python), "-m", "headrace.tfx_worker", "compile"]
    command += ["--pipelines-dir", str(pipelines_dir), "--pipeline", pipeline]
    command += ["--out", str(out), "--state-dir", str(state_dir)]
    run_command(command, build_worker_environment(state_dir), f"compile the pipeline {pipeline}")


def run_command(command: Sequence[str], environment: Mapping[str, str], what: str) -> None:
    """Run a command to its end.

    Raises:
        ConfigurationError: It did not succeed; the message holds the end of what it said.
    """
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:])
        raise ConfigurationError(f"Could not {what} (exit code {done.returncode}):\n{said}")
