"""A partition that turned out bad: what was trained on it is marked, and what answers is rolled back."""

import pytest
from ledger_book import Book, result
from model_book import MODEL, register

from headrace.contracts.lineage import Dataset, Lineage
from headrace.contracts.pipeline import CompiledPipeline
from headrace.exceptions import InvalidPartitionKeyError, PromotionRefusedError, UnknownDatasetError
from headrace.ledger.actions import waive
from headrace.ledger.database import Ledger
from headrace.ledger.landings import record_landing
from headrace.ledger.lineage import sync_lineage
from headrace.ledger.query_models import list_models, load_version
from headrace.ledger.verdicts import load_verdict
from headrace.registry import deploy
from headrace.registry.quarantine import PartitionQuarantine, quarantine_and_roll_back
from headrace.settings import Settings

RAW = "raw_weather"


@pytest.fixture
def three(ledger: Ledger, settings: Settings) -> None:
    """Versions of one, two and three months; the last is the champion, and weather makes the features."""
    names = [RAW, "features", f"{MODEL}.examples"]
    edges = [(RAW, "features"), ("features", f"{MODEL}.examples")]
    sync_lineage(ledger, Lineage.of("p", [Dataset(name) for name in names], edges))
    months = ["2013-01", "2013-02", "2013-03"]
    for number in (1, 2, 3):
        register(ledger, settings, number, months[:number])
        deploy.promote(ledger, settings, MODEL, number, "anna", "better")


def quarantine(ledger: Ledger, settings: Settings, key: str = "2013-02", dataset: str = RAW) -> PartitionQuarantine:
    return quarantine_and_roll_back(ledger, settings, dataset, key, "bert", "the sensor was broken")


def champion(ledger: Ledger) -> int | None:
    return list_models(ledger)[0].aliases.get("champion")


def test_what_was_trained_on_it_is_marked_and_the_champion_goes_back_to_what_was_not(
    three: None, ledger: Ledger, settings: Settings
) -> None:
    done = quarantine(ledger, settings)
    assert done.versions == ["delays@2", "delays@3"]
    assert done.rolled_back == ["delays@1 answers instead of delays@3"]
    assert done.still_answering == []
    assert champion(ledger) == 1
    (taint,) = load_version(ledger, MODEL, 2).taints
    assert (taint.dataset, taint.partition_key, taint.reason) == (RAW, "2013-02", "the sensor was broken")
    assert load_version(ledger, MODEL, 1).taints == ()
    verdict = load_verdict(ledger, RAW, "2013-02")
    assert verdict is not None
    assert verdict.decision == "block"
    book = Book(ledger)
    assert book.incident(done.incident_id).title == "2013-02 raw_weather: quarantined by bert: the sensor was broken"
    assert len(book.rows("incident")) == 1, "the rollback is told in the partition's incident"
    comments = [row.detail.get("text") for row in book.rows("incident_event", kind="commented")]
    assert comments == [
        "delays@3 was rolled back to delays@1 by bert: raw_weather 2013-02 was quarantined: the sensor was broken"
    ]
    with pytest.raises(PromotionRefusedError, match="delays@2 was trained on raw_weather 2013-02, which bert"):
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better")


def test_again_is_the_same_incident_and_takes_no_second_step(three: None, ledger: Ledger, settings: Settings) -> None:
    first, again = quarantine(ledger, settings), quarantine(ledger, settings)
    assert (again.incident_id, again.versions, again.rolled_back) == (first.incident_id, first.versions, [])
    assert champion(ledger) == 1


def test_where_every_version_was_trained_on_it_the_champion_answers_on_and_that_is_told(
    three: None, ledger: Ledger, settings: Settings
) -> None:
    done = quarantine(ledger, settings, "2013-01")
    assert done.rolled_back == []
    (told,) = done.still_answering
    assert told.startswith("delays@3 answers on: delays@3 cannot be rolled back: no version has answered before it")
    assert champion(ledger) == 3
    assert [row.detail["text"] for row in Book(ledger).rows("incident_event", kind="commented")] == [told]


def test_the_policy_may_leave_it_to_a_person(three: None, ledger: Ledger, settings: Settings) -> None:
    about = {"promotion": {"rollback_on_quarantine": False}}
    CompiledPipeline(MODEL, (), {}, {}, about).write(settings.compiled_pipeline_dir(MODEL))
    done = quarantine(ledger, settings)
    assert done.rolled_back == []
    assert "rollback_on_quarantine is false" in done.still_answering[0]
    assert champion(ledger) == 3
    deploy.rollback(ledger, settings, MODEL, "anna", "bad data")
    assert champion(ledger) == 1, "what was trained on it too is passed over"


def test_a_waiver_ends_the_marks_but_not_the_block(three: None, ledger: Ledger, settings: Settings) -> None:
    done = quarantine(ledger, settings)
    assert waive(ledger, done.incident_id, "anna", ["2013-02"], "it was right after all") == []
    assert load_version(ledger, MODEL, 2).taints == ()
    verdict = load_verdict(ledger, RAW, "2013-02")
    assert verdict is not None
    assert verdict.decision != "block"
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    with pytest.raises(PromotionRefusedError, match="delays@3 is blocked"):
        deploy.promote(ledger, settings, MODEL, 3, "anna", "better")
    deploy.unblock(ledger, settings, MODEL, 3, "anna", "right after all")
    deploy.promote(ledger, settings, MODEL, 3, "anna", "better")
    assert champion(ledger) == 3


def test_other_data_ends_the_quarantine_and_the_old_versions_stay_marked(
    three: None, ledger: Ledger, settings: Settings
) -> None:
    book = Book(ledger)
    book.record(result(RAW, "passed", key="2013-02"))
    record_landing(ledger, "2013-02", {RAW: ("a" * 64, 10)})
    done = quarantine(ledger, settings)
    record_landing(ledger, "2013-02", {RAW: ("b" * 64, 10)})
    assert book.incident(done.incident_id).state == "resolved"
    book.record(result(RAW, "passed", key="2013-02"))
    verdict = load_verdict(ledger, RAW, "2013-02")
    assert verdict is not None
    assert verdict.decision == "pass"
    assert len(load_version(ledger, MODEL, 2).taints) == 1


def test_what_is_not_known_is_refused_and_nothing_is_done(three: None, ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(UnknownDatasetError, match="raw_weather"):
        quarantine(ledger, settings, dataset="raw_wether")
    with pytest.raises(InvalidPartitionKeyError, match="Name a partition of raw_weather"):
        quarantine(ledger, settings, key="")
    assert Book(ledger).rows("incident") == []
    assert champion(ledger) == 3
