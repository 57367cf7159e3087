"""The lineage page in a browser: zoom, search, keys, the panel and where it leads."""

import re
from collections.abc import Callable

import pytest
from airflow_server import AirflowServer
from lineage_book import record_checks, record_month, record_pipeline, register_on
from playwright.sync_api import Page, expect
from windows import PHONE, Visitor

from headrace.ledger.database import open_ledger
from headrace.registry import deploy
from headrace.settings import load_settings

Shoot = Callable[[Page, str], None]
KEYS = [f"2013-{month:02d}" for month in range(1, 5)]
OWN, MANY = "air_", "many_"
"""Datasets of these tests: others count what hangs on the seeded ones."""


@pytest.fixture(scope="module")
def recorded(server: AirflowServer) -> int:
    """Four months, of which February fails a check; two versions of a model; and 40 months elsewhere."""
    settings = load_settings(server.home.folder / "project")
    with open_ledger(server.home.ledger_path) as ledger:
        record_month(ledger, "2013-02")  # of the raw weather of which the seed set a row aside
        for key in KEYS:
            record_month(ledger, key, OWN)
            for name in ("raw_flights", "stg_flights", "flight_features"):
                record_checks(ledger, f"{OWN}{name}", key, "passed")
        incident = record_checks(ledger, f"{OWN}stg_weather", "2013-02", "failed")
        record_checks(ledger, f"{OWN}flight_features", "2013-03", "warned")
        record_pipeline(ledger, KEYS, "train__2", OWN)
        for number, keys in ((1, KEYS[:1]), (2, KEYS)):
            register_on(ledger, settings, number, keys, f"{OWN}flight_features.published")
        deploy.promote(ledger, settings, "flight_delay", 2, "anna", "better")
        months = [f"{year}-{month:02d}" for year in range(2010, 2014) for month in range(1, 11)]
        for key in months:
            record_month(ledger, key, MANY, "many_chain")
        record_pipeline(ledger, months, "train__many", MANY)
    assert incident is not None
    return incident


def zoom_of(page: Page) -> float:
    """Return how many units of the drawing are in sight from left to right."""
    return float(page.locator("svg.lineage").get_attribute("viewBox").split()[2])  # type: ignore[union-attr]


def open_lineage(visit: Visitor, dataset: str = "air_stg_weather", key: str = "2013-02", **look: object) -> Page:
    seen = visit(**look)
    seen.page.goto(f"{seen.server.inbox}/lineage?dataset={dataset}&partition_key={key}")
    expect(seen.page.locator(".view.live svg.lineage")).to_be_visible()
    return seen.page


def test_a_graph_on_a_desk_in_the_dark_and_on_a_phone(recorded: int, visit: Visitor, shoot: Shoot) -> None:
    for name, look in (("desktop", {}), ("dark", {"dark": True}), ("phone", {"size": PHONE})):
        page = open_lineage(visit, **look)
        expect(page.locator("svg.lineage .focus")).to_contain_text("air_stg_weather")
        expect(page.locator("svg.lineage .focus text.verdict")).to_have_text("blocked")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"
        shoot(page, f"lineage_{name}")
        page.locator("svg.lineage .focus").click()
        expect(page.locator("#panel")).to_contain_text(f"#{recorded}")
        shoot(page, f"lineage_{name}_panel")
        page.locator("#rows").scroll_into_view_if_needed()
        page.locator("#table-h").evaluate("each => each.scrollIntoView()")
        shoot(page, f"lineage_{name}_table")


def test_many_are_folded_and_the_picker_leads_to_one(recorded: int, visit: Visitor, shoot: Shoot) -> None:
    page = visit().go("/headrace/incidents")
    page.get_by_role("link", name="Lineage", exact=True).click()
    expect(page.get_by_role("heading", name="datasets with recorded lineage")).to_be_visible()
    shoot(page, "lineage_picker")
    page.get_by_role("combobox", name="Dataset").fill(f"{MANY}flight_features")
    page.keyboard.press("Enter")
    expect(page.locator("#lineage")).to_contain_text("by dataset and kind")
    folded = page.locator("svg.lineage a.node", has_text="40 versions")
    expect(folded).to_have_count(8)
    shoot(page, "lineage_folded")
    page.locator("svg.lineage a.node", has_text=f"{MANY}stg_weather").click()
    page.locator("#panel").get_by_role("link", name="Lineage of the newest").click()
    page.wait_for_url(re.compile(f"dataset={MANY}stg_weather&partition_key=2013-10"))
    expect(page.locator("svg.lineage .focus")).to_contain_text("2013-10")


def test_all_partitions_of_a_chain(recorded: int, visit: Visitor, shoot: Shoot) -> None:
    page = open_lineage(visit, f"{OWN}flight_delay.model", "")
    expect(page.locator("svg.lineage a.node")).to_have_count(4 * 8 + 2)
    shoot(page, "lineage_wide")
    page.get_by_role("button", name="Whole").click()
    shoot(page, "lineage_whole")


def test_wheel_drag_and_buttons_zoom(recorded: int, visit: Visitor) -> None:
    page = open_lineage(visit)
    before = zoom_of(page)
    page.get_by_role("button", name="Zoom in").click()
    assert zoom_of(page) == pytest.approx(before / 1.3, rel=0.01)
    page.get_by_role("button", name="Zoom out").click()
    box = page.locator("#view").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 40
    page.mouse.move(x, y)
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"document.querySelector('svg.lineage').viewBox.baseVal.width < {before * 0.9}")
    at = page.locator("svg.lineage").get_attribute("viewBox")
    page.mouse.down()
    page.mouse.move(x - 150, y, steps=4)
    page.mouse.up()
    assert page.locator("svg.lineage").get_attribute("viewBox") != at
    expect(page.locator("#panel")).to_be_hidden()  # a drag is no click
    page.keyboard.press("0")
    width = page.locator("svg.lineage").evaluate("each => each.viewBox.baseVal.width")
    assert width >= 7 * 236, "all of it is in sight"


def test_two_fingers_zoom(recorded: int, visit: Visitor) -> None:
    page = open_lineage(visit)
    before = zoom_of(page)
    page.evaluate(
        """() => {
          const view = document.getElementById("view"), area = view.getBoundingClientRect();
          const touch = (name, pointerId, x) => view.dispatchEvent(new PointerEvent(name, { pointerId,
            pointerType: "touch", clientX: area.x + x, clientY: area.y + 100, bubbles: true, cancelable: true }));
          view.setPointerCapture = () => {};
          touch("pointerdown", 1, 300); touch("pointerdown", 2, 400);
          touch("pointermove", 2, 500); touch("pointerup", 1, 300); touch("pointerup", 2, 500);
        }"""
    )
    assert zoom_of(page) == pytest.approx(before / 2, rel=0.02)


def test_search_dims_the_rest_and_enter_centres(recorded: int, visit: Visitor, shoot: Shoot) -> None:
    page = open_lineage(visit, f"{OWN}flight_delay.model", "")
    page.locator("body").press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("raw_weather 2013-0")
    expect(page.locator("#hits")).to_have_text("4 of 34")
    expect(page.locator("svg.lineage a.node.dim")).to_have_count(30)
    page.keyboard.press("Enter")
    expect(page.locator("#hits")).to_have_text("1 of 4")
    hit, stage = page.locator("svg.lineage a.node.hit .box").bounding_box(), page.locator("#view").bounding_box()
    assert hit is not None
    assert stage is not None
    assert hit["x"] + hit["width"] / 2 == pytest.approx(stage["x"] + stage["width"] / 2, abs=3)
    shoot(page, "lineage_search")
    page.keyboard.press("Escape")
    expect(page.locator("svg.lineage .dim")).to_have_count(0)


def test_keys_follow_the_edges(recorded: int, visit: Visitor) -> None:
    page = open_lineage(visit, f"{OWN}raw_weather", "2013-02")
    page.locator("svg.lineage .focus").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("svg.lineage a.node:focus")).to_contain_text("air_stg_weather")
    page.keyboard.press("ArrowRight")
    expect(page.locator("svg.lineage a.node:focus")).to_contain_text("air_flight_features")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#panel-h")).to_have_text("air_stg_weather 2013-02")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("svg.lineage a.node:focus")).to_contain_text("air_stg_weather")
    page.keyboard.press("Tab")
    expect(page.locator("svg.lineage a.node:focus")).to_contain_text("air_flight_features")


def test_the_panel_leads_to_run_incident_quarantine_and_model(recorded: int, visit: Visitor, shoot: Shoot) -> None:
    page = open_lineage(visit)
    page.locator("svg.lineage a.node", has_text="air_stg_weather").click()
    panel = page.locator("#panel")
    run = panel.get_by_role("link", name="stg_weather", exact=True)
    expect(run).to_have_attribute("href", re.compile(r"/dags/flights_dataops/runs/manual__2013-02$"))
    panel.get_by_role("link", name=f"#{recorded}").click()
    page.wait_for_url(f"**/incidents/{recorded}")
    blast = page.locator("section", has=page.get_by_role("heading", name="Blast radius"))
    expect(blast).to_contain_text("flight_delay@2 answers now")
    expect(blast).to_contain_text("flight_delay_training · ")
    blast.evaluate("each => each.scrollIntoView()")
    shoot(page, "lineage_incident")
    blast.get_by_role("link", name="Lineage of 2013-02").click()
    page.wait_for_url("**/lineage?dataset=air_stg_weather&partition_key=2013-02&direction=downstream")
    page.locator("svg.lineage a.node", has_text="air_flight_features.published").click()
    page.locator("#panel").get_by_role("link", name="flight_delay@2").click()
    page.wait_for_url("**/models/flight_delay#v2")
    page.locator("#v2 summary").click()
    page.locator("#v2 li a").first.click()
    page.wait_for_url("**/lineage?dataset=air_flight_features.published&partition_key=2013-01&direction=upstream")
    raw = visit().go("/headrace/lineage?dataset=raw_weather&partition_key=2013-02")
    raw.locator("svg.lineage .focus").click()
    raw.locator("#panel").get_by_role("link", name="1 row set aside").click()
    raw.wait_for_url(re.compile(r"/quarantine/\d+$"))


def test_without_a_script_the_graph_and_its_links_are_there(recorded: int, visit: Visitor, shoot: Shoot) -> None:
    seen = visit()
    context = seen.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(seen.context.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{seen.server.inbox}/lineage?dataset=air_stg_weather&partition_key=2013-02")
    shoot(page, "lineage_no_script")
    expect(page.locator("#tools")).to_be_hidden()
    page.locator("svg.lineage a.node", has_text="air_stg_weather").click()
    assert re.search(r"#row-v\d+$", page.url)
    expect(page.locator("tr:target")).to_contain_text("air_stg_weather")
    expect(page.locator("tr:target").get_by_role("link", name="stg_weather", exact=True)).to_be_visible()
    context.close()
