"""``headrace models`` and ``headrace rollback`` on a registry of real files."""

import getpass
import json

import pytest
from model_book import METRICS, MODEL, SIGNATURE, register

from headrace.ledger.database import open_ledger
from headrace.settings import Settings

from .conftest import Run

ME = f"{getpass.getuser()} (command line)"


@pytest.fixture
def two(project: Settings) -> None:
    """Two versions, of which none answers yet."""
    with open_ledger(project.ledger_path) as ledger:
        register(ledger, project, 1, features=["distance"], code={"p/model.py": "1"})
        better = {**METRICS, "overall": {"auc": 0.75}}
        register(
            ledger, project, 2, ["2013-01", "2013-02"], metrics=better, signature={**SIGNATURE, "more": {}},
            features=["distance", "wind_speed"], code={"p/model.py": "2"}, commit="c0ffee", dirty=True,
        )  # fmt: skip


def test_without_a_registry_that_is_said_with_what_to_do(type_in: Run) -> None:
    done = type_in("models", "list")
    assert done.returncode == 3
    assert "There is no registry" in done.stderr
    assert "headrace run" in done.stderr


def test_from_promotion_to_rollback_and_back(two: None, type_in: Run) -> None:
    for number in (1, 2):
        done = type_in("models", "promote", f"{MODEL}@{number}", "--reason", "it is better")
        assert done.returncode == 0, done.stderr
        assert f"delays@{number} answers, recorded as {ME}" in done.stdout
        assert "no server runs" in done.stdout
    back = type_in("rollback", MODEL, "--reason", "1.0 for every flight")
    assert back.returncode == 0, back.stderr
    assert "delays@1 answers again" in back.stdout
    assert "delays@2 is blocked; incident 1" in back.stdout
    refused = type_in("models", "promote", f"{MODEL}@2", "--reason", "no")
    assert refused.returncode == 1
    assert "headrace models unblock delays@2" in refused.stderr
    assert type_in("rollback", MODEL, "--reason", "again").returncode == 1
    assert type_in("models", "unblock", f"{MODEL}@2", "--reason", "the input was wrong").returncode == 0
    document = json.loads(type_in("models", "list", MODEL, "--json").stdout)
    assert [(row["number"], row["aliases"], row["state"]) for row in document["versions"]] == [
        (2, [], "candidate"), (1, ["champion"], "candidate"),
    ]  # fmt: skip
    assert [row["action"] for row in document["deployments"]] == ["unblock", "rollback", "promote", "promote"]
    listed = type_in("models", "list", MODEL)
    assert "1.0 for every flight" in " ".join(listed.stdout.split())
    incident = type_in("incidents", "show", "1")
    assert "delays@2 was rolled back to delays@1" in " ".join(incident.stdout.split())


def test_models_versions_and_what_differs_are_shown(two: None, type_in: Run) -> None:
    (model,) = json.loads(type_in("models", "list", "--json").stdout)
    assert (model["model"], model["versions"], model["aliases"]) == (MODEL, 2, {})
    assert MODEL in type_in("models", "list").stdout
    shown = type_in("models", "show", f"{MODEL}@2")
    assert shown.returncode == 0, shown.stderr
    for words in ("c0ffee with other changes", "distance, wind_speed", "auc 0.75", "2013-02"):
        assert words in shown.stdout
    compared = json.loads(type_in("models", "compare", f"{MODEL}@1", f"{MODEL}@2", "--json").stdout)
    assert compared["metrics"] == {"auc": [0.71, 0.75]}
    assert compared["features"] == {"only_first": [], "only_second": ["wind_speed"]}
    assert compared["data"]["only_second"] == ["delays.examples@2013-02", "features@2013-02"]
    assert compared["code"] == ["p/model.py"]
    assert {"digest", "signature", "commit"} <= set(compared["differ"])
    table = type_in("models", "compare", f"{MODEL}@1", f"{MODEL}@2")
    assert "+0.04" in table.stdout


def test_what_is_not_there_is_2_and_names_what_is(two: None, type_in: Run) -> None:
    for words, said in (
        (("models", "show", "nobody@1"), "there is delays"),
        (("models", "show", f"{MODEL}@9"), "its newest is 2"),
        (("models", "promote", MODEL, "--reason", "x"), "write MODEL@NUMBER"),
        (("models", "promote", f"{MODEL}@1"), "--reason"),
        (("rollback", "nobody", "--reason", "x"), "there is delays"),
    ):
        done = type_in(*words)
        assert done.returncode == 2, words
        assert said in done.stderr


def test_a_champion_that_changed_meanwhile_is_told(two: None, type_in: Run) -> None:
    first = ("models", "promote", f"{MODEL}@1", "--reason", "x", "--expect-champion", "0")
    assert type_in(*first).returncode == 0
    done = type_in("models", "promote", f"{MODEL}@2", "--reason", "x", "--expect-champion", "7")
    assert done.returncode == 1
    assert "The champion is delays@1 by now" in done.stderr


def test_what_is_lost_is_written_anew(two: None, project: Settings, type_in: Run) -> None:
    type_in("models", "challenger", f"{MODEL}@2", "--reason", "compare")
    assert type_in("models", "reconcile").stdout.strip() == "All is as the ledger says."
    (project.serving_dir / MODEL / "deployment.json").unlink()
    assert json.loads(type_in("models", "reconcile", "--json").stdout) == [
        "delays: wrote what is deployed, generation 1"
    ]


def test_a_partition_that_turned_out_bad_takes_the_model_back(two: None, type_in: Run) -> None:
    for number in (1, 2):
        type_in("models", "promote", f"{MODEL}@{number}", "--reason", "better")
    assert type_in("quarantine", "partition", "features", "--reason", "x").returncode == 2
    assert type_in("quarantine", "partition", "nothing@2013-02", "--reason", "x").returncode == 2
    done = type_in("quarantine", "partition", "features@2013-02", "--reason", "sensor broken")
    assert done.returncode == 0, done.stderr
    assert "features 2013-02 is blocked, incident 1; trained on it: delays@2" in done.stdout
    assert "delays@1 answers instead of delays@2" in done.stdout
    worse = type_in("quarantine", "partition", "features@2013-01", "--reason", "that one too", "--json")
    assert worse.returncode == 1
    document = json.loads(worse.stdout)
    assert document["versions"] == ["delays@1", "delays@2"]
    assert "delays@1 answers on" in document["still_answering"][0]
    waived = type_in("incidents", "waive", "1", "--partition", "2013-02", "--reason", "right after all")
    assert waived.returncode == 0, waived.stderr
