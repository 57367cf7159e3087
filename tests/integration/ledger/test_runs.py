"""Lineage in the ledger: what each run read and wrote, on SQLite and on Postgres."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_book import NOW, Book, result
from sqlalchemy import select

from headrace.exceptions import LedgerError, UnknownDatasetError
from headrace.ledger import schema
from headrace.ledger.columns import DatasetColumns, load_column_checksums, record_columns
from headrace.ledger.database import Ledger
from headrace.ledger.query_versions import list_columns, load_lineage, walk
from headrace.ledger.runs import ALL_EARLIER, DataVersion, LineageRun, Newest, find_contents, load_current, record_runs
from headrace.ledger.training import record_training
from headrace.ledger.views import TaskTry

KEY = "2013-02"


def land(ledger: Ledger, digest: str, key: str = KEY, minutes: int = 0) -> None:
    file, raw = DataVersion("raw.file", key, digest, "file"), DataVersion("raw", key, digest, "source", rows=3)
    task = TaskTry("data", f"land_{key}_{digest}", "land")
    record_runs(
        ledger, task, key, [LineageRun("land.raw", "land", [file], [raw])], now=NOW + timedelta(minutes=minutes)
    )


def build(ledger: Ledger, run_id: str, key: str = KEY, code: str = "c", earlier: int = 0, minutes: int = 1) -> None:
    runs = [
        LineageRun("model.staged", "dbt", [Newest("raw", key)], [DataVersion("staged", key, None, "model")], code=code),
        LineageRun("model.mart", "dbt", [Newest("staged", key, earlier)], [DataVersion("mart", key, None, "model")]),
    ]
    record_runs(ledger, TaskTry("data", run_id, "dbt"), key, runs, now=NOW + timedelta(minutes=minutes))


def upstream(ledger: Ledger, name: str, key: str = KEY) -> set[tuple[str, str, str]]:
    view = load_lineage(ledger, name, key, downstream=False)
    return {(each["dataset"], each["partition_key"], each["fingerprint"][:3]) for each in view.versions.values()}


def test_from_the_file_to_the_mart(ledger: Ledger) -> None:
    land(ledger, "one")
    build(ledger, "r1")
    view = load_lineage(ledger, "raw.file", KEY)
    names = {id_: each["dataset"] for id_, each in view.versions.items()}
    jobs = {id_: each["job"] for id_, each in view.runs.items()}
    assert {(names[a], jobs[run], names[b]) for a, run, b in view.edges} == {
        ("raw.file", "land.raw", "raw"), ("raw", "model.staged", "staged"), ("staged", "model.mart", "mart"),
    }  # fmt: skip
    assert {name for name, *_ in upstream(ledger, "staged")} == {"raw.file", "raw", "staged"}


def test_the_same_content_and_code_is_the_same_version_and_other_code_another(ledger: Ledger) -> None:
    land(ledger, "one")
    build(ledger, "r1")
    build(ledger, "r2", minutes=2)
    book = Book(ledger)
    assert len(book.rows("data_version")) == 4
    build(ledger, "r3", code="other", minutes=3)
    assert len(book.rows("data_version")) == 6
    assert len(book.rows("lineage_run")) == 7


def test_a_try_again_replaces_what_the_run_had_recorded(ledger: Ledger) -> None:
    land(ledger, "one")
    task = TaskTry("data", "r1", "dbt")
    one = [DataVersion("a", KEY, "1", "model"), DataVersion("b", KEY, "1", "model")]
    record_runs(ledger, task, KEY, [LineageRun("j", "dbt", [Newest("raw", KEY)], one)], now=NOW)
    again = TaskTry("data", "r1", "dbt", try_number=2)
    record_runs(ledger, again, KEY, [LineageRun("j", "dbt", [Newest("raw", KEY)], one[:1], state="failed")], now=NOW)
    book = Book(ledger)
    (run,) = [row for row in book.rows("lineage_run") if row.job == "j"]
    io = [row for row in book.rows("lineage_io") if row.run_id == run.id]
    assert (run.state, len(io)) == ("failed", 2)
    attempt = {row.id: row.try_number for row in book.rows("attempt")}
    assert attempt[run.attempt_id] == 2


def test_a_partition_that_is_landed_again_is_another_version_and_what_was_made_of_the_first_stays(
    ledger: Ledger,
) -> None:
    land(ledger, "one")
    build(ledger, "r1")
    first = load_current(ledger, [("mart", KEY)])["mart", KEY]
    contents = {("mart", KEY): (first.fingerprint, first.id)}
    record_training(ledger, "p", "train", "t1", KEY, trained_on={"mart": [KEY]}, contents=contents, pushed_to="x")
    land(ledger, "two", minutes=5)
    build(ledger, "r2", minutes=6)
    assert {each[2] for each in upstream(ledger, "mart") if each[0] == "raw"} == {"two"}
    [seen] = Book(ledger).rows("trained_on")
    assert (seen.version_id, seen.fingerprint) == (first.id, first.fingerprint)
    with ledger.connect() as connection:
        of_model = walk(connection, [seen.version_id], upwards=True).versions
        raw = select(schema.data_version.c.fingerprint).where(
            schema.data_version.c.id.in_(of_model), schema.data_version.c.dataset == "raw"
        )
        assert list(connection.scalars(raw)) == ["one"]


def test_landing_the_first_content_once_more_makes_it_the_newest_again(ledger: Ledger) -> None:
    for minute, digest in enumerate(("one", "two", "one")):
        land(ledger, digest, minutes=minute)
    assert load_current(ledger, [("raw", KEY)])["raw", KEY].fingerprint == "one"


@pytest.mark.parametrize(("earlier", "seen"), [(0, {"2013-03"}), (1, {"2013-02", "2013-03"}), (ALL_EARLIER, {"2013-01", "2013-02", "2013-03"})])  # fmt: skip  # noqa: E501
def test_a_model_that_looks_back_read_the_partitions_before(ledger: Ledger, earlier: int, seen: set[str]) -> None:
    for month, key in enumerate(("2013-01", "2013-02", "2013-03")):
        land(ledger, f"d{month}", key)
        build(ledger, f"r{month}", key, earlier=earlier)
    assert {key for name, key, _ in upstream(ledger, "mart", "2013-03") if name == "staged"} == seen


def test_what_a_verdict_blocks_is_not_looked_back_on(ledger: Ledger) -> None:
    for month, key in enumerate(("2013-01", "2013-02", "2013-03")):
        land(ledger, f"d{month}", key)
        build(ledger, f"r{month}", key)
    Book(ledger).record(result(dataset="staged", key="2013-02"))
    build(ledger, "again", "2013-03", earlier=1, minutes=9)
    assert {key for name, key, _ in upstream(ledger, "mart", "2013-03") if name == "staged"} == {"2013-01", "2013-03"}


def test_a_ring_and_an_edge_to_itself_end(ledger: Ledger) -> None:
    a, b, c = (DataVersion(name, KEY, "1", "model") for name in "abc")
    runs = [LineageRun("ab", "dbt", [a], [b]), LineageRun("bc", "dbt", [b], [c]), LineageRun("ca", "dbt", [c, a], [a])]
    record_runs(ledger, TaskTry("data", "r", "t"), KEY, runs, now=NOW)
    view = load_lineage(ledger, "b", KEY)
    assert {each["dataset"] for each in view.versions.values()} == set("abc")
    assert all(one != other for one, _, other in view.edges)
    assert not view.truncated


def test_more_than_is_asked_for_is_cut_and_says_so(ledger: Ledger) -> None:
    versions = [DataVersion(f"n{number}", KEY, "1", "model") for number in range(30)]
    runs = [LineageRun(f"j{i}", "dbt", [versions[i]], [versions[i + 1]]) for i in range(29)]
    record_runs(ledger, TaskTry("data", "r", "t"), KEY, runs, now=NOW)
    start = load_current(ledger, [("n0", KEY)])["n0", KEY].id
    with ledger.connect() as connection:
        assert walk(connection, [start], upwards=False, most=10).truncated
        assert len(walk(connection, [start], upwards=False).versions) == 30


def test_hostile_names_are_only_names(ledger: Ledger) -> None:
    name = "x'; drop table data_version; --\x00" + "y" * 900
    made = DataVersion(name, KEY + "\x00", "f" * 300, "model", detail={"n": float("nan")}, uri="\x00")
    record_runs(ledger, TaskTry("d" * 400, "r\x00", "t"), KEY, [LineageRun(name, "dbt", [], [made])], now=NOW)
    (row,) = Book(ledger).rows("data_version")
    assert row.dataset.startswith("x'; drop table")
    assert (len(row.dataset), len(row.fingerprint)) == (500, 100)


def test_verdicts_and_model_versions_are_beside_what_they_are_about(ledger: Ledger) -> None:
    land(ledger, "one")
    build(ledger, "r1")
    Book(ledger).record(result(dataset="raw", status="passed"))
    view = load_lineage(ledger, "mart", KEY)
    assert {each["dataset"]: each["verdict"] for each in view.versions.values()} == {
        "raw.file": None, "raw": "pass", "staged": None, "mart": None,
    }  # fmt: skip


def test_what_is_not_known_says_what_is(ledger: Ledger) -> None:
    land(ledger, "one")
    with pytest.raises(UnknownDatasetError, match="did you mean raw"):
        load_lineage(ledger, "raww", KEY)
    with pytest.raises(UnknownDatasetError, match="No content of raw@2019-01 is known; recorded are 2013-02"):
        load_lineage(ledger, "raw", "2019-01")


def test_contents_are_found_by_what_they_are(ledger: Ledger) -> None:
    made = [DataVersion("f.published", key, f"sha{key}", "features") for key in ("1", "2")]
    record_runs(ledger, TaskTry("data", "r", "t"), "1", [LineageRun("publish.f", "publish", [], made)], now=NOW)
    assert set(find_contents(ledger, "features", [("1", "sha1"), ("2", "sha1")])) == {("1", "sha1")}


def test_columns_are_replaced_with_the_sql_that_says_them(ledger: Ledger) -> None:
    edges = {("late", "raw", "delay", "direct"), ("", "raw", "day", "indirect")}
    record_columns(ledger, {"mart": DatasetColumns("c1", ["id", "late"], edges), "other": DatasetColumns("c", ["x"])})
    record_columns(ledger, {"mart": DatasetColumns("c2", ["id"], {("id", "raw", "id", "direct")})})
    assert load_column_checksums(ledger) == {"mart": "c2", "other": "c"}
    (edge,) = list_columns(ledger, "mart", upstream=True)
    assert (edge["name"], edge["from_dataset"], edge["from_name"]) == ("id", "raw", "id")
    assert list_columns(ledger, "raw", upstream=False) == [edge]
    record_columns(ledger, {"mart": DatasetColumns("c3", problem="it is written in python")})
    assert [row.dataset for row in Book(ledger).rows("dataset_column")] == ["other"]


def test_nothing_is_recorded_where_the_ledger_fails_in_the_middle(ledger: Ledger) -> None:
    unknown = {("mart", KEY): ("f", 987_654)}
    with pytest.raises(LedgerError), ledger.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = OFF" if ledger.dialect == "sqlite" else "SELECT 1")
        made = [DataVersion("mart", KEY, "1", "model")]
        record_runs(connection, TaskTry("data", "r", "t"), KEY, [LineageRun("j", "dbt", [], made)], now=NOW)
        record_training(connection, "p", "train", "t1", KEY, trained_on={"mart": [KEY]}, contents=unknown)
    assert Book(ledger).rows("data_version") == []


RECORD = """
import sys
from headrace.ledger.database import open_ledger
from headrace.ledger.runs import DataVersion, LineageRun, Newest, record_runs
from headrace.ledger.views import TaskTry

url, who = sys.argv[1:]
with open_ledger(url) as ledger:
    for number in range(20):
        made = DataVersion("shared", str(number), "same", "model")
        own = DataVersion(f"of_{who}", str(number), "1", "model")
        runs = [LineageRun("make", "dbt", [], [made]), LineageRun("use", "dbt", [Newest("shared", str(number))], [own])]
        record_runs(ledger, TaskTry(who, f"r{number}", "t"), str(number), runs)
"""


def test_two_processes_record_at_once(ledger: Ledger, url: str) -> None:
    plugins = str(Path(schema.__file__).parents[2])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {plugins!r})\n{RECORD}", url]
    started = [subprocess.Popen([*command, who]) for who in ("a", "b")]
    assert [each.wait(120) for each in started] == [0, 0]
    book = Book(ledger)
    assert len([row for row in book.rows("data_version") if row.dataset == "shared"]) == 20
    assert len(book.rows("lineage_run")) == 80
    assert len(book.rows("lineage_io")) == 40 + 80
