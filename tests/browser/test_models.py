"""The page of a model in a browser: its versions and chart, and rolling back by keyboard."""

from typing import Any

import pytest
from airflow_server import AirflowServer
from model_book import METRICS, register
from playwright.sync_api import expect
from windows import PHONE, Visitor

from headrace.ledger.database import open_ledger
from headrace.registry import deploy
from headrace.settings import load_settings

MODEL = "flight_delay_training"
"""Named as the DAG that pushed it: what one may do is judged by that."""


@pytest.fixture(scope="module")
def deployed(server: AirflowServer) -> None:
    """Five versions of a model; the fourth answers after the third."""
    settings = load_settings(server.home.folder / "project")
    with open_ledger(server.home.ledger_path) as ledger:
        for number in range(1, 6):
            auc = 0.68 + 0.012 * number - 0.004 * (number % 2)
            slices = [
                {"slice": {"origin": name}, "metrics": {"auc": auc + shift, "example_count": size}}
                for name, shift, size in (("EWR", 0.02, 900.0), ("JFK", -0.03, 700.0), ("LGA", -0.01, 500.0))
            ]
            metrics = {**METRICS, "overall": {"auc": auc, "example_count": 2100.0}, "slices": slices}
            keys = [f"2013-{month:02d}" for month in range(1, number + 1)]
            register(ledger, settings, number, keys, model=MODEL, dag_id=MODEL, metrics=metrics)
        for number in (3, 4):
            deploy.promote(ledger, settings, MODEL, number, "anna", f"better than {number - 1} on JFK")


def test_versions_chart_and_deployments(deployed: None, visit: Visitor, shoot: Any) -> None:
    for name, look in (("desktop", {}), ("dark", {"dark": True}), ("phone", {"size": PHONE})):
        seen = visit(**look)
        seen.page.goto(f"{seen.server.inbox}/models")
        seen.page.get_by_role("link", name=MODEL).first.click()
        expect(seen.page.get_by_role("heading", name=f"{MODEL}: version 4 answers")).to_be_visible()
        expect(seen.page.locator("svg polyline.metric")).to_have_count(4)
        shoot(seen.page, f"model_{name}")
        seen.page.get_by_role("link", name="Compare with @4").first.click()
        expect(seen.page.get_by_role("heading", name=f"{MODEL}@4 and {MODEL}@5")).to_be_visible()
        shoot(seen.page, f"compare_{name}")


def test_a_viewer_decides_nothing(deployed: None, visit: Visitor) -> None:
    seen = visit("viewer")
    seen.page.goto(f"{seen.server.inbox}/models/{MODEL}")
    expect(seen.page.get_by_role("heading", name=MODEL)).to_be_visible()
    expect(seen.page.get_by_role("button", name="Promote…")).to_have_count(0)


def test_rolled_back_by_keyboard_with_a_reason(deployed: None, visit: Visitor, shoot: Any) -> None:
    seen, stale = visit(), visit()
    for each in (seen, stale):
        each.page.goto(f"{each.server.inbox}/models/{MODEL}")
    button = seen.page.get_by_role("button", name="Roll back to @3…")
    button.focus()
    seen.page.keyboard.press("Enter")
    dialog = seen.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Version 3, trained on 2013-01, 2013-02, 2013-03, answers again.")
    shoot(seen.page, "model_rollback")
    seen.page.keyboard.type("JFK is worse")
    seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Enter")
    expect(seen.page.get_by_role("heading", name=f"{MODEL}: version 3 answers")).to_be_visible()
    expect(seen.page.locator(".toast")).to_contain_text("Rolled back. No server runs.")
    expect(seen.page.locator("#v4")).to_contain_text("Blocked")
    stale.page.get_by_role("button", name="Promote…").first.click()
    asked = stale.page.get_by_role("dialog")
    asked.get_by_label("Reason").fill("from a page of before")
    asked.get_by_role("button", name="Promote", exact=True).click()
    expect(asked.get_by_role("alert")).to_contain_text("3")
    expect(asked).to_be_visible()
