"""Models as pages: who may see them, what they show, and names that mean harm."""

from collections.abc import Callable

import pytest
from model_book import METRICS, MODEL, register
from starlette.testclient import TestClient

from headrace.ledger.database import Ledger
from headrace.registry import deploy
from headrace.settings import load_settings

Browser = Callable[[str], TestClient]


@pytest.fixture
def three(ledger: Ledger) -> None:
    """Three versions; the second answers after the first."""
    settings = load_settings()
    for number, auc in ((1, 0.70), (2, 0.72), (3, 0.75)):
        metrics = {**METRICS, "overall": {"auc": auc, "example_count": 1000.0}}
        register(ledger, settings, number, ["2013-01", "2013-02", "2013-03"][:number], metrics=metrics)
    deploy.promote(ledger, settings, MODEL, 1, "anna", "the first")
    deploy.promote(ledger, settings, MODEL, 2, "anna", "<b>better</b>")


def test_the_list_says_which_version_answers(three: None, browser: Browser) -> None:
    page = browser("viewer").get("/headrace/models").text
    assert f'<a href="/headrace/models/{MODEL}"><b>{MODEL}</b></a>' in page
    assert "@2" in page
    assert "2 partitions" in page


def test_a_model_shows_its_versions_chart_and_decisions(three: None, browser: Browser) -> None:
    page = browser("viewer").get(f"/headrace/models/{MODEL}").text
    assert "version 2 answers" in page
    assert page.count('class="metric m0"') == 1
    assert "all of version 3: 0.75" in page
    assert "origin EWR of version 1: 0.69" in page
    assert "&lt;b&gt;better&lt;/b&gt;" in page
    assert "<b>better</b>" not in page
    assert 'data-open="rollback"' not in page, "a viewer decides nothing"


def test_who_may_act_is_offered_what_can_be_done(three: None, browser: Browser) -> None:
    page = browser("op").get(f"/headrace/models/{MODEL}").text
    assert 'data-open="rollback"' in page
    assert "Version 1, trained on 2013-01, answers again." in page
    assert 'data-open="promote-3"' in page
    assert 'data-open="promote-2"' not in page, "it answers already"
    assert 'name="expected_champion" data-number value="2"' in page


def test_what_is_blocked_can_be_unblocked(three: None, browser: Browser, ledger: Ledger) -> None:
    deploy.rollback(ledger, load_settings(), MODEL, "anna", "wrong")
    page = browser("op").get(f"/headrace/models/{MODEL}").text
    assert "version 1 answers" in page
    assert 'data-open="unblock-2"' in page
    assert 'data-open="rollback"' not in page, "there is nothing to go back to"


def test_two_versions_side_by_side(three: None, browser: Browser) -> None:
    page = browser("viewer").get(f"/headrace/models/{MODEL}/compare?a=2&b=3").text
    assert "+0.03" in page
    assert "data, only @3" in page
    assert "features@2013-03" in page


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nope", 404), (f"{MODEL}/compare?a=1&b=9", 404), (f"{MODEL}/compare?a=x&b=1", 422), (f"{MODEL}/compare", 422),
        ("%3Cscript%3E", 404), (f"{MODEL}?metric=%3Cscript%3E", 200),
    ],
)  # fmt: skip
def test_what_is_not_there(three: None, browser: Browser, path: str, code: int) -> None:
    answer = browser("viewer").get(f"/headrace/models/{path}")
    assert answer.status_code == code
    assert "<script>" not in answer.text


def test_before_any_model_was_pushed(ledger: Ledger, browser: Browser) -> None:
    assert "No model was pushed yet" in browser("viewer").get("/headrace/models").text
