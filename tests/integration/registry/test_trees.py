"""Folders of models: whole or not there, and known by their content."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from model_book import push_model
from small_disk import fill_disk, mount_small_disk

from headrace.exceptions import RegistryError
from headrace.registry import trees
from headrace.registry.trees import copy_tree, digest_tree, verify_tree


def test_a_digest_is_of_content_and_names_and_of_nothing_else(tmp_path: Path) -> None:
    one = digest_tree(push_model(tmp_path / "one"))
    other = push_model(tmp_path / "two")
    os.utime(other / "saved_model.pb", (1, 1))
    one.write(other)  # its own manifest is no part of it
    assert digest_tree(other).digest == one.digest
    (other / "saved_model.pb").rename(other / "saved_model.pbtxt")
    assert digest_tree(other).digest != one.digest


def test_a_copy_is_the_same_files_and_replaces_what_was_there(tmp_path: Path) -> None:
    source = push_model(tmp_path / "source")
    digest_tree(source).write(source)
    target = tmp_path / "served" / "1"
    copy_tree(source, target)
    assert (target / "saved_model.pb").samefile(source / "saved_model.pb")
    (target / "stray").touch()
    copy_tree(source, target)
    assert verify_tree(target, digest_tree(source).digest) == []
    assert [path.name for path in target.parent.iterdir()] == ["1"]


def test_where_files_cannot_be_linked_they_are_copied(tmp_path: Path) -> None:
    source = push_model(tmp_path / "source")
    with mount_small_disk(tmp_path / "other", 4) as disk:
        copy_tree(source, disk / "1")
        assert digest_tree(disk / "1").digest == digest_tree(source).digest
        assert not (disk / "1" / "saved_model.pb").samefile(source / "saved_model.pb")


def test_a_full_disk_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    source = push_model(tmp_path / "source", "x" * 1000)
    with mount_small_disk(tmp_path / "other", 1) as disk:
        filler = fill_disk(disk)
        with pytest.raises(RegistryError, match=r"No space left on device.*Nothing was changed") as refused:
            copy_tree(source, disk / "1")
        assert refused.value.retryable
        assert [path.name for path in disk.iterdir()] == ["filler"]
        filler.unlink()
        copy_tree(source, disk / "1")
        assert digest_tree(disk / "1").digest == digest_tree(source).digest


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "saved_model.pb").write_text("other"), "saved_model.pb is not as it was written"),
        (lambda folder: (folder / "variables" / "variables.index").unlink(), "variables/variables.index is missing"),
        (lambda folder: (folder / "stray").write_text("x"), "stray is not of this version"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json does not exist"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is not valid JSON"),
        (shutil.rmtree, "does not exist"),
    ],
)
def test_what_is_not_whole_is_told(tmp_path: Path, damage: object, said: str) -> None:
    folder = push_model(tmp_path / "1")
    manifest = digest_tree(folder)
    manifest.write(folder)
    assert verify_tree(folder, manifest.digest) == []
    damage(folder)  # type: ignore[operator]
    (wrong,) = verify_tree(folder, manifest.digest)
    assert said in wrong


def test_a_manifest_of_another_version_is_told(tmp_path: Path) -> None:
    folder = push_model(tmp_path / "1")
    digest_tree(folder).write(folder)
    (wrong,) = verify_tree(folder, "0" * 64)
    assert "not 000000000000" in wrong


def test_a_link_in_a_model_is_refused(tmp_path: Path) -> None:
    folder = push_model(tmp_path / "1")
    (folder / "out").symlink_to("/etc/hostname")
    with pytest.raises(RegistryError, match="plain files only"):
        digest_tree(folder)


def test_what_a_killed_copy_left_does_not_stand_in_the_way(tmp_path: Path) -> None:
    source = push_model(tmp_path / "source")
    left = trees.make_partial(tmp_path / "1")
    left.rmdir()
    push_model(left, "half")
    copy_tree(source, tmp_path / "1")
    assert digest_tree(tmp_path / "1").digest == digest_tree(source).digest
    assert trees.read_owner(left) == (socket.gethostname(), os.getpid())
    assert trees.read_owner(tmp_path / ".1.partial-half") is None
