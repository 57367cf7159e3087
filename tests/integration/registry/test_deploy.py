"""Promotion, rollback and what servers are told: real files, both ledgers, a stand-in server where one is asked."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_book import Book
from model_book import MODEL, register
from small_disk import fill_disk, mount_small_disk

from headrace.contracts.deployment import Deployment, Manifest
from headrace.contracts.model_server import ServerRecord
from headrace.exceptions import DeploymentError, InvalidActionError, PromotionRefusedError, RegistryError
from headrace.ledger.actions import waive
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import list_deployments, list_models, load_version
from headrace.registry import deploy
from headrace.registry.deployment_files import read_deployment, render_models_config
from headrace.registry.reconcile import reconcile
from headrace.registry.register import find_version_folder
from headrace.registry.servers import list_servers
from headrace.registry.trees import verify_tree
from headrace.settings import Settings

SCRIPT = Path(__file__).with_name("registry_driver.py")
Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def two(ledger: Ledger, settings: Settings) -> None:
    """Two versions; the first is the champion."""
    register(ledger, settings, 1)
    register(ledger, settings, 2, ["2013-01", "2013-02"])
    deploy.promote(ledger, settings, MODEL, 1, "anna", "the first")


def aliases(ledger: Ledger) -> dict[str, int]:
    return dict(list_models(ledger)[0].aliases)


def told(settings: Settings) -> Deployment:
    found = read_deployment(settings, MODEL)
    assert found is not None
    return found


def assert_whole(ledger: Ledger, settings: Settings) -> None:
    """What servers read is what the ledger says, and every version of it is whole."""
    (model,) = list_models(ledger)
    found = told(settings)
    assert (found.generation, dict(found.aliases)) == (model.generation, dict(model.aliases))
    for number, digest in found.versions.items():
        assert verify_tree(settings.serving_dir / MODEL / str(number), digest) == []


def test_a_promotion_tells_servers_whole_versions(two: None, ledger: Ledger, settings: Settings) -> None:
    done = deploy.promote(ledger, settings, MODEL, 2, "bert", "better on EWR", approval={"by": "bert"})
    row = done.deployment
    assert (row.action, row.number, row.from_number, row.state) == ("promote", 2, 1, "live")
    assert (row.actor, row.reason, row.approval) == ("bert", "better on EWR", {"by": "bert"})
    assert row.live_at is not None
    assert aliases(ledger) == {"champion": 2, "previous": 1}
    assert_whole(ledger, settings)
    assert told(settings).blocked == ()
    assert Manifest.load(settings.serving_dir / MODEL / "2").digest == load_version(ledger, MODEL, 2).digest
    assert [each.generation for each in list_deployments(ledger, MODEL)] == [2, 1]


def test_promoting_the_champion_again_decides_nothing(two: None, ledger: Ledger, settings: Settings) -> None:
    before = told(settings)
    again = deploy.promote(ledger, settings, MODEL, 1, "anna", "once more")
    assert (again.deployment.generation, again.deployment.reason) == (1, "the first")
    assert told(settings).generation == before.generation


def test_a_rollback_goes_to_the_previous_one_and_blocks_the_bad_one(
    two: None, ledger: Ledger, settings: Settings
) -> None:
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    done = deploy.rollback(ledger, settings, MODEL, "bert", "it says 1.0 for every flight")
    assert (done.deployment.action, done.deployment.number, done.deployment.from_number) == ("rollback", 1, 2)
    assert aliases(ledger) == {"champion": 1}, "nothing has answered before the first"
    bad = load_version(ledger, MODEL, 2)
    assert (bad.state, bad.state_why) == ("blocked", "rolled back by bert: it says 1.0 for every flight")
    assert told(settings).blocked == (2,)
    assert not (settings.serving_dir / MODEL / "2").exists()
    assert_whole(ledger, settings)
    with pytest.raises(PromotionRefusedError, match=r"delays@2 is blocked.*headrace models unblock delays@2"):
        deploy.promote(ledger, settings, MODEL, 2, "anna", "no, it is fine")
    book = Book(ledger)
    incident = book.incident()
    assert (incident.dataset, incident.state, incident.severity) == ("delays.model", "open", "critical")
    assert incident.title == "delays@2 was rolled back to delays@1 by bert: it says 1.0 for every flight"
    assert done.deployment.incident_id == incident.id
    assert book.told() == [(incident.id, "opened")]
    with pytest.raises(InvalidActionError, match="headrace models unblock"):
        waive(ledger, incident.id, "anna", ["2013-02"], "fine")


def test_what_is_unblocked_may_be_promoted_again_and_its_incident_ends(
    two: None, ledger: Ledger, settings: Settings
) -> None:
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    deploy.rollback(ledger, settings, MODEL, "anna", "it is wrong")
    deploy.unblock(ledger, settings, MODEL, 2, "bert", "the input was wrong")
    assert Book(ledger).incident().state == "resolved"
    assert told(settings).blocked == ()
    assert aliases(ledger)["champion"] == 1
    deploy.promote(ledger, settings, MODEL, 2, "bert", "again")
    assert aliases(ledger) == {"champion": 2, "previous": 1}
    with pytest.raises(PromotionRefusedError, match="is candidate: there is nothing to unblock"):
        deploy.unblock(ledger, settings, MODEL, 2, "bert", "again")


def test_a_second_rollback_takes_the_step_before(two: None, ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 3)
    for number in (2, 3):
        deploy.promote(ledger, settings, MODEL, number, "anna", "better")
    deploy.rollback(ledger, settings, MODEL, "anna", "wrong")
    assert aliases(ledger) == {"champion": 2, "previous": 1}, "servers hold what the next rollback would go to"
    deploy.rollback(ledger, settings, MODEL, "anna", "wrong too")
    assert aliases(ledger) == {"champion": 1}
    assert told(settings).blocked == (2, 3)
    with pytest.raises(PromotionRefusedError, match=r"delays@1 cannot be rolled back: no version has answered before"):
        deploy.rollback(ledger, settings, MODEL, "anna", "wrong as well")
    assert aliases(ledger) == {"champion": 1}
    assert_whole(ledger, settings)


def test_a_rollback_goes_to_no_version_that_never_answered(ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 1)
    register(ledger, settings, 2)
    with pytest.raises(PromotionRefusedError, match="No version of delays answers"):
        deploy.rollback(ledger, settings, MODEL, "anna", "wrong")
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    with pytest.raises(PromotionRefusedError, match="no version has answered before"):
        deploy.rollback(ledger, settings, MODEL, "anna", "wrong")
    done = deploy.rollback(ledger, settings, MODEL, "anna", "wrong", to=1)
    assert done.deployment.number == 1, "unless a person names it"


def test_a_rollback_to_what_may_not_answer_is_refused(two: None, ledger: Ledger, settings: Settings) -> None:
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    deploy.rollback(ledger, settings, MODEL, "anna", "wrong")
    generation = told(settings).generation
    with pytest.raises(PromotionRefusedError, match="delays@2 is blocked"):
        deploy.rollback(ledger, settings, MODEL, "anna", "wrong", to=2)
    with pytest.raises(PromotionRefusedError, match="delays@1 is the champion already"):
        deploy.rollback(ledger, settings, MODEL, "anna", "wrong", to=1)
    assert told(settings).generation == generation


def test_an_actor_and_a_reason_are_asked_for(two: None, ledger: Ledger, settings: Settings) -> None:
    for actor, reason in (("", "better"), ("anna", " ")):
        with pytest.raises(InvalidActionError, match="missing"):
            deploy.promote(ledger, settings, MODEL, 2, actor, reason)
    assert aliases(ledger) == {"champion": 1}


def test_a_challenger_is_served_beside_the_champion(two: None, ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(PromotionRefusedError, match="cannot be its own challenger"):
        deploy.set_challenger(ledger, settings, MODEL, 1, "anna", "compare")
    deploy.set_challenger(ledger, settings, MODEL, 2, "anna", "compare")
    assert aliases(ledger) == {"champion": 1, "challenger": 2}
    assert_whole(ledger, settings)
    config = (settings.serving_dir / "models.config").read_text()
    assert 'name: "delays_challenger"' in config
    deploy.promote(ledger, settings, MODEL, 2, "anna", "it won")
    assert aliases(ledger) == {"champion": 2, "previous": 1}


def test_tensorflow_serving_loads_what_answers_without_a_label() -> None:
    """The highest loaded version answers there: ``previous`` is loaded only where it is lower."""
    back = render_models_config(Path("/s"), {"delays": {"champion": 1, "previous": 2, "challenger": 3}})
    assert back == (
        "model_config_list {\n"
        '  config {\n    name: "delays"\n    base_path: "/s/delays"\n    model_platform: "tensorflow"\n'
        "    model_version_policy { specific { versions: 1 } }\n"
        '    version_labels { key: "champion" value: 1 }\n  }\n'
        '  config {\n    name: "delays_challenger"\n    base_path: "/s/delays"\n    model_platform: "tensorflow"\n'
        "    model_version_policy { specific { versions: 3 } }\n"
        '    version_labels { key: "challenger" value: 3 }\n  }\n'
        "}\n"
    )
    forward = render_models_config(Path("/s"), {"delays": {"champion": 2, "previous": 1}})
    assert "specific { versions: 2 versions: 1 }" in forward


def test_versions_that_are_too_many_are_deleted_but_none_that_answers(ledger: Ledger, settings: Settings) -> None:
    for number in range(1, 9):
        register(ledger, settings, number)
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    states = {number: load_version(ledger, MODEL, number).state for number in range(1, 9)}
    assert [number for number, state in states.items() if state == "deleted"] == [1, 3]
    assert not find_version_folder(settings, MODEL, 3).exists()
    with pytest.raises(PromotionRefusedError, match="delays@3 was deleted"):
        deploy.promote(ledger, settings, MODEL, 3, "anna", "back")
    with pytest.raises(PromotionRefusedError, match="delays@2 answers as champion"):
        deploy.remove_version(ledger, settings, MODEL, 2, "anna", "room")
    deploy.remove_version(ledger, settings, MODEL, 8, "anna", "room")
    assert not find_version_folder(settings, MODEL, 8).exists()
    assert_whole(ledger, settings)


def test_a_registry_copy_that_is_not_whole_is_not_deployed(two: None, ledger: Ledger, settings: Settings) -> None:
    before = told(settings)
    file = find_version_folder(settings, MODEL, 2) / "model" / "saved_model.pb"
    file.unlink()
    file.write_text("other")
    with pytest.raises(RegistryError, match=r"delays@2 cannot be deployed: .*saved_model\.pb is not as it was written"):
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    assert told(settings) == before
    assert aliases(ledger) == {"champion": 1}


def test_a_full_disk_leaves_what_answers(two: None, ledger: Ledger, settings: Settings) -> None:
    shutil.rmtree(settings.serving_dir)
    with mount_small_disk(settings.serving_dir, 1) as disk:
        assert reconcile(ledger, settings) == [f"{MODEL}: wrote what is deployed, generation 1"]
        filler = fill_disk(disk)
        with pytest.raises(RegistryError, match="No space left"):
            deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
        assert aliases(ledger) == {"champion": 1}
        assert_whole(ledger, settings)
        filler.unlink()
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
        assert_whole(ledger, settings)


def test_a_promotion_against_another_champion_is_refused(two: None, ledger: Ledger, settings: Settings) -> None:
    register(ledger, settings, 3)
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better", expected_champion=1)
    with pytest.raises(PromotionRefusedError, match=r"champion is delays@2 by now.*against delays@1"):
        deploy.promote(ledger, settings, MODEL, 3, "bert", "better", expected_champion=1)
    with pytest.raises(PromotionRefusedError, match="champion is delays@2 by now"):
        deploy.rollback(ledger, settings, MODEL, "bert", "wrong", expected_champion=1)
    assert aliases(ledger) == {"champion": 2, "previous": 1}


def test_of_two_promotions_at_once_one_is_refused(
    two: None, ledger: Ledger, settings: Settings, url: str, tmp_path: Path
) -> None:
    register(ledger, settings, 3)
    gate = tmp_path / "gate"
    spec = {"url": url, "project": str(settings.project_dir), "do": "promote", "expected": 1, "gate": str(gate)}
    both = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps({**spec, "number": number})], stdout=subprocess.PIPE, text=True
        )
        for number in (2, 3)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(text.partition(":")[0].strip() for text in said) == ["done", "refused"]
    winner = 2 if "done" in said[0] else 3
    assert aliases(ledger) == {"champion": winner, "previous": 1}
    assert_whole(ledger, settings)


STEPS = ("place_version", "add_deployment", "before:finish_deployment", "write_deployment", "wait_until_serving",
         "end_deployment", "prune_versions")  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["promote", "rollback"])
def test_after_a_kill_the_same_again_ends_it_and_no_more(
    two: None, ledger: Ledger, settings: Settings, url: str, what: str, step: str
) -> None:
    if what == "rollback":
        register(ledger, settings, 3)
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
        deploy.promote(ledger, settings, MODEL, 3, "anna", "better")
    before = told(settings)
    spec = {"url": url, "project": str(settings.project_dir), "do": what, "number": 2, "die": step}
    killed = subprocess.run([sys.executable, str(SCRIPT), json.dumps(spec)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    now = told(settings)
    assert now.generation >= before.generation
    for number, digest in now.versions.items():
        assert verify_tree(settings.serving_dir / MODEL / str(number), digest) == [], "half a model is never told of"
    decided = step not in ("place_version", "add_deployment")
    assert (aliases(ledger)["champion"] == 2) == decided
    if what == "promote":
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    elif step != "prune_versions":  # it was over by then
        deploy.rollback(ledger, settings, MODEL, "anna", "it is wrong")
    assert aliases(ledger) == {"champion": 2, "previous": 1}
    assert list_deployments(ledger, MODEL)[0].state == "live"
    assert len(list_deployments(ledger, MODEL)) == (4 if what == "rollback" else 2)
    reconcile(ledger, settings)
    assert reconcile(ledger, settings) == []
    assert_whole(ledger, settings)


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_reconcile_ends_it(two: None, ledger: Ledger, settings: Settings, url: str, step: str) -> None:
    spec = {"url": url, "project": str(settings.project_dir), "do": "promote", "number": 2, "die": step}
    killed = subprocess.run([sys.executable, str(SCRIPT), json.dumps(spec)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    reconcile(ledger, settings)
    assert_whole(ledger, settings)
    assert {row.state for row in list_deployments(ledger, MODEL)} == {"live"}
    assert not list(settings.serving_dir.rglob("*partial*"))


def test_what_a_running_process_or_another_machine_writes_is_left_alone(
    two: None, ledger: Ledger, settings: Settings
) -> None:
    here = socket.gethostname()
    mine = [
        settings.serving_dir / MODEL / f".9.partial-00c0ffee-{name}"
        for name in (f"{here}-1", f"other-{here}-999999999")
    ]
    dead = settings.registry_dir / MODEL / f".run-x.partial-00c0ffee-{here}-999999999"
    for folder in (*mine, dead):
        folder.mkdir()
    assert reconcile(ledger, settings) == [f"removed {dead.name}, which a killed process left"]
    assert all(folder.is_dir() for folder in mine)


def test_what_is_lost_of_the_files_is_written_anew(two: None, ledger: Ledger, settings: Settings) -> None:
    before = told(settings)
    assert reconcile(ledger, settings) == []
    assert told(settings) == before, "nothing was written anew for nothing"
    for lose in (
        lambda: shutil.rmtree(settings.serving_dir),
        lambda: (settings.serving_dir / MODEL / "deployment.json").write_text("{"),
        lambda: shutil.rmtree(settings.serving_dir / MODEL / "1"),
        (settings.serving_dir / "models.config").unlink,
    ):
        lose()
        assert reconcile(ledger, settings) == [f"{MODEL}: wrote what is deployed, generation 1"]
        assert_whole(ledger, settings)


def test_a_promotion_waits_for_every_server(two: None, ledger: Ledger, settings: Settings, serve: Serve) -> None:
    serve()
    serve()
    done = deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    assert [(state.number, state.ready) for state in done.servers] == [(2, True), (2, True)]
    assert done.deployment.state == "live"


def test_a_server_that_cannot_load_it_takes_the_promotion_back(
    two: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    serve("2")
    serve()
    with pytest.raises(PromotionRefusedError, match=r"cannot load delays@2: .*delays@1 answers as before"):
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    assert aliases(ledger) == {"champion": 1}
    refused = load_version(ledger, MODEL, 2)
    assert refused.state == "refused"
    assert "cannot be loaded" in str(refused.state_why)
    assert [(row.action, row.state) for row in list_deployments(ledger, MODEL)] == [
        ("undo", "live"), ("promote", "failed"), ("promote", "live"),
    ]  # fmt: skip
    assert_whole(ledger, settings)


def test_a_server_that_does_not_follow_is_named_and_the_decision_stands(
    two: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    deaf = serve("--deaf")
    with pytest.raises(DeploymentError, match=r"delays@2 is the champion, but not every server.*\(1\)"):
        deploy.promote(ledger, settings, MODEL, 2, "anna", "better", wait=0.3)
    assert aliases(ledger) == {"champion": 2, "previous": 1}
    assert list_deployments(ledger, MODEL)[0].state == "pending"
    assert "not every server" in reconcile(ledger, settings)[0]
    deaf.kill()
    deaf.wait()
    serve()
    assert reconcile(ledger, settings) == [f"{MODEL}: every server answers with version 2"]
    assert list_deployments(ledger, MODEL)[0].state == "live"


def test_a_rollback_is_over_when_servers_answer_with_the_old_version(
    two: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    serve()
    deploy.promote(ledger, settings, MODEL, 2, "anna", "better")
    done = deploy.rollback(ledger, settings, MODEL, "anna", "wrong")
    assert [(state.number, state.ready) for state in done.servers] == [(1, True)]


def test_a_server_that_was_killed_is_not_waited_for(
    two: None, ledger: Ledger, settings: Settings, serve: Serve
) -> None:
    process = serve()
    assert len(list_servers(settings)) == 1
    process.kill()
    process.wait()
    assert list_servers(settings) == []
    ServerRecord("http://127.0.0.1:1", 1, "another machine", "2026", time.time() - 60).write(settings.serving_dir)
    ServerRecord("http://127.0.0.1:1", 1, "a third", "2026", time.time(), ("other",)).write(settings.serving_dir)
    (settings.serving_dir / "servers" / "half.json").write_text("{")
    assert [record.host for record in list_servers(settings)] == ["a third"]
    assert list_servers(settings, MODEL) == []
    assert deploy.promote(ledger, settings, MODEL, 2, "anna", "better").deployment.state == "live"
