"""Publishing: the old partition, the new one or none, never a part of one."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from headrace.contracts.contents import KEPT_FOLDER, digest_file
from headrace.exceptions import ConfigurationError, InvalidPartitionKeyError, NoResultsError, PublishingError
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.publishing import publish_partition

ROOT = Path(__file__).parents[3]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "w.duckdb"
    with open_warehouse(path) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.features as select i as id, sqrt(i) as x, hash(i)::varchar as noise, "
            "case when i % 2 = 0 then '2007' else '2008' end as partition_key from range(200000) t(i)"
        )
    return path


def visible(folder: Path) -> list[str]:
    """What lies in a folder, but for the folder of kept contents."""
    return sorted(path.name for path in folder.iterdir() if path.name != KEPT_FOLDER)


def kept(folder: Path) -> dict[str, Path]:
    """The contents that are kept; each must be what its name says."""
    found = {path.stem: path for path in (folder / KEPT_FOLDER).iterdir() if not path.name.startswith(".")}
    assert {name: digest_file(path) for name, path in found.items()} == {name: name for name in found}
    return found


def test_an_unchanged_partition_keeps_its_bytes_and_its_time(warehouse: Path, tmp_path: Path) -> None:
    first = publish_partition(warehouse, "marts.features", "2007", tmp_path / "out")
    os.utime(first.path, (1, 1))
    with open_warehouse(warehouse) as connection:  # the same rows in another order, as a rebuild leaves them
        connection.execute("create table marts.again as select * from marts.features order by noise")
        connection.execute("drop table marts.features")
        connection.execute("alter table marts.again rename to features")
    again = publish_partition(warehouse, "marts.features", "2007", tmp_path / "out")
    assert (first.rows, first.changed, again.rows, again.changed) == (100_000, True, 100_000, False)
    assert first.sha256 == again.sha256
    assert first.path.stat().st_mtime == 1
    assert visible(tmp_path / "out") == ["2007.parquet"]
    assert duckdb.sql(f"select count(*), sum(id) from '{first.path}'").fetchall() == [(100_000, 9_999_900_000)]


def test_a_changed_partition_is_replaced(warehouse: Path, tmp_path: Path) -> None:
    first = publish_partition(warehouse, "marts.features", "2007", tmp_path, order_by=["id"])
    with open_warehouse(warehouse) as connection:
        connection.execute("delete from marts.features where id = 0")
    second = publish_partition(warehouse, "marts.features", "2007", tmp_path, order_by=["id"])
    assert (second.changed, second.rows) == (True, 99_999)
    assert first.sha256 != second.sha256


def test_nothing_to_publish(warehouse: Path, tmp_path: Path) -> None:
    with pytest.raises(NoResultsError, match=r"marts\.features has no rows of partition 2009"):
        publish_partition(warehouse, "marts.features", "2009", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="features2"):
        publish_partition(warehouse, "marts.features2", "2007", tmp_path / "out")
    with pytest.raises(ConfigurationError, match="month"):
        publish_partition(warehouse, "marts.features", "2007", tmp_path / "out", partition_column="month")
    with pytest.raises(InvalidPartitionKeyError):
        publish_partition(warehouse, "marts.features", "../2007", tmp_path / "out")
    assert visible(tmp_path / "out") == []


PUBLISH = """
import resource, sys
from pathlib import Path
if sys.argv[3] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from headrace.warehouse.publishing import publish_partition
from headrace.exceptions import PublishingError
try:
    publish_partition(Path(sys.argv[1]), "marts.features", "2007", Path(sys.argv[2]))
except PublishingError as error:
    print(error)
    sys.exit(3)
"""


def change(warehouse: Path, by: int) -> None:
    with open_warehouse(warehouse) as connection:
        connection.execute(f"update marts.features set id = id + {by}")


def test_a_replaced_content_is_kept_under_its_digest(warehouse: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = publish_partition(warehouse, "marts.features", "2007", folder)
    assert kept(folder)[first.sha256].samefile(first.path), "the same file under another name"
    publish_partition(warehouse, "marts.features", "2007", folder)
    assert list(kept(folder)) == [first.sha256], "the same content is kept once"
    change(warehouse, 1)
    second = publish_partition(warehouse, "marts.features", "2007", folder)
    assert set(kept(folder)) == {first.sha256, second.sha256}
    publish_partition(warehouse, "marts.features", "2008", folder)
    change(warehouse, -1)
    again = publish_partition(warehouse, "marts.features", "2007", folder)
    assert (again.sha256, again.changed, len(kept(folder))) == (first.sha256, True, 3)


def test_a_kept_content_that_was_damaged_or_lost_is_put_back(warehouse: Path, tmp_path: Path) -> None:
    first = publish_partition(warehouse, "marts.features", "2007", tmp_path)
    (file,) = kept(tmp_path).values()
    file.unlink()
    publish_partition(warehouse, "marts.features", "2007", tmp_path)
    (file,) = kept(tmp_path).values()
    file.unlink()
    file.write_bytes(b"half")
    assert not publish_partition(warehouse, "marts.features", "2007", tmp_path).changed
    assert list(kept(tmp_path)) == [first.sha256]


def test_where_files_cannot_be_linked_the_content_is_copied(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first = publish_partition(warehouse, "marts.features", "2007", tmp_path)
    assert not kept(tmp_path)[first.sha256].samefile(first.path)
    change(warehouse, 1)
    second = publish_partition(warehouse, "marts.features", "2007", tmp_path)
    assert set(kept(tmp_path)) == {first.sha256, second.sha256}


def test_a_content_that_cannot_be_kept_is_not_published(warehouse: Path, tmp_path: Path) -> None:
    first = publish_partition(warehouse, "marts.features", "2007", tmp_path)
    shutil.rmtree(tmp_path / KEPT_FOLDER)
    (tmp_path / KEPT_FOLDER).write_text("in the way")
    change(warehouse, 1)
    with pytest.raises(PublishingError, match=r"could not be written.*untouched"):
        publish_partition(warehouse, "marts.features", "2007", tmp_path)
    assert digest_file(first.path) == first.sha256
    assert visible(tmp_path) == ["2007.parquet", "w.duckdb"]


KILLED = """
import os, signal, sys
from pathlib import Path
from headrace.warehouse import publishing

def dying(function):
    def die(*arguments):
        if sys.argv[3] == "after":
            function(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    return die

setattr(publishing, sys.argv[4], dying(getattr(publishing, sys.argv[4])))
publishing.publish_partition(Path(sys.argv[1]), "marts.features", "2007", Path(sys.argv[2]))
"""


@pytest.mark.parametrize("when", [("before", "keep_content"), ("after", "keep_content"), ("after", "rename_durably")])
def test_killed_around_keeping(warehouse: Path, tmp_path: Path, when: tuple[str, str]) -> None:
    folder = tmp_path / "out"
    first = publish_partition(warehouse, "marts.features", "2007", folder)
    change(warehouse, 1)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    command = [sys.executable, "-c", KILLED, str(warehouse), str(folder), *when]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    published = digest_file(first.path)
    assert published in kept(folder), "what is published is kept, at any moment"
    assert first.sha256 in kept(folder)
    assert (published == first.sha256) == (when[1] == "keep_content")
    second = publish_partition(warehouse, "marts.features", "2007", folder)
    assert set(kept(folder)) == {first.sha256, second.sha256}
    assert visible(folder) == ["2007.parquet"]
    assert visible(folder / KEPT_FOLDER) == sorted(path.name for path in kept(folder).values())


def publish_elsewhere(warehouse: Path, folder: Path, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(warehouse), str(folder), str(limit)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_disk_is_full(warehouse: Path, tmp_path: Path) -> None:
    """A file may not grow over 200 kB: the write fails in the middle, as on a full disk."""
    old = publish_partition(warehouse, "marts.features", "2007", tmp_path / "out")
    with open_warehouse(warehouse) as connection:
        connection.execute("update marts.features set x = x + 1")
    process = publish_elsewhere(warehouse, tmp_path / "out", limit=200_000)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    assert "could not be written" in output
    assert "untouched" in output
    assert visible(tmp_path / "out") == ["2007.parquet"]
    assert publish_partition(warehouse, "marts.features", "2007", tmp_path / "out").sha256 != old.sha256


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny file system needs root")
def test_a_disk_that_is_really_full(warehouse: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(PublishingError, match=r"(?i)could not be written.*(space|write)"):
            publish_partition(warehouse, "marts.features", "2007", disk / "out")
        assert visible(disk / "out") == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_killed_in_the_middle(warehouse: Path, tmp_path: Path) -> None:
    """``kill -9`` as soon as the hidden file is there: the old partition stays, and the next publish cleans up."""
    folder = tmp_path / "out"
    with open_warehouse(warehouse) as connection:  # large enough to be caught writing
        connection.execute("insert into marts.features select i, i, hash(i)::varchar, '2007' from range(3000000) t(i)")
    old = publish_partition(warehouse, "marts.features", "2008", folder)
    process = publish_elsewhere(warehouse, folder)
    deadline = time.monotonic() + 60
    while not any(name.endswith(".partial") for name in visible(folder)) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = visible(folder)
    assert "2007.parquet" not in left
    assert [name for name in left if not name.startswith(".")] == ["2008.parquet"]
    assert any(str(process.pid) in name for name in left)
    publish_partition(warehouse, "marts.features", "2008", folder)
    assert visible(folder) == ["2008.parquet"]
    assert old.path.stat().st_size > 0


def test_files_of_living_processes_and_other_machines_are_left_alone(warehouse: Path, tmp_path: Path) -> None:
    ours = tmp_path / f".2009.parquet.{socket.gethostname()}.{os.getppid()}.partial"
    theirs = tmp_path / ".2009.parquet.elsewhere.999999999.partial"
    dead = tmp_path / f".2009.parquet.{socket.gethostname()}.999999999.partial"
    for path in (ours, theirs, dead):
        path.touch()
    publish_partition(warehouse, "marts.features", "2007", tmp_path)
    assert (ours.exists(), theirs.exists(), dead.exists()) == (True, True, False)
