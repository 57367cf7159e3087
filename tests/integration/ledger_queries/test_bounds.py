"""What is bounded is bounded where it does least harm: newest partitions of all datasets, failing partitions first."""

from ledger_book import Book, result

from headrace.ledger.queries import list_partition_verdicts, load_incident


def test_the_newest_partitions_are_given_for_every_dataset(book: Book) -> None:
    """A dataset that is checked often does not push another's cells out."""
    book.record(*(result("quiet", "passed", key=f"2013-{month:02}") for month in range(1, 7)))
    for _ in range(3):
        book.record(*(result("busy", "passed", key=f"2013-{month:02}") for month in range(1, 7)))
    book.record(result("of_another", "passed", key="2014-01"), task=None, run="x")
    found = list_partition_verdicts(book.ledger, dag_id="flights", partitions=2, limit=100)
    assert {(each.dataset, each.partition_key) for each in found} == {
        ("of_another", "2014-01"), ("busy", "2013-06"), ("quiet", "2013-06"),
    }  # fmt: skip


def test_partitions_that_fail_are_not_pushed_out_by_those_that_passed(book: Book) -> None:
    book.record(*(result(key=f"{number:04}") for number in range(502)))
    book.record(*(result(key=f"{number:04}", status="passed") for number in range(2, 502)))
    found = load_incident(book.ledger, 1).partitions
    assert len(found) == 500
    assert [each.partition_key for each in found if each.state == "failing"] == ["0001", "0000"]
    assert [each.partition_key for each in found] == sorted((each.partition_key for each in found), reverse=True)


def test_the_unit_of_a_check_is_a_short_word_or_none(book: Book) -> None:
    book.record(result(meta={"unit": "mph"}))
    book.record(result(check="other", meta={"unit": 7}))
    assert [load_incident(book.ledger, number).unit for number in (1, 2)] == ["mph", None]
