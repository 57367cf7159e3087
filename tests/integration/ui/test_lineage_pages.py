"""Lineage and impact as pages and over REST: what they say, to whom, and names that mean harm."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from lineage_book import TRAINING_DAG, record_checks, record_month, record_pipeline, register_on
from starlette.testclient import TestClient

from headrace.cli.impact import show_partition
from headrace.cli.lineage import show_lineage
from headrace.ledger.database import Ledger
from headrace.ledger.runs import DataVersion, LineageRun, Newest, record_runs
from headrace.ledger.views import TaskTry
from headrace.registry import deploy
from headrace.settings import load_settings

from .test_teams import SECRET, team

__all__ = ["team"]
BASE = "/headrace/api/v1"
KEYS = ["2013-01", "2013-02"]
NASTY = "raw_<script>alert(1)</script>\"'&"
Client = Callable[[str], TestClient]


@pytest.fixture
def chain(ledger: Ledger) -> int:
    """Two months, of which the second fails a check, and a version on both that answers."""
    for key in KEYS:
        record_month(ledger, key)
    incident = record_checks(ledger, "raw_weather", "2013-02", "failed")
    record_pipeline(ledger, KEYS, "train__1")
    register_on(ledger, load_settings(), 1, KEYS)
    deploy.promote(ledger, load_settings(), "flight_delay", 1, "anna", "the first")
    assert incident is not None
    return incident


@pytest.fixture
def hidden(ledger: Ledger, chain: int) -> None:
    """A DAG of another team reads the public features, makes something of them, and trains on it."""
    public, own = Newest("flight_features", "2013-02"), DataVersion("secret_scores", "2013-02", None, "model")
    record_runs(
        ledger, TaskTry(SECRET, "secret_run", "t"), "2013-02", [LineageRun("secret_job", "dbt", [public], [own])]
    )
    register_on(ledger, load_settings(), 1, ["2013-02"], "secret_scores", "secret_model", SECRET)
    after = DataVersion("public_report", "2013-02", None, "model")
    record_runs(
        ledger, TaskTry("reports", "r", "t"), "2013-02",
        [LineageRun("report", "dbt", [Newest("secret_scores", "2013-02")], [after])],
    )  # fmt: skip
    record_checks(ledger, "secret_scores", "2013-02", "failed", SECRET)


def test_rest_answers_what_the_command_prints(chain: int, bearer: Client, capsys: pytest.CaptureFixture[str]) -> None:
    for direction in ("both", "upstream", "downstream"):
        query = {"dataset": "stg_weather", "partition_key": "2013-02", "direction": direction}
        answer = bearer("viewer").get(f"{BASE}/lineage", params=query)
        up, down = direction != "downstream", direction != "upstream"
        capsys.readouterr()
        show_lineage(load_settings(), "stg_weather@2013-02", upstream=up, downstream=down, columns=False, as_json=True)
        assert normalise(answer.json()) == normalise(json.loads(capsys.readouterr().out))
    answer = bearer("viewer").get(f"{BASE}/impact", params={"dataset": "raw_weather", "partition_key": "2013-02"})
    capsys.readouterr()
    show_partition(load_settings(), "raw_weather@2013-02", True)
    assert normalise(answer.json()) == normalise(json.loads(capsys.readouterr().out))
    assert [each["name"] for each in answer.json()["models"] if each["serving"]] == ["flight_delay@1"]
    assert [each["id"] for each in answer.json()["incidents"]] == [chain]


def normalise(document: Any) -> Any:
    """Times are written with Z by one and with +00:00 by the other."""
    return json.loads(json.dumps(document).replace("+00:00", "Z"))


def test_the_page_shows_the_graph_and_the_same_as_a_table(chain: int, browser: Client) -> None:
    page = browser("viewer").get("/headrace/lineage?dataset=stg_weather&partition_key=2013-02").text
    assert page.count('class="node') == 7
    for said in (
        "flight_delay@1", "/headrace/models/flight_delay#v1", "Champion", "blocked", f"/headrace/incidents/{chain}",
        "/dags/flights_dataops/runs/manual__2013-02", "by stg_weather", "artifact 12",
        "/headrace/lineage?dataset=flight_features&amp;partition_key=2013-02",
    ):  # fmt: skip
        assert said in page, said
    up = browser("viewer").get("/headrace/lineage?dataset=stg_weather&partition_key=2013-02&direction=upstream").text
    assert up.count('class="node') == 3
    assert "flight_features" not in up.partition("</form>")[2]


def test_the_picker_lists_what_was_recorded(chain: int, browser: Client) -> None:
    page = browser("viewer").get("/headrace/lineage").text
    assert '<option value="raw_weather">' in page
    assert 'href="/headrace/lineage?dataset=raw_weather"' in page


def test_before_anything_was_recorded(ledger: Ledger, browser: Client) -> None:
    assert "No lineage was recorded yet" in browser("viewer").get("/headrace/lineage").text


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("lineage?dataset=raw_wether", 404, "raw_weather"), ("lineage?dataset=raw_weather&partition_key=9", 404, "@9"),
        ("impact?dataset=nothing", 404, "nothing"), ("lineage", 422, "dataset"), ("impact", 422, "dataset"),
        ("lineage?dataset=", 422, "dataset"), ("lineage?dataset=a&direction=sideways", 422, "direction"),
        ("lineage?dataset=a%00b", 422, "NUL"), (f"impact?dataset={'x' * 501}", 422, "500"),
        (f"impact?dataset=a&partition_key={'x' * 101}", 422, "100"),
    ],
)  # fmt: skip
def test_what_is_not_there_and_what_is_not_valid(chain: int, bearer: Client, path: str, code: int, said: str) -> None:
    answer = bearer("viewer").get(f"{BASE}/{path}")
    assert answer.status_code == code
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "code"),
    [("dataset=nope", 404), ("dataset=a&direction=x", 422), ("dataset=%3Cscript%3E", 404), ("dataset=a%00", 422)],
)
def test_a_page_says_so_too(chain: int, browser: Client, query: str, code: int) -> None:
    answer = browser("viewer").get(f"/headrace/lineage?{query}")
    assert answer.status_code == code
    assert "<script>" not in answer.text


def test_what_a_hidden_dag_made_is_nowhere_named(hidden: None, chain: int, bearer: Client, browser: Client) -> None:
    asked = "dataset=stg_weather&partition_key=2013-02"
    addresses = [
        f"/headrace/lineage?{asked}", f"{BASE}/lineage?{asked}", f"{BASE}/impact?{asked}", "/headrace/lineage",
        "/headrace/lineage?dataset=public_report", f"{BASE}/lineage?dataset=public_report",
        f"{BASE}/impact?dataset=raw_weather&partition_key=2013-02", f"/headrace/incidents/{chain}",
    ]  # fmt: skip
    seen = {role: "".join(browser(role).get(each).text for each in addresses) for role in ("admin", "viewer")}
    for secret in ("secret_scores", "secret_model", "secret_run", "secret_job", SECRET):
        assert secret in seen["admin"], secret
        assert secret not in seen["viewer"], secret
    document = bearer("viewer").get(f"{BASE}/lineage?{asked}").json()
    names = {each["id"]: each["dataset"] for each in document["versions"]}
    untold = [(names[each["from"]], names[each["to"]]) for each in document["edges"] if each["run"] is None]
    assert untold == [("flight_features", "public_report")]
    assert "not yours to read" in browser("viewer").get(f"/headrace/lineage?{asked}").text


def test_a_hidden_dataset_is_answered_as_one_that_is_not_there(hidden: None, bearer: Client, browser: Client) -> None:
    for path in (f"{BASE}/lineage", f"{BASE}/impact", "/headrace/lineage"):
        assert browser("admin").get(f"{path}?dataset=secret_scores").status_code == 200
        there, not_there = (
            browser("viewer").get(f"{path}?dataset={name}") for name in ("secret_scores", "secret_scorez")
        )
        assert (there.status_code, not_there.status_code) == (404, 404)
        assert there.text == not_there.text.replace("secret_scorez", "secret_scores")
        wrong_key = browser("viewer").get(f"{path}?dataset=secret_scores&partition_key=1999")
        assert "2013-02" not in wrong_key.text


def test_a_model_that_a_hidden_dag_pushes_too_is_left_out(
    chain: int, ledger: Ledger, bearer: Client, browser: Client
) -> None:
    """Its page is not there either: see test_teams."""
    register_on(ledger, load_settings(), 2, ["2013-01"], dag_id=SECRET)
    for path in (f"{BASE}/impact", f"{BASE}/lineage", "/headrace/lineage"):
        asked = f"{path}?dataset=flight_features&partition_key=2013-02"
        assert "flight_delay@1" in browser("admin").get(asked).text
        assert "flight_delay@1" not in browser("viewer").get(asked).text
    assert "flight_delay@1" not in browser("viewer").get(f"/headrace/incidents/{chain}").text


def test_who_may_read_no_dag_sees_nothing(ledger: Ledger, bearer: Client, browser: Client) -> None:
    record_month(ledger, "2013-01", dag_id=SECRET)
    assert "raw_weather" in browser("admin").get("/headrace/lineage").text
    page = browser("viewer").get("/headrace/lineage").text
    assert "No lineage was recorded yet" in page
    assert "weather.csv" not in page
    assert bearer("viewer").get(f"{BASE}/lineage?dataset=raw_weather").status_code == 404


def test_hostile_names(ledger: Ledger, browser: Client, bearer: Client) -> None:
    task = TaskTry("flights", f"<i>{NASTY}", "t")
    made = [DataVersion(NASTY, "<b>2013", None, "<u>kind"), DataVersion("after", "", None, "model")]
    record_runs(
        ledger, task, "<b>2013",
        [LineageRun(NASTY, "dbt", [], made[:1]), LineageRun(f"m.{NASTY}", "dbt", [Newest(NASTY, "<b>2013")], made[1:])],
    )  # fmt: skip
    for params in ({"dataset": NASTY}, {"dataset": "after"}, {}):
        page = browser("viewer").get("/headrace/lineage", params=params)
        assert page.status_code == 200
        assert "&lt;script&gt;" in page.text
        for bad in ("<script>alert", "<b>2013", "<u>kind", "<i>raw"):
            assert bad not in page.text, bad
    assert bearer("viewer").get(f"{BASE}/lineage", params={"dataset": NASTY}).json()["dataset"] == NASTY


def test_a_ring_that_bad_metadata_claims_is_shown(ledger: Ledger, browser: Client) -> None:
    def made(name: str) -> DataVersion:
        return DataVersion(name, "", "f", "model")

    for number, (up, down) in enumerate((("a", "b"), ("b", "c"), ("c", "a"))):
        run = LineageRun(f"j{number}", "dbt", [made(up)], [made(down)])
        record_runs(ledger, TaskTry("flights", f"r{number}", "t"), None, [run])
    page = browser("viewer").get("/headrace/lineage?dataset=a")
    assert page.status_code == 200
    assert page.text.count('class="node') == 3


def test_an_incident_says_what_impact_says(chain: int, browser: Client, bearer: Client) -> None:
    page = browser("viewer").get(f"/headrace/incidents/{chain}").text
    blast = page[page.index('id="blast-h"') :]
    assert "Answering now, trained on it" in blast
    assert '<a href="/headrace/models/flight_delay#v1"><b>flight_delay@1</b></a>' in blast
    assert "Lineage of 2013-02" in blast
    impact = bearer("viewer").get(f"{BASE}/impact?dataset=raw_weather&partition_key=2013-02").json()
    assert {each["dag_id"] for each in impact["dag_runs"]} == {"flights_dataops", TRAINING_DAG}
    for each in impact["dag_runs"]:
        assert f"/dags/{each['dag_id']}/runs/{each['run_id']}" in blast


def test_other_incidents_of_what_is_made_of_it(chain: int, ledger: Ledger, browser: Client) -> None:
    from headrace.contracts.lineage import Dataset, Lineage
    from headrace.ledger.lineage import sync_lineage

    datasets = tuple(Dataset(name=name, kind="model") for name in ("raw_weather", "stg_weather"))
    sync_lineage(ledger, Lineage("test", "1", datasets, (("raw_weather", "stg_weather"),)))
    other = record_checks(ledger, "stg_weather", "2013-02", "failed")
    elsewhere = record_checks(ledger, "stg_weather", "2013-01", "failed", "flights_other")
    page = browser("viewer").get(f"/headrace/incidents/{chain}").text
    assert f'href="/headrace/incidents/{other}"' in page[page.index('id="blast-h"') :]
    assert elsewhere == other or f'href="/headrace/incidents/{elsewhere}"' not in page


def test_a_model_leads_to_the_lineage_of_what_it_was_trained_on(chain: int, browser: Client) -> None:
    page = browser("viewer").get("/headrace/models/flight_delay").text
    for key in KEYS:
        address = f"/headrace/lineage?dataset=flight_features.published&amp;partition_key={key}&amp;direction=upstream"
        assert f'href="{address}"' in page
        assert browser("viewer").get(address.replace("&amp;", "&")).status_code == 200
