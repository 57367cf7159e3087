"""The inbox inside Airflow's own UI, its theme, its tabs, a path prefix, and a ledger that is away."""

import re
from collections.abc import Callable

from airflow_server import AirflowServer
from playwright.sync_api import Page, expect
from windows import Visitor

Shoot = Callable[[Page, str], None]
PEAK = "the greatest wind_speed is 1,048.36 mph"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
DARK, LIGHT = "rgb(14, 16, 20)", "rgb(246, 247, 249)"


def test_it_is_in_airflows_navigation_and_links_lead_out_of_the_frame(visit: Visitor, shoot: Shoot) -> None:
    page = visit().go("/plugin/data-quality")
    frame = page.frame_locator("iframe")
    frame.locator("#list > li").first.wait_for(timeout=90_000)
    frame.get_by_role("link", name=PEAK).click()
    expect(frame.locator("h1")).to_contain_text(PEAK)
    expect(page).to_have_url(re.compile(r"/plugin/data-quality/headrace/incidents/\d+"))
    shoot(page, "in-airflow")
    frame.get_by_role("link", name="DAG run").click()
    page.wait_for_url("**/dags/flights_dataops/runs/manual__2013-02*")


def test_a_new_tab_opens_from_within_the_frame(visit: Visitor) -> None:
    window = visit()
    page = window.go("/plugin/data-quality")
    link = page.frame_locator("iframe").get_by_role("link", name=PEAK)
    link.wait_for(timeout=90_000)
    with window.context.expect_page() as opened:
        link.click(modifiers=["Control"])
    expect(opened.value.locator("h1")).to_contain_text(PEAK)


def test_airflows_own_theme_is_followed_while_it_changes(visit: Visitor) -> None:
    window = visit(dark=False)
    page = window.go("/headrace/incidents")
    assert page.evaluate(BACKGROUND) == LIGHT, "the system's, where Airflow has none"
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    assert page.evaluate(BACKGROUND) == DARK
    other = window.context.new_page()
    other.goto(page.url)
    other.evaluate("localStorage.setItem('theme', 'light')")
    page.wait_for_function(f"{BACKGROUND} === '{LIGHT}'")


def test_the_systems_dark_scheme_is_taken(visit: Visitor) -> None:
    page = visit(dark=True).go("/headrace/incidents")
    assert page.evaluate(BACKGROUND) == DARK


def test_a_runs_checks_are_listed_failed_first(visit: Visitor, shoot: Shoot) -> None:
    page = visit().go("/headrace/runs?dag_id=flights_dataops&run_id=manual__2013-02")
    first = page.locator("section").first
    expect(first.get_by_role("heading")).to_have_text("check_raw_weather")
    states = first.locator("tbody tr .pill").all_inner_texts()
    assert states == ["Failed", "Failed", "Passed"]
    expect(page.locator(".facts")).to_contain_text("raw_weather 2013-02 Blocked")
    shoot(page, "run")
    page.goto(page.url.replace("manual__2013-02", "none"))
    expect(page.locator(".empty")).to_contain_text("This run has recorded no check")


def test_a_task_whose_map_index_airflow_did_not_fill_in(visit: Visitor) -> None:
    task = "dag_id=flights_dataops&run_id=manual__2013-02&task_id=dbt.stg_weather"
    page = visit().go(f"/headrace/tasks?{task}&map_index=%7BMAP_INDEX%7D")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.goto(page.url.replace("%7BMAP_INDEX%7D", "3"))
    expect(page.locator(".empty")).to_contain_text("No check was recorded")


def test_a_dags_partitions_with_the_history_of_one(visit: Visitor, shoot: Shoot) -> None:
    page = visit().go("/headrace/dags/flights_dataops")
    heads = page.locator("thead th").all_inner_texts()
    months = [head for head in heads if head.startswith("2013")]
    assert months == sorted(months, reverse=True)
    page.locator("tr", has_text="raw_weather").get_by_role("link", name="Blocked").click()
    expect(page.locator("#history")).to_contain_text("raw_weather, 2013-02")
    expect(page.locator("#history")).to_contain_text(PEAK)
    shoot(page, "dag")


def test_the_tabs_are_opened_by_clicking_through_airflow(visit: Visitor, server: AirflowServer) -> None:
    """DAG, run and task are Airflow's own, from its database: the tabs are filled with what was recorded of them."""
    body = {"dag_run_id": "manual__2013-02", "logical_date": None}
    status, answer = server.ask("POST", "/api/v2/dags/flights_dataops/dagRuns", body, server.log_in("admin"))
    assert status == 200, answer
    page = visit().go("/dags")
    frame = page.frame_locator("iframe")
    page.locator('a[href$="/dags/flights_dataops"]').first.click()
    page.locator('a[href*="/dags/flights_dataops/plugin/"]').first.click()
    expect(frame.locator("thead")).to_contain_text("2013-02")
    page.locator('a[href*="/dags/flights_dataops/runs/manual__2013-02"]').first.click()
    page.locator('a[href*="/runs/manual__2013-02/plugin/"]').first.click()
    expect(frame.locator("section").first.get_by_role("heading")).to_have_text("check_raw_weather")
    page.locator('a[href*="/runs/manual__2013-02/tasks/check_raw_weather"]').first.click()
    page.locator('a[href*="/tasks/check_raw_weather/plugin/"]').first.click()
    expect(frame.locator("tbody tr")).to_have_count(3)


def test_under_a_path_prefix(visit: Visitor, prefixed: AirflowServer) -> None:
    window = visit(at=prefixed)
    page = window.go("/headrace/incidents")
    assert page.evaluate("getComputedStyle(document.querySelector('.page')).maxWidth") == "1360px", "the style is found"
    page.get_by_role("link", name=PEAK).click()
    assert "/team/quality/headrace/incidents/" in page.url
    page.get_by_placeholder("Add a comment").fill("from under a prefix")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator(".timeline blockquote").first).to_have_text("from under a prefix")
    log = page.get_by_role("link", name="Task log").get_attribute("href")
    assert log is not None
    assert log.startswith("/team/quality/dags/flights_dataops/runs/manual__2013-02/tasks/check_raw_weather")
    window.go("/plugin/data-quality")
    frame = page.frame_locator("iframe")
    frame.locator("#list > li").first.wait_for(timeout=90_000)


def test_a_ledger_that_is_away_says_so_and_what_to_do(visit: Visitor, server: AirflowServer) -> None:
    path = server.home.ledger_path
    window = visit()
    page = window.go("/headrace/incidents")
    path.parent.rename(path.parent.with_name("ledger-aside"))
    path.parent.touch()
    try:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#stale")).to_contain_text("may be out of date")
        page.reload()
        expect(page.locator("main")).to_contain_text("The ledger cannot be read")
        expect(page.locator("main")).to_contain_text("headrace doctor")
    finally:
        path.parent.unlink()
        path.parent.with_name("ledger-aside").rename(path.parent)
    # The page tries again by itself; the server answers a failure for two seconds as it was.
    expect(page.locator("#list > li").first).to_be_visible(timeout=90_000)
