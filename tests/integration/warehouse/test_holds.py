"""Holds: set with the rows they are about, in one spelling, and lifted one partition at a time."""

from pathlib import Path

import duckdb
import pytest

from headrace.exceptions import InvalidPartitionKeyError, LandingError
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.holds import NOT_CHECKED, hold_partition, release_partition
from headrace.warehouse.landing import land_partition
from headrace.warehouse.landing_tables import LandingTable

NOTES = LandingTable("field.notes", "field.notes", "notes/{partition_key}.csv", {"id": "bigint"})
SITES = LandingTable("field.sites", "field.sites", "sites.csv", {"site": "varchar"})


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    (folder / "notes").mkdir(parents=True)
    for key in ("2007", "2008"):
        (folder / "notes" / f"{key}.csv").write_text("id\n1\n")
    (folder / "sites.csv").write_text("site\nBiscoe\n")
    return folder


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "w.duckdb"
    with open_warehouse(path):
        return path


def holds(warehouse: Path) -> list[tuple[str, str, str]]:
    with open_warehouse(warehouse, read_only=True) as connection:
        return connection.execute(
            f'select relation, partition_key, reason from "{warehouse.stem}".headrace.held_partitions order by all'
        ).fetchall()


def test_landing_holds_the_partition_of_every_partitioned_table(warehouse: Path, landing: Path) -> None:
    land_partition(warehouse, landing, [NOTES, SITES], "2007", hold=True)
    assert holds(warehouse) == [("field.notes", "2007", NOT_CHECKED)]
    release_partition(warehouse, ["field.notes"], "2007")
    land_partition(warehouse, landing, [NOTES, SITES], "2007")
    assert holds(warehouse) == [], "a person who lands by hand decides"
    land_partition(warehouse, landing, [NOTES, SITES], "2007", hold=True)
    assert holds(warehouse) == [("field.notes", "2007", NOT_CHECKED)]


def test_landing_by_hand_lifts_no_hold(warehouse: Path, landing: Path) -> None:
    hold_partition(warehouse, ["field.notes"], "2007", "seven birds of another year")
    land_partition(warehouse, landing, [NOTES], "2007")
    assert holds(warehouse) == [("field.notes", "2007", "seven birds of another year")]


def test_rows_and_hold_come_together_or_not_at_all(
    warehouse: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (landing / "notes" / "2008.csv").write_text("id\nx\n")
    with pytest.raises(LandingError):
        land_partition(warehouse, landing, [NOTES], "2008", hold=True)
    with open_warehouse(warehouse, read_only=True) as connection:
        assert connection.execute("select count(*) from information_schema.tables").fetchall() == [(0,)]

    def stop(*_: object) -> None:
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr("headrace.warehouse.landing.write_holds", stop)
    with pytest.raises(duckdb.IOException):
        land_partition(warehouse, landing, [NOTES], "2007", hold=True)
    with open_warehouse(warehouse, read_only=True) as connection:
        assert connection.execute("select count(*) from information_schema.tables").fetchall() == [(0,)]


def test_holding_again_replaces_the_reason_and_keeps_since(warehouse: Path) -> None:
    query = "select reason, since from headrace.held_partitions"
    hold_partition(warehouse, ["raw.flights"], "2013-02", NOT_CHECKED)
    with open_warehouse(warehouse, read_only=True) as connection:
        ((_, since),) = connection.execute(query).fetchall()
    hold_partition(warehouse, ["raw.flights"], "2013-02", "it's bad; drop table raw.flights")
    with open_warehouse(warehouse, read_only=True) as connection:
        assert connection.execute(query).fetchall() == [("it's bad; drop table raw.flights", since)]


def test_only_what_is_named_is_released(warehouse: Path) -> None:
    for key in ("2013-01", "2013-02"):
        hold_partition(warehouse, ["raw.flights", "raw.weather"], key, "bad")
    release_partition(warehouse, ["raw.flights"], "2013-02")
    release_partition(warehouse, [], "2013-01")
    release_partition(warehouse, ["raw.snow"], "2013-01")
    assert holds(warehouse) == [
        ("raw.flights", "2013-01", "bad"),
        ("raw.weather", "2013-01", "bad"),
        ("raw.weather", "2013-02", "bad"),
    ]


@pytest.mark.parametrize("name", ["headrace.duckdb", "w.duckdb", "2013-x y.duckdb"])
def test_one_spelling_whatever_the_suite_and_the_file_are_called(tmp_path: Path, name: str) -> None:
    warehouse = tmp_path / name
    with open_warehouse(warehouse):
        pass
    hold_partition(warehouse, ["RAW.Flights", "w.raw.weather", "penguins"], "2013-02", "bad")
    release_partition(warehouse, ["raw.flights"], "2013-02")
    assert holds(warehouse) == [("main.penguins", "2013-02", "bad"), ("raw.weather", "2013-02", "bad")]


def test_no_warehouse_is_made_and_no_bad_key_is_taken(tmp_path: Path) -> None:
    missing = tmp_path / "none.duckdb"
    hold_partition(missing, ["raw.flights"], "2013-02", "bad")
    release_partition(missing, ["raw.flights"], "2013-02")
    assert not missing.exists()
    for key in ("", "2013-02' or 1=1 --"):
        with pytest.raises(InvalidPartitionKeyError):
            hold_partition(missing, ["raw.flights"], key, "bad")
        with pytest.raises(InvalidPartitionKeyError):
            release_partition(missing, ["raw.flights"], key)
