"""What ``headrace compile`` keeps of a pipeline besides its IR: where it comes from, and its sources."""

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from headrace.contracts.files import fingerprint_files, replace_file
from headrace.contracts.pipeline import IR_FILE, SOURCES_FILE, Build, CompiledPipeline
from headrace.registry.sources import MISSING, digest_lock, pack_sources
from headrace.settings import Settings


def write_build(settings: Settings, pipeline: str) -> None:
    """Write beside a compiled pipeline what it was compiled from, so that a model of it can be made again.

    Sources that changed while they were compiled are not kept: the compiled pipeline is stale by then.
    """
    folder = settings.compiled_pipeline_dir(pipeline)
    compiled = CompiledPipeline.load(folder)
    commit, dirty = _read_commit(settings.project_dir)
    (folder / SOURCES_FILE).unlink(missing_ok=True)
    names = [name for name, digest in compiled.sources.items() if digest != MISSING]
    packed = pack_sources({name: (settings.tfx_pipelines_dir / name).read_bytes() for name in names})
    if fingerprint_files(settings.tfx_pipelines_dir, compiled.sources) == dict(compiled.sources):
        replace_file(folder / SOURCES_FILE, packed)
    Build(
        ir=hashlib.sha256((folder / IR_FILE).read_bytes()).hexdigest(),
        commit=commit,
        dirty=dirty,
        lock=digest_lock(settings.project_dir),
        at=datetime.now(UTC).isoformat(),
    ).write(folder)


def _read_commit(project: Path) -> tuple[str | None, bool | None]:
    """Return git's commit of a project and whether it has other changes; None twice where there is no git."""
    commit = _ask_git(project, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    changes = _ask_git(project, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return commit, None if changes is None else bool(changes)


def _ask_git(project: Path, *question: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *question], capture_output=True, text=True, check=False, timeout=30
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None  # no git here, or one that does not answer: the model says that its commit is not known
    return done.stdout.strip() if done.returncode == 0 else None
