"""A pushed model becomes a version: once for a run and content, whole, with what is known of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_book import result
from model_book import METRICS, MODEL, SIGNATURE, push_model, register, train
from small_disk import fill_disk, mount_small_disk

from headrace.exceptions import RegistryError, UnknownModelError, UnknownVersionError
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_models, list_versions, load_version
from headrace.ledger.recording import record_results
from headrace.ledger.views import TaskTry
from headrace.ledger.views_models import VersionFacts
from headrace.registry.register import find_version_folder, register_version
from headrace.registry.trees import verify_tree
from headrace.settings import Settings

SCRIPT = Path(__file__).with_name("registry_driver.py")


def test_versions_count_from_one_and_keep_what_is_known(ledger: Ledger, settings: Settings) -> None:
    record_results(ledger, TaskTry("dataops", "r", "check"), [result("features", "passed", key="2013-01")])
    first = register(ledger, settings, 1, commit="c0ffee", dirty=False, features=["distance"])
    second = register(ledger, settings, 2, keys=["2013-01", "2013-02"])
    assert [first.name, second.name] == ["delays@1", "delays@2"]
    assert (first.metrics, first.signature) == (METRICS, SIGNATURE)
    assert (first.features, first.commit, first.dirty, first.state) == (["distance"], "c0ffee", False, "candidate")
    verdicts = {(each["dataset"], each["partition_key"]): each["verdict"] for each in second.verdicts}
    assert verdicts == {
        ("features", "2013-01"): "pass",
        ("features", "2013-02"): None,
        ("delays.examples", "2013-01"): None,
        ("delays.examples", "2013-02"): None,
    }
    folder = find_version_folder(settings, MODEL, 2)
    assert verify_tree(folder / "model", second.digest) == []
    assert json.loads((folder / "version.json").read_text())["number"] == 2
    assert [row.number for row in list_versions(ledger, MODEL)] == [2, 1]
    (model,) = list_models(ledger)
    assert (model.model, model.versions, model.newest, model.dag_ids) == (MODEL, 2, 2, ["training"])


def test_the_same_push_again_is_the_version_that_it_was(ledger: Ledger, settings: Settings) -> None:
    first = register(ledger, settings, 1)
    assert register(ledger, settings, 1) == first
    pushed_again = push_model(settings.pushed_dir / MODEL / "1800000000", "weights of 1")
    facts = VersionFacts(MODEL, "training", "run_1", pushed_again.name)
    assert register_version(ledger, settings, pushed_again, facts).number == 1
    assert [row.number for row in list_versions(ledger, MODEL)] == [1]


def test_a_run_that_trains_anew_makes_another_version(ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 1)
    anew = push_model(settings.pushed_dir / MODEL / "1800000000", "other weights")
    version = register_version(ledger, settings, anew, VersionFacts(MODEL, "training", "run_1", anew.name))
    assert (version.number, version.pushed_version) == (2, "1800000000")


def test_a_version_whose_folder_was_lost_is_put_back_by_registering_it_again(
    ledger: Ledger, settings: Settings
) -> None:
    version = register(ledger, settings, 1)
    folder = find_version_folder(settings, MODEL, 1)
    shutil.rmtree(folder)
    assert register(ledger, settings, 1) == version
    assert verify_tree(folder / "model", version.digest) == []


def test_half_a_push_is_not_registered(ledger: Ledger, settings: Settings) -> None:
    pushed = push_model(settings.pushed_dir / MODEL / "1700000001")
    (pushed / "saved_model.pb").unlink()
    with pytest.raises(RegistryError, match=r"saved_model\.pb, which is written last.*Clear the Pusher"):
        register(ledger, settings, 1)
    with pytest.raises(UnknownModelError, match="There is no model 'delays' in the registry; there is none yet"):
        list_versions(ledger, MODEL)
    assert not settings.registry_dir.exists()


def test_a_model_of_a_run_that_nobody_recorded_is_not_registered(ledger: Ledger, settings: Settings) -> None:
    pushed = push_model(settings.pushed_dir / MODEL / "1700000001")
    with pytest.raises(RegistryError, match="no training run nobody"):
        register_version(ledger, settings, pushed, VersionFacts(MODEL, "training", "nobody", pushed.name))
    assert list((settings.registry_dir / MODEL).iterdir()) == []


def test_a_version_that_is_not_there_is_told_with_the_newest(ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 1)
    with pytest.raises(UnknownVersionError, match="delays has no version 7; its newest is 1"):
        load_version(ledger, MODEL, 7)


def test_a_full_disk_registers_nothing_and_can_be_tried_again(ledger: Ledger, settings: Settings) -> None:
    train(ledger, "run_1")
    pushed = push_model(settings.pushed_dir / MODEL / "1700000001", "weights" * 200)
    facts = VersionFacts(MODEL, "training", "run_1", pushed.name)
    with mount_small_disk(settings.registry_dir, 1) as disk:
        filler = fill_disk(disk)
        with pytest.raises(RegistryError, match="No space left"):
            register_version(ledger, settings, pushed, facts)
        assert sorted(path.name for path in disk.rglob("*") if path.is_file()) == ["filler"]
        filler.unlink()
        assert register_version(ledger, settings, pushed, facts).number == 1


@pytest.mark.parametrize("at", ["copy_tree", "verify_tree", "add_version", "name_tree", "registered"])
def test_a_process_that_is_killed_registers_the_whole_or_nothing(
    ledger: Ledger, settings: Settings, url: str, at: str
) -> None:
    train(ledger, "run_1")
    push_model(settings.pushed_dir / MODEL / "1700000001", "weights of 1")
    dying = {"die_at_end": True} if at == "registered" else {"die": at}
    spec = {"url": url, "project": str(settings.project_dir), "do": "register", **dying}
    killed = subprocess.run([sys.executable, str(SCRIPT), json.dumps(spec)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    known = list_models(ledger)
    assert register(ledger, settings, 1).number == 1
    assert register(ledger, settings, 2).number == 2, "no number was lost"
    assert verify_tree(find_version_folder(settings, MODEL, 1) / "model", load_version(ledger, MODEL, 1).digest) == []
    assert len(known) == (1 if at == "registered" else 0)
