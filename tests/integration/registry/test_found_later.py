"""Data found bad after a model was trained on it, whatever happened to its run in between; both ledgers."""

from collections.abc import Sequence

import pytest
from model_book import METRICS, MODEL, SIGNATURE, push_model, register

from headrace.exceptions import UnknownDatasetError
from headrace.ledger import query_versions, statements
from headrace.ledger.actions import waive
from headrace.ledger.database import Ledger
from headrace.ledger.impact import find_impact
from headrace.ledger.query_models import load_version
from headrace.ledger.query_versions import load_lineage
from headrace.ledger.runs import DataVersion, LineageRun, record_runs
from headrace.ledger.training import record_training
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import VersionFacts
from headrace.registry import deploy
from headrace.registry.quarantine import quarantine_and_roll_back
from headrace.registry.register import register_version
from headrace.settings import Settings


def train_on(ledger: Ledger, run_id: str, keys: Sequence[str]) -> None:
    record_training(ledger, MODEL, "training", run_id, keys[-1], trained_on={"features": keys}, blessed=True)


def names(ledger: Ledger, dataset: str, key: str) -> list[str]:
    return [hit.name for hit in find_impact(ledger, dataset, key).models]


def test_a_run_that_is_trained_anew_takes_nothing_from_the_version_that_it_pushed(
    ledger: Ledger, settings: Settings
) -> None:
    register(ledger, settings, 1, ["2013-01"])
    register(ledger, settings, 2, ["2013-01", "2013-03"])
    deploy.promote(ledger, settings, MODEL, 1, "anna", "first")
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    train_on(ledger, "run_2", ["2013-01"])  # cleared, with another window
    assert names(ledger, "features", "2013-03") == [f"{MODEL}@2"]
    done = quarantine_and_roll_back(ledger, settings, "features", "2013-03", "anna", "wrong units")
    assert done.rolled_back == [f"{MODEL}@1 answers instead of {MODEL}@2"]


def test_a_run_that_pushed_nothing_yet_says_what_it_was_trained_on_last(ledger: Ledger) -> None:
    train_on(ledger, "run_1", ["2013-01", "2013-03"])
    train_on(ledger, "run_1", ["2013-01"])
    assert names(ledger, "features", "2013-01") == [MODEL]
    with pytest.raises(UnknownDatasetError):
        find_impact(ledger, "features", "2013-03")


def test_a_version_that_is_registered_after_the_quarantine_is_marked(ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 1, ["2013-01"])
    train_on(ledger, "late", ["2013-01", "2013-02"])
    done = quarantine_and_roll_back(ledger, settings, "features", "2013-02", "anna", "wrong units")
    assert done.versions == []
    pushed = push_model(settings.pushed_dir / MODEL / "late", "late")
    facts = VersionFacts(MODEL, "training", "late", "late", METRICS, None, SIGNATURE)
    version = load_version(ledger, MODEL, register_version(ledger, settings, pushed, facts).number)
    assert [(taint.dataset, taint.partition_key) for taint in version.taints] == [("features", "2013-02")]
    assert "wrong units" in version.taints[0].reason
    waive(ledger, done.incident_id, "anna", ["2013-02"], "it was right")
    assert not load_version(ledger, MODEL, version.number).taints
    after = register(ledger, settings, 7, ["2013-02"])
    assert not load_version(ledger, MODEL, after.number).taints


def test_contents_of_before_a_clear_keep_what_they_were_made_of(ledger: Ledger) -> None:
    def publish(raw: str, features: str, try_number: int) -> None:
        read, made = (
            DataVersion("raw", "2013-01", raw, "source"),
            DataVersion("f.published", "2013-01", features, "features"),
        )
        again = TaskTry("dataops", "r1", "publish", -1, try_number)
        record_runs(ledger, again, "2013-01", [LineageRun("publish.f", "publish", [read], [made])])

    publish("raw A", "features A", 1)
    with ledger.connect() as connection:
        version = query_versions._list_newest(connection, "f.published", "2013-01")[0]
    record_training(
        ledger, MODEL, "training", "old", "2013-01", trained_on={"f.published": ["2013-01"]},
        contents={("f.published", "2013-01"): ("features A", version)}, blessed=True,
    )  # fmt: skip
    publish("raw B", "features B", 2)
    publish("raw B", "features B", 2)  # the same try again
    assert names(ledger, "raw", "2013-01") == [MODEL]
    found = load_lineage(ledger, "raw", "2013-01", upstream=False)
    jobs = sorted(str(run["job"]).partition(" (")[0] for run in found.runs.values())
    assert jobs == ["publish.f"], "that of today's content"
    with ledger.connect() as connection:
        walked = query_versions.walk(connection, [version], upwards=True)
    assert len(walked.versions) == 2, "the old content still says what it was made of"


def test_no_content_is_left_out_however_many_there_are(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_versions, "MOST", 5)
    monkeypatch.setattr(statements, "MOST_BOUND", 4)
    task = TaskTry("dataops", "r1", "dbt", -1, 1)
    table = DataVersion("airports", "", "one", "source")
    for number in range(30):
        made = DataVersion("f.published", f"2013-{number:02}", "x", "features")
        record_runs(ledger, task, made.partition_key, [LineageRun("publish.f", "publish", [table], [made])])
    with ledger.connect() as connection:
        (last,) = query_versions._list_newest(connection, "f.published", "2013-29")
    record_training(
        ledger, MODEL, "training", "run", "2013-29", trained_on={"f.published": ["2013-29"]},
        contents={("f.published", "2013-29"): ("x", last)}, blessed=True,
    )  # fmt: skip
    assert names(ledger, "airports", "") == [MODEL]


def test_a_partition_that_was_typed_wrong_reaches_nothing_and_is_said(ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 1, ["2013-01"])
    with pytest.raises(UnknownDatasetError, match="No content of features@2013-0l"):
        find_impact(ledger, "features", "2013-0l")
    with pytest.raises(UnknownDatasetError, match="No content of features@2013-O1"):
        quarantine_and_roll_back(ledger, settings, "features", "2013-O1", "anna", "bad")
