"""Consequences: failures downstream of an incident on the same partition."""

from datetime import timedelta

import pytest
from ledger_book import Book, result

from headrace.ledger.actions import resolve
from headrace.ledger.lineage import Dataset, Lineage, sync_lineage
from headrace.ledger.snoozes import expire_snoozes
from headrace.quality.incidents import PROMOTION_GRACE, SKIPPED

CHAIN = (("raw_weather", "stg_weather"), ("stg_weather", "features"), ("raw_flights", "features"))


@pytest.fixture(autouse=True)
def lineage(book: Book) -> None:
    names = sorted({name for edge in CHAIN for name in edge})
    sync_lineage(book.ledger, Lineage("flights", "1", tuple(Dataset(name) for name in names), CHAIN))


def causes(book: Book) -> dict[str, int | None]:
    return {row.dataset: row.caused_by for row in book.rows("incident")}


def test_a_failure_downstream_is_a_consequence_and_nobody_is_told(book: Book) -> None:
    book.record(result("raw_weather"))
    book.record(result("features"))
    assert causes(book) == {"raw_weather": None, "features": 1}
    assert book.told() == [(1, "opened")]
    assert book.happened(2) == ["opened", "grouped"]


def test_it_is_a_consequence_of_the_most_upstream(book: Book) -> None:
    book.record(result("raw_weather"))
    book.record(result("stg_weather"))
    book.record(result("features"))
    assert causes(book) == {"raw_weather": None, "stg_weather": 1, "features": 1}


def test_another_partition_or_another_branch_is_no_cause(book: Book) -> None:
    book.record(result("raw_weather", key="2013-01"))
    book.record(result("features", key="2013-02"))
    book.record(result("raw_flights", key="2013-01"))
    assert causes(book) == {"raw_weather": None, "features": None, "raw_flights": None}
    assert [change for _, change in book.told()] == ["opened"] * 3


@pytest.mark.parametrize(("upstream", "downstream"), [(None, "2013-02"), ("2013-02", None)])
def test_a_whole_dataset_matches_any_partition(book: Book, upstream: str | None, downstream: str | None) -> None:
    book.record(result("raw_weather", key=upstream))
    book.record(result("features", key=downstream))
    assert causes(book)["features"] == 1


def test_every_failing_partition_must_have_a_cause(book: Book) -> None:
    book.record(result("raw_weather", key="2013-01"))
    book.record(result("features", key="2013-01"), result("features", key="2013-02"))
    assert causes(book)["features"] is None
    assert book.told() == [(1, "opened"), (2, "opened")]
    assert {line.partition_key: line.caused_by for line in book.rows("incident_partition", incident_id=2)} == {
        "2013-01": 1, "2013-02": None
    }  # fmt: skip


def test_an_upstream_incident_that_comes_later_takes_it_silently(book: Book) -> None:
    book.record(result("features"))
    book.record(result("raw_weather"))
    assert causes(book) == {"features": 2, "raw_weather": None}
    assert book.happened(1) == ["opened", "grouped"]
    assert book.told() == [(1, "opened"), (2, "opened")]
    book.record(result("raw_weather", "passed"))
    book.record(result("features", "passed"))
    # What was told as opened is told as resolved.
    assert book.told()[2:] == [(2, "resolved"), (1, "resolved")]


def test_both_in_one_try(book: Book) -> None:
    book.record(result("features"), result("raw_weather"))
    rows = {row.dataset: row for row in book.rows("incident")}
    assert rows["features"].caused_by == rows["raw_weather"].id
    assert book.told() == [(rows["raw_weather"].id, "opened")]


def test_the_usual_repair_tells_one_opening_and_one_end(book: Book) -> None:
    book.record(result("raw_weather"))
    book.record(result("features"))
    book.record(result("raw_weather", "passed"))
    book.record(result("features", "passed"))
    assert [row.state for row in book.rows("incident")] == ["resolved", "resolved"]
    assert book.told() == [(1, "opened"), (1, "resolved")]


def test_it_is_told_when_it_still_fails_after_its_cause_is_gone(book: Book) -> None:
    book.record(result("raw_weather"))
    book.record(result("features"))
    book.record(result("raw_weather", "passed"))
    assert book.told() == [(1, "opened"), (1, "resolved")]
    book.record(result("features"))
    assert causes(book)["features"] is None
    assert book.told() == [(1, "opened"), (1, "resolved"), (2, "opened")]
    assert book.happened(2)[-1] == "promoted"
    book.record(result("features"))
    assert len(book.told()) == 3


def test_it_is_told_in_any_case_an_hour_after(book: Book) -> None:
    book.record(result("raw_weather"))
    book.record(result("features"))
    resolve(book.ledger, 1, "anna", "the feed is late, and that is known", now=book.now)
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE - timedelta(seconds=1)) == []
    assert causes(book)["features"] == 1
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE) == [2]
    assert causes(book)["features"] is None
    assert book.told() == [(1, "opened"), (1, "resolved"), (2, "opened")]
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE) == []


def test_a_cause_weighs_no_less_than_what_comes_of_it(book: Book) -> None:
    book.record(result("raw_weather", severity="warning"))
    book.record(result("features", severity="critical"))
    assert (book.incident(1).severity, book.incident(2).caused_by) == ("critical", 1)
    assert book.told() == [(1, "opened"), (1, "escalated")]
    book.record(result("features", severity="critical"))
    assert len(book.told()) == 2


def test_what_was_set_aside_upstream_is_no_cause(book: Book) -> None:
    book.record(result("raw_weather", failed_rows=1, quarantined_rows=1))
    book.record(result("features"))
    assert causes(book)["features"] is None


def test_a_test_that_was_skipped_follows_its_own_dataset_s_failure(book: Book) -> None:
    book.record(result("features", check="not_null", tool="dbt"))
    words = f"2013-02 features: unique could not be evaluated: {SKIPPED}"
    book.record(result("features", "error", check="unique", tool="dbt", message=words))
    book.record(result("features", check="accepted", tool="dbt"))
    assert [row.caused_by for row in book.rows("incident")] == [None, 1, None]


def test_a_ring_in_the_lineage_hides_nothing(book: Book) -> None:
    sync_lineage(book.ledger, Lineage("ring", "1", (), (("a", "b"), ("b", "a"))))
    book.record(result("a"))
    book.record(result("b"))
    book.record(result("a"))
    assert causes(book) == {"a": None, "b": None}


def test_a_re_opened_consequence_is_not_told(book: Book) -> None:
    book.record(result("features"))
    book.record(result("features", "passed"))
    book.record(result("raw_weather"))
    recorded = book.record(result("features"))
    assert recorded.opened == (1,)
    assert causes(book)["features"] == 2
    assert book.told() == [(1, "opened"), (1, "resolved"), (2, "opened")]
    book.record(result("features", "passed"))
    assert len(book.told()) == 3


def test_it_stands_on_its_own_when_its_cause_passed_there_and_fails_elsewhere(book: Book) -> None:
    book.record(result("raw_weather"), result("raw_weather", key="2013-03"))
    book.record(result("features"))
    book.record(result("raw_weather", "passed"))
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE - timedelta(seconds=1)) == []
    assert causes(book) == {"raw_weather": None, "features": 1}
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE) == [2]
    assert causes(book) == {"raw_weather": None, "features": None}
    assert book.told() == [(1, "opened"), (2, "opened")]


def test_it_waits_while_its_cause_fails_on_one_of_its_partitions(book: Book) -> None:
    book.record(result("raw_weather"), result("raw_weather", key="2013-03"))
    book.record(result("features"), result("features", key="2013-03"))
    book.record(result("raw_weather", "passed"))
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE) == []
    assert causes(book)["features"] == 1


def test_only_the_most_upstream_of_what_lost_its_cause_is_told(book: Book) -> None:
    tables = ("m0", "m1", "m2")
    edges = (*CHAIN, *(("stg_weather", name) for name in tables))
    sync_lineage(book.ledger, Lineage("flights", "2", (), edges))
    for name in ("raw_weather", "stg_weather", *tables):
        book.record(result(name, severity="warning" if name == "stg_weather" else "critical"))
    resolve(book.ledger, 1, "anna", "it is known", now=book.now)
    assert expire_snoozes(book.ledger, book.now + PROMOTION_GRACE) == [2]
    assert causes(book) == {"raw_weather": None, "stg_weather": None, **dict.fromkeys(tables, 2)}
    assert [told for told in book.told() if told[0] != 1] == [(2, "opened"), (2, "escalated")]


def test_a_warning_upstream_is_no_cause_beside_a_failure_that_blocks(book: Book) -> None:
    """The warning is older and as far upstream: it stops nothing, and must not become critical for another's fault."""
    book.record(result("raw_flights", severity="warning"))
    book.record(result("raw_weather"))
    book.record(
        result("features", check="mean"),
        result("features", "error", check="not_null", message=f"not_null: {SKIPPED}"),
    )
    assert [(row.dataset, row.caused_by) for row in book.rows("incident")][2:] == [("features", 2), ("features", 2)]
    assert (book.incident(1).severity, book.told()) == ("warning", [(1, "opened"), (2, "opened")])


def test_what_was_skipped_is_not_laid_at_a_warning_s_door(book: Book) -> None:
    book.record(result("raw_weather", severity="warning"))
    book.record(result("features", "error", message=f"not_null: {SKIPPED}"))
    assert causes(book) == {"raw_weather": None, "features": None}
    assert book.incident(1).severity == "warning"


def test_what_could_not_be_built_is_not_laid_at_a_warning_s_door(book: Book) -> None:
    """A mistake in a model's SQL says nothing of the data: it is told, and what it stops is told with it."""
    book.record(result("raw_weather", severity="warning"))
    book.record(result("stg_weather", "error", check="build", tool="dbt", message="it could not be built"))
    book.record(result("features", "error", tool="dbt", message=f"not_null: {SKIPPED}"))
    assert causes(book) == {"raw_weather": None, "stg_weather": None, "features": 2}
    assert book.incident(1).severity == "warning"
    assert book.told() == [(1, "opened"), (2, "opened")]
    book.record(result("stg_weather", "passed", check="build", tool="dbt"))
    assert (book.incident(2).state, book.incident(1).severity) == ("resolved", "warning")
