"""What goes wrong between a decision on what answers and the servers: real files, both ledgers."""

import shutil
import threading
from collections.abc import Callable
from typing import Any

import pytest
from model_book import MODEL, register
from tests.integration.registry.test_deploy import Serve

from headrace.contracts.deployment import Deployment
from headrace.exceptions import ConfigurationError, DeploymentError, PromotionRefusedError
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_models, load_version
from headrace.registry import deploy, quarantine
from headrace.registry.deployment_files import MODELS_CONFIG, place_version, read_deployment
from headrace.registry.prune import prune_versions
from headrace.registry.quarantine import quarantine_and_roll_back
from headrace.registry.reconcile import reconcile
from headrace.registry.register import find_version_folder
from headrace.registry.trees import verify_tree
from headrace.settings import Settings


@pytest.fixture
def three(ledger: Ledger, settings: Settings) -> None:
    """Three versions, each once the champion; the third is."""
    for number in (1, 2, 3):
        register(ledger, settings, number, [f"2013-0{number}"])
        deploy.promote(ledger, settings, MODEL, number, "anna", f"number {number}")


def aliases(ledger: Ledger) -> dict[str, int]:
    return dict(list_models(ledger)[0].aliases)


def told(settings: Settings) -> Deployment:
    found = read_deployment(settings, MODEL)
    assert found is not None
    return found


def spoil(settings: Settings, number: int) -> None:
    (find_version_folder(settings, MODEL, number) / "model" / "saved_model.pb").write_text("rotten")
    shutil.rmtree(settings.serving_dir / MODEL / str(number), ignore_errors=True)


def test_a_previous_one_that_is_broken_stops_no_rollback(three: None, ledger: Ledger, settings: Settings) -> None:
    spoil(settings, 1)
    deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad")
    assert aliases(ledger) == {"champion": 2, "previous": 1}
    assert dict(told(settings).aliases) == {"champion": 2}
    assert list(told(settings).versions) == [2]
    assert any("delays@1 (previous) is left out" in said for said in reconcile(ledger, settings))


def test_a_rollback_that_is_not_ended_does_not_swallow_the_next(
    three: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    serve("--deaf")
    with pytest.raises(DeploymentError):
        deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad", wait=0.1)
    with pytest.raises(DeploymentError):
        deploy.rollback(ledger, settings, MODEL, "ben", "3 is bad", expected_champion=3, wait=0.1)
    assert aliases(ledger)["champion"] == 2, "the same one, asked for again"
    with pytest.raises(DeploymentError):
        deploy.rollback(ledger, settings, MODEL, "ben", "2 is bad too", expected_champion=2, wait=0.1)
    assert aliases(ledger)["champion"] == 1
    assert [load_version(ledger, MODEL, number).state for number in (2, 3)] == ["blocked", "blocked"]


def test_data_of_what_was_just_rolled_back_to_is_quarantined(
    three: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    serve("--deaf")
    with pytest.raises(DeploymentError):
        deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad", wait=0.1)
    quarantine_and_roll_back(ledger, settings, "features", "2013-02", "anna", "wrong units", wait=0.1)
    assert aliases(ledger)["champion"] == 1
    assert dict(told(settings).aliases)["champion"] == 1


def test_a_decision_in_between_hides_no_rollback_that_is_not_ended(
    three: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    register(ledger, settings, 4)
    server = serve("--deaf")
    with pytest.raises(DeploymentError):
        deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad", wait=0.1)
    deploy.set_challenger(ledger, settings, MODEL, 4, "ben", "look at it")
    server.kill()
    server.wait()
    done = deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad", wait=0.1)
    assert (done.deployment.action, done.deployment.number, done.deployment.state) == ("rollback", 2, "live")
    assert aliases(ledger) == {"champion": 2, "previous": 1, "challenger": 4}
    assert load_version(ledger, MODEL, 2).state == "candidate"


def test_a_promotion_that_no_server_can_load_is_undone_though_something_was_noted_since(
    three: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    register(ledger, settings, 4)
    register(ledger, settings, 5)
    late = serve("--deaf")
    with pytest.raises(DeploymentError):
        deploy.promote(ledger, settings, MODEL, 4, "anna", "newer", wait=0.1)
    deploy.set_challenger(ledger, settings, MODEL, 5, "ben", "look at it")
    late.kill()
    late.wait()
    serve("4")
    with pytest.raises(PromotionRefusedError, match="delays@3 answers as before"):
        deploy.promote(ledger, settings, MODEL, 4, "anna", "newer")
    assert aliases(ledger) == {"champion": 3, "previous": 2, "challenger": 5}


def test_a_rollback_to_the_challenger_makes_it_the_champion_alone(
    three: None, ledger: Ledger, settings: Settings
) -> None:
    register(ledger, settings, 4)
    deploy.set_challenger(ledger, settings, MODEL, 4, "ben", "look at it")
    deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad", to=4)
    assert aliases(ledger) == {"champion": 4, "previous": 2}
    assert load_version(ledger, MODEL, 4).state == "candidate"


def test_what_is_tainted_is_no_previous(three: None, ledger: Ledger, settings: Settings) -> None:
    quarantine_and_roll_back(ledger, settings, "features", "2013-02", "anna", "wrong units")
    assert aliases(ledger) == {"champion": 3, "previous": 1}
    assert dict(told(settings).aliases) == {"champion": 3, "previous": 1}


def test_one_model_that_cannot_be_taken_back_leaves_the_others_not(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("a", "b"):
        for number in (1, 2):
            register(ledger, settings, number, [f"2013-0{number}"], model=model, dag_id=model)
            deploy.promote(ledger, settings, model, number, "anna", "newer")
    load = quarantine.load_policy

    def fail(of: Settings, model: str) -> Any:
        if model == "a":
            raise ConfigurationError("promotion's mode is 'sometimes'")
        return load(of, model)

    monkeypatch.setattr(quarantine, "load_policy", fail)
    done = quarantine_and_roll_back(ledger, settings, "features", "2013-02", "anna", "wrong units")
    assert done.rolled_back == ["b@1 answers instead of b@2"]
    assert done.still_answering == ["a@2 answers on: promotion's mode is 'sometimes'"]


def test_a_pruning_that_read_before_a_promotion_removes_nothing_of_it(
    three: None, ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.registry import prune

    register(ledger, settings, 4)
    listed = prune.list_versions

    def promote_meanwhile(*words: Any, **more: Any) -> Any:
        found = listed(*words, **more)
        monkeypatch.setattr(prune, "list_versions", listed)
        deploy.promote(ledger, settings, MODEL, 4, "anna", "newer")
        return found

    monkeypatch.setattr(prune, "list_versions", promote_meanwhile)
    prune_versions(ledger, settings, MODEL, 5)
    assert verify_tree(settings.serving_dir / MODEL / "4", load_version(ledger, MODEL, 4).digest) == []


def test_many_threads_that_place_one_version_leave_it_whole(three: None, ledger: Ledger, settings: Settings) -> None:
    version = load_version(ledger, MODEL, 1)
    problems: list[str] = []

    def place() -> None:
        try:
            place_version(settings, MODEL, 1, version.digest)
        except Exception as error:  # noqa: BLE001 - told below
            problems.append(repr(error))

    for _ in range(8):
        shutil.rmtree(settings.serving_dir / MODEL / "1", ignore_errors=True)
        threads = [threading.Thread(target=place) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        problems += verify_tree(settings.serving_dir / MODEL / "1", version.digest)
    assert problems == []
    assert [path.name for path in (settings.serving_dir / MODEL).glob(".*partial*")] == []


def test_a_ledger_that_was_restored_from_before_is_followed(three: None, ledger: Ledger, settings: Settings) -> None:
    newer = told(settings)
    Deployment(MODEL, 40, {1: newer.versions[3]}, {"champion": 1}).write(settings.serving_dir / MODEL)
    assert reconcile(ledger, settings) == ["delays: wrote what is deployed, generation 41"]
    assert dict(told(settings).aliases) == {"champion": 3, "previous": 2}
    assert reconcile(ledger, settings) == []
    deploy.promote(ledger, settings, MODEL, 2, "anna", "back")
    assert (told(settings).generation, told(settings).aliases["champion"]) == (42, 2)


@pytest.mark.parametrize("lost", [lambda file: file.unlink(), lambda file: file.write_text("model_config_list {\n}\n")])
def test_what_tensorflow_serving_reads_is_mended(
    three: None, ledger: Ledger, settings: Settings, lost: Callable[..., Any]
) -> None:
    before = (settings.serving_dir / MODELS_CONFIG).read_text()
    lost(settings.serving_dir / MODELS_CONFIG)
    assert len(reconcile(ledger, settings)) == 1
    assert (settings.serving_dir / MODELS_CONFIG).read_text() == before


def test_a_decision_that_could_not_be_written_says_that_it_stands(
    three: None, ledger: Ledger, settings: Settings
) -> None:
    file = settings.serving_dir / MODELS_CONFIG
    file.unlink()
    file.mkdir()  # nothing can take its place
    with pytest.raises(DeploymentError, match=r"It was decided, and servers are not told yet.*reconcile"):
        deploy.rollback(ledger, settings, MODEL, "anna", "3 is bad")
    assert aliases(ledger)["champion"] == 2
    file.rmdir()
    assert reconcile(ledger, settings) == ["delays: wrote what is deployed, generation 4"]
    assert "versions: 2" in file.read_text()
