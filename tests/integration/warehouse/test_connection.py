"""Who holds the warehouse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.exceptions import ConfigurationError, WarehouseLockedError
from headrace.warehouse.connection import open_warehouse, translate_open_error

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.mark.parametrize("read_only", [True, False])
def test_a_locked_warehouse_names_its_holder(tmp_path: Path, read_only: bool) -> None:
    warehouse = tmp_path / "w.duckdb"
    with open_warehouse(warehouse):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WarehouseLockedError) as caught, open_warehouse(warehouse, read_only=read_only):
            pass
        holder.communicate("")
    assert str(warehouse) in str(caught.value)
    assert f"process {holder.pid} ({sys.executable} -c import duckdb" in str(caught.value)
    assert caught.value.retryable
    assert caught.value.attrs()["holder_pid"] == holder.pid
    with open_warehouse(warehouse, read_only=read_only):
        pass


def test_open_in_this_process_with_other_settings(tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    with (
        open_warehouse(warehouse),
        pytest.raises(WarehouseLockedError, match="already open in this process"),
        open_warehouse(warehouse, read_only=True),
    ):
        pass


def test_no_warehouse_yet(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="does not exist: land a partition first"),
        open_warehouse(tmp_path / "none.duckdb", read_only=True),
    ):
        pass


def test_not_a_warehouse(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("I am not a database" * 100)
    with pytest.raises(ConfigurationError, match="cannot be opened"), open_warehouse(tmp_path / "w.duckdb"):
        pass


def test_a_holder_that_is_not_known() -> None:
    error = translate_open_error(Path("/w.duckdb"), OSError('IO Error: Could not set lock on file "/w.duckdb"'))
    assert isinstance(error, WarehouseLockedError)
    assert "another process, which DuckDB does not name" in str(error)
    gone = "Could not set lock on file: Conflicting lock is held in /usr/bin/duckdb (PID 999999999)."
    assert "process 999999999 (/usr/bin/duckdb)" in str(translate_open_error(Path("/w.duckdb"), OSError(gone)))
    assert os.getpid() != 999999999
