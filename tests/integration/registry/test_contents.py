"""Published contents stay as long as a version that was trained on them, and go with the last one."""

import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from model_book import MODEL, push_model

from headrace.contracts.contents import keep_content, name_kept
from headrace.exceptions import ReproductionError, UnknownVersionError
from headrace.ledger.database import Ledger
from headrace.ledger.runs import DataVersion, LineageRun, record_runs
from headrace.ledger.training import record_training
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import ModelVersionRow, VersionFacts
from headrace.registry.contents import find_kept, keep_read, prune_contents
from headrace.registry.prune import prune_versions
from headrace.registry.register import find_version_folder, register_version
from headrace.registry.reproduce import reproduce
from headrace.settings import Settings

NOW = datetime.now(UTC)
ASSET = "features"


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def publish(settings: Settings, key: str, content: str, keep: bool = True) -> Path:
    """What publishing does: keep, then replace by rename."""
    folder = settings.features_dir / ASSET
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".partial"
    partial.write_text(content)
    if keep:
        keep_content(folder, partial, digest(content))
    return partial.replace(folder / f"{key}.parquet")


def kept(settings: Settings) -> set[str]:
    return {path.read_text() for path in (settings.features_dir / ASSET / ".versions").iterdir()}


def train_on(ledger: Ledger, run_id: str, contents: dict[str, str], at: datetime = NOW) -> None:
    seen = [DataVersion(ASSET, key, digest(content), "features") for key, content in contents.items()]
    ids = record_runs(ledger, TaskTry("training", run_id, "t"), None, [LineageRun("read", "publish", [], seen)])
    record_training(
        ledger, MODEL, "training", run_id, max(contents), trained_on={ASSET: sorted(contents)}, now=at,
        contents={(ASSET, key): (fingerprint, id_) for (_, key, fingerprint), id_ in ids.items()},
    )  # fmt: skip


def register(ledger: Ledger, settings: Settings, run_id: str, contents: dict[str, str]) -> ModelVersionRow:
    train_on(ledger, run_id, contents)
    pushed = push_model(settings.pushed_dir / MODEL / run_id, run_id)
    return register_version(ledger, settings, pushed, VersionFacts(MODEL, "training", run_id, run_id))


def test_contents_go_with_the_last_version_that_was_trained_on_them(ledger: Ledger, settings: Settings) -> None:
    months: Sequence[dict[str, str]] = [{"2013-01": "a"}, {"2013-01": "a", "2013-02": "b"}, {"2013-02": "c"}]
    for number, contents in enumerate(months, 1):
        for key, content in contents.items():
            publish(settings, key, content)
        register(ledger, settings, f"run_{number}", contents)
    publish(settings, "2013-01", "d")
    publish(settings, "2013-02", "e")
    assert kept(settings) == {"a", "b", "c", "d", "e"}
    assert prune_versions(ledger, settings, MODEL, 2) == [1]
    assert kept(settings) == {"a", "b", "c", "d", "e"}, "the second version was trained on the same"
    assert prune_versions(ledger, settings, MODEL, 1) == [2]
    assert kept(settings) == {"c", "d", "e"}, "what is published now stays, whoever was trained on it"


def test_what_a_run_is_still_training_on_stays(ledger: Ledger, settings: Settings) -> None:
    publish(settings, "2013-01", "running")
    train_on(ledger, "running", {"2013-01": "running"})
    publish(settings, "2013-02", "given up")
    train_on(ledger, "given_up", {"2013-02": "given up"}, NOW - timedelta(days=30))
    publish(settings, "2013-01", "newer")
    publish(settings, "2013-02", "newest")
    prune_contents(ledger, settings)
    assert kept(settings) == {"running", "newer", "newest"}
    prune_contents(ledger, settings, NOW + timedelta(days=30))
    assert kept(settings) == {"newer", "newest"}


def test_a_copy_of_what_is_published_stays(ledger: Ledger, settings: Settings) -> None:
    file = publish(settings, "2013-01", "same")
    copy = name_kept(file.parent, digest("same"))
    copy.unlink()
    copy.write_text("same")
    assert prune_contents(ledger, settings) == []
    publish(settings, "2013-01", "else")
    assert prune_contents(ledger, settings) == [copy]


def test_what_was_published_before_contents_were_kept_is_kept_when_it_is_read(settings: Settings) -> None:
    publish(settings, "2013-01", "old", keep=False)
    publish(settings, "2013-02", "replaced", keep=False)
    read = {"2013-01": digest("old"), "2013-02": digest("before"), "2013-03": digest("gone")}
    assert keep_read(settings.features_dir, read) == ["2013-02", "2013-03"]
    publish(settings, "2013-01", "new", keep=False)
    assert keep_read(settings.features_dir, read) == ["2013-02", "2013-03"], "kept, though it was replaced since"
    (found,) = find_kept(settings.features_dir, digest("old"))
    assert found.read_text() == "old"
    assert keep_read(settings.state_dir / "nothing", read) == sorted(read)


@pytest.fixture
def version(ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ModelVersionRow:
    """A version whose TFX interpreter must never be started."""
    settings.tfx_python.parent.mkdir(parents=True, exist_ok=True)
    if not settings.tfx_python.exists():
        settings.tfx_python.write_text("#!/bin/false\n")
    publish(settings, "2013-01", "a")
    return register(ledger, settings, "run_1", {"2013-01": "a"})


def refuse(ledger: Ledger, settings: Settings, match: str) -> None:
    with pytest.raises(ReproductionError, match=match):
        reproduce(ledger, settings, MODEL, 1, say=lambda _: None)


def test_what_is_not_there_any_more_is_named(
    ledger: Ledger, settings: Settings, version: ModelVersionRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    refuse(ledger, settings, r"delays@1 cannot be reproduced: its sources, .*sources\.tar\.gz, are not kept")
    file = name_kept(settings.features_dir / ASSET, digest("a"))
    file.unlink()
    refuse(ledger, settings, rf"of partition 2013-01 \(SHA-256 {digest('a')}\)")
    file.write_text("something else")
    refuse(ledger, settings, rf"of partition 2013-01 \(SHA-256 {digest('a')}\)")
    file.write_text("a")
    packed = find_version_folder(settings, MODEL, 1) / "sources.tar.gz"
    packed.write_bytes(b"no archive")
    refuse(ledger, settings, "is damaged")
    prune_versions(ledger, settings, MODEL, 0)
    refuse(ledger, settings, "delays@1 was deleted, with its sources: one of more than 0 versions")
    with pytest.raises(UnknownVersionError, match="no version 2"):
        reproduce(ledger, settings, MODEL, 2)
    assert os.listdir(scratch) == []


def test_a_model_whose_data_is_not_known_says_so(ledger: Ledger, settings: Settings, version: ModelVersionRow) -> None:
    record_training(ledger, MODEL, "training", "run_2", "2013-01", trained_on={ASSET: ["2013-01"]})
    pushed = push_model(settings.pushed_dir / MODEL / "run_2", "run_2")
    register_version(ledger, settings, pushed, VersionFacts(MODEL, "training", "run_2", "run_2"))
    with pytest.raises(ReproductionError, match="trained on 2013-01, and which content that was is not recorded"):
        reproduce(ledger, settings, MODEL, 2)
    record_training(ledger, MODEL, "training", "run_3", "2013-01")
    pushed = push_model(settings.pushed_dir / MODEL / "run_3", "run_3")
    register_version(ledger, settings, pushed, VersionFacts(MODEL, "training", "run_3", "run_3"))
    with pytest.raises(ReproductionError, match="ExampleGen does not say what it read"):
        reproduce(ledger, settings, MODEL, 3)


def test_the_parameters_of_a_run_are_kept_with_its_version(ledger: Ledger, settings: Settings) -> None:
    train_on(ledger, "run_1", {"2013-01": "a"})
    pushed = push_model(settings.pushed_dir / MODEL / "run_1")
    facts = VersionFacts(MODEL, "training", "run_1", "run_1", parameters={"window": 3})
    register_version(ledger, settings, pushed, facts)
    file = find_version_folder(settings, MODEL, 1) / "version.json"
    assert json.loads(file.read_text())["parameters"] == {"window": 3}
