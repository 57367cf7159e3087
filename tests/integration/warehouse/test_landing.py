"""Landing: idempotent, strict, all or nothing."""

import shutil
from pathlib import Path

import duckdb
import pytest

from headrace.exceptions import ConfigurationError, InvalidPartitionKeyError, LandingError
from headrace.warehouse.connection import open_warehouse
from headrace.warehouse.landing import land_partition
from headrace.warehouse.landing_tables import LandingTable

NOTES = LandingTable(
    name="field.notes",
    relation="field.notes",
    file="notes/{partition_key}.csv",
    columns={"id": "bigint", "name": "varchar", "mass": "double", "seen": "timestamp", "year": "bigint"},
    nulls=("NA",),
    partition_expression="year::varchar",
)
SITES = LandingTable(name="field.sites", relation="field.sites", file="sites.csv", columns={"site": "varchar"})
GOOD = "id,name,mass,seen,year\n1,Ann,3.5,2007-01-01T06:00:00Z,2007\n2,NA,NA,2007-01-02T06:00:00Z,2007\n"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "2007.csv").write_text(GOOD)
    (folder / "notes" / "2008.csv").write_text(GOOD.replace("2007", "2008"))
    (folder / "sites.csv").write_text("site\nBiscoe\nDream\n")
    return folder


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "w.duckdb"


def rows(warehouse: Path, query: str) -> list[tuple]:
    with open_warehouse(warehouse, read_only=True) as connection:
        return connection.execute(query).fetchall()


def land(warehouse: Path, landing: Path, key: str = "2007", *tables: LandingTable):
    return land_partition(warehouse, landing, tables or (NOTES, SITES), key)


def test_landing_twice_leaves_one_partition(warehouse: Path, landing: Path) -> None:
    first = land(warehouse, landing)
    land(warehouse, landing, "2008")
    (landing / "notes" / "2007.csv").write_text(GOOD + "3,Cy,4.5,2007-01-03T06:00:00Z,2007\n")
    again = land(warehouse, landing)
    assert [(table.relation, table.rows, table.replaced_rows) for table in first + again] == [
        ("field.notes", 2, 0),
        ("field.sites", 2, 0),
        ("field.notes", 3, 2),
        ("field.sites", 2, 2),
    ]
    assert rows(
        warehouse, "select partition_key, count(*), count(_landed_at) from field.notes group by 1 order by 1"
    ) == [
        ("2007", 3, 3),
        ("2008", 2, 2),
    ]
    assert rows(
        warehouse, "select name, mass, strftime(seen, '%H:%M') from field.notes where id = 2 and year = 2007"
    ) == [(None, None, "06:00")]


def test_malformed_rows_are_named_with_line_column_and_text(warehouse: Path, landing: Path) -> None:
    land(warehouse, landing)
    bad = GOOD + "three,Cy,4.5,2007-01-03T06:00:00Z,2007\n4,Di,heavy,yesterday,2007\n5,Ed\n" + "x,F,1,,2007\n" * 4
    (landing / "notes" / "2007.csv").write_text(bad)
    with pytest.raises(LandingError) as caught:
        land(warehouse, landing, "2007", SITES, NOTES)
    message = str(caught.value)
    assert "2007.csv has 8 malformed values, the first 5 of them" in message
    assert "line 4, column id: 'three' is not a BIGINT" in message
    assert "line 5, column mass: 'heavy' is not a DOUBLE" in message
    assert "line 5, column seen: 'yesterday' is not a TIMESTAMP" in message
    assert "line 6, column mass: Expected Number of Columns: 5 Found: 2 in '5,Ed'" in message
    assert caught.value.attrs()["malformed"] == 8
    assert rows(warehouse, "select count(*) from field.notes") == [(2,)], "the old partition must still be whole"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,name,seen,year\n1,Ann,2007-01-01,2007\n", r"lacks column mass, which source field.notes declares"),
        ("id,name,mass,seen,year\n", r"has a header and no rows"),
        ("", r"is empty, without even a header"),
        ("id,id,name,mass,seen,year\n1,1,a,1,2007-01-01,2007\n", r"names column id more than once"),
        (
            GOOD + "3,Cy,4.5,2009-01-03,2009\n4,Di,1,2009-01-03,\n",
            r"1 of no partition \(null\), 1 of 2009|1 of 2009, 1 of no",
        ),
        (GOOD + '3,"Cy,4.5,2007-01-03,2007\n', r"line 4, column name: Value with unterminated quote"),
    ],
    ids=["missing column", "header only", "empty file", "repeated column", "other partition", "open quote"],
)
def test_a_bad_file_lands_nothing(warehouse: Path, landing: Path, content: str, message: str) -> None:
    (landing / "notes" / "2007.csv").write_text(content)
    with pytest.raises(LandingError, match=message):
        land(warehouse, landing, "2007", SITES, NOTES)
    if warehouse.exists():
        assert rows(warehouse, "select count(*) from information_schema.tables") == [(0,)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.replace("2,NA", "2.5,NA"), "column id holds 2.5, and source field.notes declares whole numbers"),
        (",id,name\n0,1,Ann\n", "column without a name .number 1 of its header"),
        (GOOD.replace("name,", "name,NAME,"), "more than once"),
    ],
)
def test_what_would_be_guessed_or_rounded_is_refused(
    warehouse: Path, landing: Path, content: str, message: str
) -> None:
    (landing / "notes" / "2007.csv").write_text(content)
    with pytest.raises(LandingError, match=message):
        land(warehouse, landing)


def test_bytes_that_are_not_text(warehouse: Path, landing: Path) -> None:
    (landing / "notes" / "2007.csv").write_bytes(GOOD.encode() + b"3,\xff\xfe,1,2007-01-03,2007\n")
    with pytest.raises(LandingError, match=r"2007\.csv"):
        land(warehouse, landing)


def test_a_missing_file(warehouse: Path, landing: Path) -> None:
    with pytest.raises(LandingError, match=r"notes/2009\.csv does not exist: source field\.notes is landed from it"):
        land(warehouse, landing, "2009")


@pytest.mark.parametrize("key", ["../../etc", "", "2007/..", "2007'; drop table field.notes; --"])
def test_bad_keys(warehouse: Path, landing: Path, key: str) -> None:
    with pytest.raises(InvalidPartitionKeyError):
        land(warehouse, landing, key)
    assert not warehouse.exists()


def test_a_file_outside_the_landing_folder_is_refused(warehouse: Path, landing: Path) -> None:
    outside = LandingTable("field.sites", "field.sites", "../secret.csv", {"site": "varchar"})
    with pytest.raises(ConfigurationError, match="leads out of"):
        land(warehouse, landing, "2007", outside)


def test_unknown_and_reordered_columns(warehouse: Path, landing: Path) -> None:
    (landing / "notes" / "2007.csv").write_text("﻿year,extra,seen,mass,name,id\r\n2007,x,2007-01-01,3.5,Ann,1\r\n")
    (landed, _) = land(warehouse, landing)
    assert landed.warnings == (f"{landing}/notes/2007.csv has column extra unknown to source field.notes: not landed",)
    assert rows(warehouse, "select id, name, mass, year from field.notes") == [(1, "Ann", 3.5, 2007)]


def test_a_source_that_gains_a_column_and_one_that_changes_type(warehouse: Path, landing: Path) -> None:
    land(warehouse, landing)
    shutil.copy(landing / "sites.csv", landing / "old.csv")
    (landing / "sites.csv").write_text("site,height\nBiscoe,12\n")
    more = LandingTable("field.sites", "field.sites", "sites.csv", {"site": "varchar", "height": "bigint"})
    land(warehouse, landing, "2007", more)
    assert rows(warehouse, "select site, height from field.sites") == [("Biscoe", 12)]
    changed = LandingTable("field.sites", "field.sites", "sites.csv", {"site": "varchar", "height": "double"})
    with pytest.raises(
        ConfigurationError, match=r"declares height as DOUBLE, but field\.sites in the warehouse has it as BIGINT"
    ):
        land(warehouse, landing, "2007", changed)


def test_a_partition_expression_that_fails(warehouse: Path, landing: Path) -> None:
    broken = LandingTable(NOTES.name, NOTES.relation, NOTES.file, NOTES.columns, NOTES.nulls, "nope || 'x'")
    with pytest.raises(LandingError, match=r"partition_expression of source field\.notes \(nope \|\| 'x'\) failed"):
        land(warehouse, landing, "2007", broken)


def test_a_data_type_is_not_a_way_in(warehouse: Path, landing: Path) -> None:
    sly = LandingTable("field.sites", "field.sites", "sites.csv", {"site": "varchar'}); drop table x; --"})
    with pytest.raises(ConfigurationError, match="is not a data type"):
        land(warehouse, landing, "2007", sly)


def test_the_disk_fills_while_landing(warehouse: Path, landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops it in the middle, nothing of it stays."""
    land(warehouse, landing)
    from headrace.warehouse import landing as module

    def stop(*_: object) -> None:
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(module, "_describe", stop)
    with pytest.raises(duckdb.IOException):
        land(warehouse, landing, "2008")
    assert rows(warehouse, "select distinct partition_key from field.notes") == [("2007",)]
