"""What is kept of a pipeline when it is compiled, so that a model of it can be made again."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from headrace.cli.compile_build import write_build
from headrace.contracts.files import fingerprint_files, read_json, write_json
from headrace.contracts.pipeline import IR_FILE, NODES_FILE, SOURCES_FILE, Build, CompiledPipeline
from headrace.settings import Settings, load_settings


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    settings = load_settings(tmp_path)
    source = settings.tfx_pipelines_dir / "p" / "pipeline.py"
    source.parent.mkdir(parents=True)
    source.write_text("steps = 300\n")
    sources = fingerprint_files(settings.tfx_pipelines_dir, ["p/pipeline.py", "p/headrace.json"])
    CompiledPipeline("p", (), {}, sources, {}).write(settings.compiled_pipeline_dir("p"))
    (settings.compiled_pipeline_dir("p") / IR_FILE).write_text("ir")
    return settings


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_pipeline_says_its_commit_and_whether_there_were_changes(project: Settings) -> None:
    lock = project.project_dir / "requirements" / "tfx.txt"
    lock.parent.mkdir()
    lock.write_text("tfx==1\n")
    (project.project_dir / ".gitignore").write_text(".headrace\n")
    folder = project.compiled_pipeline_dir("p")
    write_build(project, "p")
    build = Build.load(folder)
    assert (build.commit, build.dirty) == (None, None), "no git yet"
    assert build.ir == hashlib.sha256(b"ir").hexdigest()
    assert build.lock == hashlib.sha256(b"tfx==1\n").hexdigest()
    git(project.project_dir, "init", "-q")
    git(project.project_dir, "add", ".")
    git(project.project_dir, "commit", "-qm", "first")
    write_build(project, "p")
    clean = Build.load(folder)
    assert (clean.commit, clean.dirty) == (git(project.project_dir, "rev-parse", "HEAD"), False)
    lock.unlink()
    write_build(project, "p")
    assert (Build.load(folder).dirty, Build.load(folder).lock) == (True, None)


def test_the_sources_are_kept_as_they_were_compiled(project: Settings) -> None:
    folder = project.compiled_pipeline_dir("p")
    write_build(project, "p")
    packed = (folder / SOURCES_FILE).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["p/pipeline.py"]
        file = tar.extractfile("p/pipeline.py")
        assert file is not None
        assert file.read() == b"steps = 300\n"
    write_build(project, "p")
    assert (folder / SOURCES_FILE).read_bytes() == packed, "the same sources, the same bytes"
    (project.tfx_pipelines_dir / "p" / "pipeline.py").write_text("steps = 301\n")
    write_build(project, "p")
    assert not (folder / SOURCES_FILE).exists(), "these are not the ones that were compiled"


def test_a_compile_of_before_models_were_registered_is_stale(project: Settings) -> None:
    folder = project.compiled_pipeline_dir("p")
    assert CompiledPipeline.load(folder).changed_sources(project.tfx_pipelines_dir) == []
    document = read_json(folder / NODES_FILE)
    del document["contract_version"], document["pipeline"]["folders"]
    write_json(folder / NODES_FILE, document)
    changed = CompiledPipeline.load(folder).changed_sources(project.tfx_pipelines_dir)
    assert changed == ["the folder that models are pushed to"]
