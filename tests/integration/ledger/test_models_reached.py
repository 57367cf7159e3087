"""Models that a failure reaches: those of runs that made one."""

from ledger_book import Book, result

from headrace.ledger.queries import load_incident
from headrace.ledger.recording import record_training


def test_a_run_that_only_read_the_data_made_no_model(book: Book) -> None:
    book.record(result())
    seen = {"raw_weather": ["2013-02"]}
    for run in ("only_read", "refused", "pushed"):
        record_training(book.ledger, "delay", "flights", run, "2013-02", trained_on=seen, now=book.now)
    record_training(book.ledger, "delay", "flights", "refused", "2013-02", blessed=False, now=book.now)
    record_training(book.ledger, "delay", "flights", "pushed", "2013-02", pushed_to="/models/1", now=book.now)
    found = load_incident(book.ledger, 1)
    assert sorted(model["run_id"] for model in found.blast.models) == ["pushed", "refused"]
    assert found.row.models == 2
