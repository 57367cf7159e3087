"""The list of incidents, as an on-call person uses it."""

import re
from collections.abc import Callable

from playwright.sync_api import APIResponse, Page, Route, expect
from windows import PHONE, Own, Visitor

Shoot = Callable[[Page, str], None]
WIND = "1 of 2,010 rows has wind_speed above 200 mph (1,048.36 at EWR, 12 Feb 08:00Z)"
PEAK = "the greatest wind_speed is 1,048.36 mph"


def rows(page: Page) -> list[str]:
    return page.locator("#list > li > .row .sentence").all_inner_texts()


def test_the_list_says_what_failed_what_it_reaches_and_whose_it_is(visit: Visitor, shoot: Shoot) -> None:
    page = visit().go("/headrace/incidents")
    row = page.locator(".row", has_text=PEAK)
    for said in ("6 datasets", "1 run stopped", "1 model", "data-platform@exam", "1 d", "Open", "2 consequences"):
        expect(row).to_contain_text(said)
    expect(row.locator(".sev")).to_have_attribute("title", "Critical")
    expect(page.locator(".health")).to_contain_text("Last check recorded")
    expect(page.locator(".row", has_text="raw_fuel_prices")).to_contain_text("Flapping")
    severities = page.locator("#list > li > .row .sev").evaluate_all("marks => marks.map(mark => mark.title)")
    assert severities == sorted(severities), "critical ones are first"
    shoot(page, "inbox-list")


def test_the_page_is_small_and_pages_on(visit: Visitor) -> None:
    page = visit().page
    answer = page.goto(f"{visit().server.inbox}/incidents")
    assert answer is not None
    assert len(answer.body()) < 150_000
    first = rows(page)
    assert len(first) == 50
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**cursor=**")
    second = rows(page)
    assert second
    assert not set(first) & set(second)
    page.get_by_role("link", name="First page").click()
    expect(page.locator("#list > li")).to_have_count(50)
    assert rows(page) == first


def test_consequences_open_under_their_cause(visit: Visitor) -> None:
    page = visit().go("/headrace/incidents")
    assert not any("stg_weather: 1 of" in row for row in rows(page))
    item = page.locator("#list > li", has_text=PEAK)
    button = item.get_by_role("button", name="2 consequences")
    button.click()
    expect(item.locator(".nested .row")).to_have_count(2)
    expect(item.locator(".nested")).to_contain_text("stg_weather: 1 of 2,010 rows has no wind_speed")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(item.locator(".nested")).to_have_count(0)
    page.get_by_label("Consequences").check()
    page.wait_for_url("**consequences=1**")
    expect(page.locator(".row", has_text="stg_weather: 1 of")).to_contain_text("because of #")


def test_filters_narrow_and_stay_in_the_address(visit: Visitor) -> None:
    page = visit().go("/headrace/incidents")
    page.get_by_label("Severity").select_option("critical")
    page.wait_for_url("**severity=critical**")
    page.get_by_label("Tool").select_option("tfdv")
    page.wait_for_url("**tool=tfdv**")
    assert [row for row in rows(page) if "carrier drifted" not in row] == []
    assert "severity=critical" in page.url
    assert "owner" not in page.url, "what is not set is not in the address"
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url(lambda url: "tool=" not in url)
    expect(page.locator("#list > li")).to_have_count(50)
    page.get_by_label("Owner").select_option("finance-data@example.com")
    page.wait_for_url("**owner=finance-data**")
    assert all("fct_ledger" in row for row in rows(page))


def test_search_by_key_and_words_and_what_an_empty_list_means(visit: Visitor, shoot: Shoot) -> None:
    page = visit().go("/headrace/incidents")
    page.keyboard.press("/")
    page.keyboard.type("WEATHER greatest")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=WEATHER**")
    assert len(rows(page)) == 1
    page.go_back()
    page.goto(page.url + "?text=no-such-thing")
    expect(page.locator(".empty")).to_contain_text("No incident matches")
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator("#list > li")).to_have_count(50)
    page.get_by_role("link", name=re.compile("^Snoozed")).click()
    expect(page.locator(".empty")).to_contain_text("No snoozed incidents")
    expect(page.locator(".empty")).to_contain_text("Last check recorded")


def test_everything_is_done_by_keys(visit: Visitor) -> None:
    page = visit().go("/headrace/incidents?owner=finance-data@example.com")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    current = page.locator(".row.current")
    expect(current).to_have_count(1)
    first = current.locator(".sentence").inner_text()
    assert first == rows(page)[0]
    expect(current.locator(".sentence")).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#picked")).to_have_text("2 selected")
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Acknowledged: 2")
    expect(page.locator("#bulk")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("dialog#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    sentence = page.locator(".row.current .sentence").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/incidents/*")
    expect(page.locator("h1")).to_have_text(sentence)
    page.keyboard.press("u")
    page.wait_for_url("**owner=finance-data**")


def test_several_are_resolved_and_snoozed_at_once(visit: Visitor, shoot: Shoot, own: Own) -> None:
    page = visit().go(f"/headrace/incidents?dataset={own(5)}&state=open")
    before = len(rows(page))
    assert before == 5
    for number in (0, 1, 2):
        page.locator("#list .pick").nth(number).check()
    shoot(page, "inbox-bulk")
    page.get_by_role("toolbar").get_by_role("button", name="Resolve").click()
    page.get_by_label("Reason").fill("the finance feed was fixed")
    page.locator("dialog#resolve").get_by_role("button", name="Resolve").click()
    expect(page.locator(".toast")).to_contain_text("Resolved: 3")
    assert len(rows(page)) == before - 3
    page.locator("#list .pick").first.check()
    page.get_by_role("toolbar").get_by_role("button", name="Snooze").click()
    page.get_by_role("button", name="4 hours").click()
    page.locator("dialog#snooze").get_by_role("button", name="Snooze").click()
    expect(page.locator(".toast")).to_contain_text("Snoozed")
    page.get_by_role("link", name=re.compile("^Snoozed")).click()
    expect(page.locator("#list > li")).to_have_count(1)
    expect(page.locator("#list")).to_contain_text("until")


def test_what_changes_meanwhile_appears_and_the_selection_stays(visit: Visitor, own: Own) -> None:
    window = visit()
    page = window.go(f"/headrace/incidents?dataset={own(3)}")
    page.locator("#list .pick").nth(1).check()
    picked = page.locator(".row.picked .sentence").inner_text()
    other = page.locator("#list > li").first.locator(".row").get_attribute("data-id")
    status, _ = window.server.ask(
        "POST", f"/headrace/api/v1/incidents/{other}/acknowledge", {"comment": ""}, window.server.log_in("admin")
    )
    assert status == 200
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f'[data-id="{other}"] .pill')).to_have_text("Acknowledged")
    expect(page.locator(".row.picked .sentence")).to_have_text(picked)
    expect(page.locator("#picked")).to_have_text("1 selected")


def test_what_was_done_is_shown_also_where_an_older_list_was_on_its_way(visit: Visitor, own: Own) -> None:
    page = visit().go(f"/headrace/incidents?dataset={own(2)}&state=open")
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            answer = route.fetch()  # the list from before the action, which is slow to arrive
            held.append(route)
            before.append(answer)

    before: list[APIResponse] = []
    page.route("**/headrace/incidents?*", hold_first)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("refreshing !== null")
    page.locator("#list .pick").first.check()
    page.get_by_role("toolbar").get_by_role("button", name="Resolve").click()
    page.get_by_label("Reason").fill("mended")
    with page.expect_response("**/resolve"):
        page.locator("dialog#resolve").get_by_role("button", name="Resolve").click()
    held[0].fulfill(response=before[0])
    expect(page.locator(".toast")).to_contain_text("Resolved")
    expect(page.locator("#list > li")).to_have_count(1)


def test_on_a_phone_nothing_scrolls_sideways(visit: Visitor, shoot: Shoot) -> None:
    page = visit(size=PHONE, dark=True).go("/headrace/incidents")
    shoot(page, "inbox-phone")
    for path in (
        "/headrace/incidents",
        "/headrace/quarantine",
        "/headrace/dags/flights_dataops",
        "/headrace/quarantine/1",
        "/headrace/runs?dag_id=flights_dataops&run_id=manual__2013-02",
    ):
        page.goto(page.url.split("/headrace")[0] + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path


def test_the_list_asks_for_few_and_small_files(visit: Visitor) -> None:
    page = visit().go("/headrace/incidents")
    page.locator("#list > li").first.wait_for()
    sizes = page.evaluate("performance.getEntriesByType('resource').map(each => [each.name, each.decodedBodySize])")
    names = {name.split("?")[0].rsplit("/", 1)[1] for name, _ in sizes}
    assert {"inbox.js", "inbox.css", "theme.js"} <= names
    assert len(sizes) <= 5, sizes
    assert sum(size for _, size in sizes) < 100_000, sizes


def test_readers_see_no_actions_and_may_not_act(visit: Visitor) -> None:
    window = visit("viewer")
    page = window.go("/headrace/incidents")
    assert len(rows(page)) == 50
    expect(page.locator(".pick, #bulk, dialog#resolve")).to_have_count(0)
    page.locator("#list .sentence").first.click()
    page.wait_for_url("**/incidents/*")
    expect(page.locator("[data-do], .actions, form[data-action]")).to_have_count(0)
    number = page.url.rsplit("/", 1)[1]
    path = f"/headrace/api/v1/incidents/{number}/acknowledge"
    status, body = window.server.ask("POST", path, {"comment": ""}, window.server.log_in("viewer"))
    assert status == 403, body
    said = page.evaluate(
        """async path => (await fetch(path, {method: "POST", body: "{}", headers: {"Content-Type": "application/json",
        "X-Headrace-CSRF": document.querySelector('meta[name="csrf"]').content}})).status""",
        path,
    )
    assert said == 403


def test_who_is_not_logged_in_comes_to_the_login(browser: object, server: object) -> None:
    context = browser.new_context()  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(f"{server.inbox}/incidents")  # type: ignore[attr-defined]
    assert "/login" in page.url
    assert "next=" in page.url
    context.close()
