"""The files that a model was made by, packed and unpacked: all of them as they were, and nowhere else."""

import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from headrace.contracts.files import fingerprint_files
from headrace.registry.sources import gather_sources, pack_sources, unpack_sources

NAMES = ["p/pipeline.py", "p/model.py", "p/headrace.json"]


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    folder = tmp_path / "tfx_pipelines"
    (folder / "p").mkdir(parents=True)
    (folder / "p" / "pipeline.py").write_text("steps = 300")
    (folder / "p" / "model.py").write_text("rate = 0.5")
    return folder


def test_what_was_compiled_and_what_ran_are_packed_together(pipelines: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "sources.tar.gz"
    code = fingerprint_files(pipelines, NAMES)
    compiled.write_bytes(pack_sources({"p/pipeline.py": b"steps = 300", "p/unused.py": b""}))
    (pipelines / "p" / "pipeline.py").write_text("steps = 301")  # since it was compiled
    packed = tmp_path / "packed"
    packed.write_bytes(gather_sources(pipelines, compiled, code))
    del code["p/headrace.json"]
    assert unpack_sources(packed, tmp_path / "out", code) == []
    assert (tmp_path / "out" / "p" / "pipeline.py").read_text() == "steps = 300"
    assert not (tmp_path / "out" / "p" / "headrace.json").exists()


def test_a_file_that_changed_since_it_ran_is_left_out_and_missed(pipelines: Path, tmp_path: Path) -> None:
    code = fingerprint_files(pipelines, NAMES[:2])
    (pipelines / "p" / "model.py").write_text("rate = 0.4")
    packed = tmp_path / "packed"
    packed.write_bytes(gather_sources(pipelines, tmp_path / "none", code))
    assert unpack_sources(packed, tmp_path / "out", code) == ["p/model.py"]
    (tmp_path / "damaged").write_bytes(packed.read_bytes()[:-20])
    assert gather_sources(pipelines, tmp_path / "damaged", code) == packed.read_bytes()


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "p/../../escaped"])
def test_nothing_is_unpacked_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(pack_sources({"p/a.py": b""}))
    with tarfile.open(packed, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    target = tmp_path / "some" / "out"
    with suppress(tarfile.TarError):  # what climbs is refused, a leading slash is stripped
        unpack_sources(packed, target, {})
    outside = [path for path in tmp_path.rglob("*escaped*") if target not in path.parents]
    assert outside == []
    assert not Path("/tmp/escaped").exists()
