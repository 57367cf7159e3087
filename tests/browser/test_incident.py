"""The page of one incident: what is shown, and that what is decided there is kept."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect
from windows import PHONE, Own, Visitor

Shoot = Callable[[Page, str], None]
WIND = "1 of 2,010 rows has wind_speed above 200 mph (1,048.36 at EWR, 12 Feb 08:00Z)"
PEAK = "the greatest wind_speed is 1,048.36 mph"


def test_the_1048_mph_row_is_shown_with_its_cell_marked(visit: Visitor) -> None:
    page = visit().open(WIND)
    table = page.locator("section", has=page.get_by_role("heading", name="Failing rows"))
    expect(table.locator("td.hit")).to_have_text(re.compile(r"^1048\.36\d+$"))
    expect(table.locator("th.hit")).to_have_text(["wind_speed"])
    expect(table.locator("td.null").first).to_have_text("null")
    expect(page.locator("main")).to_contain_text("1 row of 2,010")
    expect(page.get_by_role("link", name="Runbook")).to_have_attribute("href", "https://example.com/runbooks/weather")
    quarantine = page.locator("[data-quarantine]")
    expect(quarantine.get_by_role("button", name="Release selected")).to_be_disabled()
    quarantine.get_by_role("checkbox").check()
    expect(quarantine.get_by_role("button", name="Release selected")).to_be_enabled()


def test_the_chart_the_graph_and_the_reach_are_drawn(visit: Visitor, shoot: Shoot) -> None:
    page = visit().open(PEAK)
    chart = page.locator("svg.series")
    expect(chart.locator(".point.failed")).to_have_count(1)
    expect(chart.locator(".value")).to_have_text("1,048.36 mph")
    expect(chart.locator("desc")).to_contain_text("logarithmic")
    expect(page.locator(".observed dd")).to_have_text("1,048.36 mph")
    expect(page.locator("#consequences .row")).to_have_count(2)
    graph = page.locator("svg.graph")
    expect(graph.locator(".focus title")).to_contain_text("raw_weather (source): Blocked")
    expect(page.locator("main")).to_contain_text("6 datasets downstream")
    shoot(page, "inbox-incident")
    graph.locator("a", has_text="stg_weather").click()
    page.wait_for_url(re.compile(r"/incidents"))
    expect(page.locator("body")).to_contain_text("stg_weather")


def test_distributions_stand_side_by_side(visit: Visitor) -> None:
    page = visit().open("carrier drifted")
    first = page.locator(".feature").first
    expect(first).to_contain_text("carrier")
    expect(first).to_contain_text("moved 35 %")
    expect(first.locator("figcaption")).to_have_text(["Baseline", "Current"])
    expect(first.locator("svg .bar.current")).to_have_count(5)


def test_acknowledging_is_kept_and_the_timeline_says_who(visit: Visitor, own: Own) -> None:
    dataset = own()
    page = visit().open(dataset)
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    page.get_by_label("Comment optional").fill("asked the <crew> team")
    page.locator("dialog#acknowledge").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".toast")).to_contain_text("Acknowledged")
    expect(page.locator(".facts .pill")).to_have_text("Acknowledged")
    expect(page.locator(".timeline li").first).to_contain_text("admin acknowledged it")
    expect(page.locator(".timeline blockquote").first).to_have_text("asked the <crew> team")
    page.get_by_role("button", name="Assign to me").click()
    expect(page.locator(".facts")).to_contain_text("Assigned to admin")
    page.get_by_placeholder("Add a comment").fill("they load it by hand today")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator(".timeline li").first).to_contain_text("admin commented")
    page.goto(page.url.rsplit("/", 1)[0] + f"?assignee=me&dataset={dataset}")
    expect(page.locator("#list .sentence")).to_have_count(1)


def test_snoozing_ending_it_resolving_and_opening_again(visit: Visitor, own: Own) -> None:
    page = visit().open(own())
    page.get_by_role("button", name="Snooze…").click()
    page.get_by_role("button", name="1 week").click()
    page.locator("dialog#snooze").get_by_role("button", name="Snooze").click()
    expect(page.locator(".facts .pill")).to_have_text("Snoozed")
    page.get_by_role("button", name="End snooze").click()
    expect(page.locator(".toast")).to_contain_text("Snooze ended")  # the page is loaded again, with its keys
    expect(page.locator(".facts .pill")).to_have_text("Open")
    page.keyboard.press("r")
    dialog = page.locator("dialog#resolve")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog, "a reason is asked for").to_be_visible()
    dialog.get_by_label("Reason").fill("the duplicate is known")
    dialog.get_by_role("button", name="Resolve").click()
    expect(page.locator(".facts")).to_contain_text("resolved by hand")
    expect(page.locator(".facts")).to_contain_text("by admin: the duplicate is known")
    page.get_by_role("button", name="Open again").click()
    page.locator("dialog#reopen").get_by_label("Reason").fill("it is not")
    page.locator("dialog#reopen").get_by_role("button", name="Open again").click()
    expect(page.locator(".facts .pill")).to_have_text("Open")


def test_waiving_says_what_runs_again_and_what_came_of_it(visit: Visitor, own: Own) -> None:
    dataset = own(months=("2013-06", "2013-07"))
    page = visit().open(dataset)
    page.get_by_role("button", name="Waive…").click()
    dialog = page.locator("dialog#waive")
    expect(dialog).to_contain_text("2013-07")
    expect(dialog).to_contain_text(f"check_{dataset} in manual__2013-07")
    expect(dialog).to_contain_text("is cleared, with everything downstream of it in its run")
    dialog.get_by_label("2013-06").uncheck()
    dialog.get_by_label("Reason").fill("known: the airline's outage")
    dialog.get_by_role("button", name="Waive").click()
    # That run is not in this Airflow: the decision stands, and the page says what is left to do.
    expect(page.locator(".toast.bad")).to_contain_text("The decision stands")
    parts = page.locator("section", has=page.get_by_role("heading", name="Partitions"))
    expect(parts.locator("tr", has_text="2013-07")).to_contain_text("Waived")
    expect(parts.locator("tr", has_text="2013-06")).to_contain_text("Failing")
    waiting = page.locator("#pending")
    expect(waiting).to_contain_text(f"check_{dataset} of manual__2013-07")
    waiting.get_by_role("button", name="Run again").click()
    expect(page.locator(".toast.bad")).to_contain_text("Asked Airflow.")


def test_releasing_a_row_asks_why_and_is_recorded(visit: Visitor, own: Own) -> None:
    dataset = own(held=True)
    page = visit().go("/headrace/quarantine")
    page.get_by_role("link", name=dataset).click()
    page.wait_for_url("**/quarantine/*")
    expect(page.locator("h1")).to_have_text(f"2 rows of {dataset}, 2013-07, set aside")
    expect(page.locator(".facts")).to_contain_text("so 98 went on")
    page.get_by_role("checkbox", name="Release row 1").check()
    page.get_by_role("button", name="Release selected").click()
    dialog = page.locator("dialog#release-rows")
    expect(dialog).to_contain_text("1 row goes back")
    dialog.get_by_label("Reason").fill("the sensor was right after all")
    dialog.get_by_label("Run again what it takes").uncheck()
    dialog.get_by_role("button", name="Release").click()
    expect(page.locator(".facts .pill")).to_have_text("Releasing")
    expect(page.locator("main")).to_contain_text("the sensor was right after all")


def test_what_is_in_names_and_rows_stays_text(visit: Visitor, shoot: Shoot) -> None:
    window = visit(dark=True)
    page = window.go("/headrace/incidents?text=onerror")
    title = page.title()
    page.locator("#list .sentence").first.click()
    page.wait_for_url("**/incidents/*")
    shoot(page, "inbox-hostile")
    expect(page.locator("img, main script, main i, main u, main s")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("javascript:alert(document.domain)")
    expect(page.locator('a[href^="javascript" i]')).to_have_count(0)
    expect(page.locator("td.nan").first).to_have_text("NaN")
    page.get_by_placeholder("Add a comment").fill("<img src=x onerror=\"document.title='pwned'\">")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator(".timeline blockquote").first).to_contain_text("<img src=x")
    for path in ("/headrace/quarantine", "/headrace/dags/flights_dataops", "/headrace/quarantine/1"):
        window.go(path)
        expect(page.locator("img, main script")).to_have_count(0)
        assert "pwned" not in page.title()
    assert "pwned" not in title
    run = page.evaluate("encodeURIComponent(`manual__<img src=x onerror=\"document.title='pwned'\">`)")
    window.go(f"/headrace/runs?dag_id=flights_dataops&run_id={run}")
    expect(page.locator("main")).to_contain_text("expect_<script>alert(1)</script>")
    window.go("/headrace/incidents?text=%3Cscript%3Ealert(1)%3C/script%3E&owner=%22%3E%3Cimg%20src=x%3E&state=%22")
    expect(page.locator("img, main script")).to_have_count(0)


def test_an_incident_on_a_phone(visit: Visitor) -> None:
    window = visit(size=PHONE)
    for title in (WIND, "12,500 of 1,200,000", "carrier drifted"):
        page = window.open(title)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], title
    window.go("/headrace/incidents?text=onerror&state=all")
    page.locator("#list .sentence").first.click()
    page.wait_for_url("**/incidents/*")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_an_incident_that_is_not_there_says_so(visit: Visitor) -> None:
    page = visit().go("/headrace/incidents/999999")
    expect(page.locator("main")).to_contain_text("There is nothing here")
    expect(page.get_by_role("link", name="Incidents")).to_be_visible()
