"""The frame: themes, phone width, keyboard, pausing a queue, live figures, and a connection that breaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser.conftest import OpenWindow, Site, go_by_keys, started
from tests.support.waiting import until


@pytest.fixture(scope="package")
def ended_job(site: Site) -> str:
    id = site.enqueue("scans.read", args={"page": 1})
    site.ended(id)
    return id


@pytest.mark.parametrize("dark", [False, True])
def test_no_page_is_wider_than_a_phone(site: Site, window: OpenWindow, ended_job: str, dark: bool) -> None:
    page = window(phone=True, dark=dark).sign_in(site, at="")
    for path in ("/", "/jobs", f"/jobs/{ended_job}", "/dead-letters", "/jobs/none", "/agents", "/air-gap"):
        page.goto(site.base + path)
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator(".ghost")).to_have_count(0)
        until(lambda: page.evaluate("document.documentElement.scrollWidth") <= 390, what=f"{path} fits a phone")


def test_the_menu_opens_on_a_phone_and_closes_when_one_goes_on(site: Site, window: OpenWindow) -> None:
    page = window(phone=True).sign_in(site)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    expect(page.locator("body")).not_to_have_class(re.compile("navopen"))


def test_the_theme_follows_the_system_until_one_is_chosen_and_is_kept(site: Site, window: OpenWindow) -> None:
    page = window(dark=True).sign_in(site)
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Theme: auto").click()
    expect(html).to_have_attribute("data-theme", "light")
    page.reload()
    expect(html).to_have_attribute("data-theme", "light")
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()


def test_the_keyboard_goes_to_pages_finds_and_helps(site: Site, page: Page, ended_job: str) -> None:
    page.goto(site.base)
    go_by_keys(page, "j", "Jobs")
    expect(page.get_by_label("Filter jobs")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter jobs")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_label("Filter jobs").blur()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".q-dialog--modal")).to_have_count(0)  # keys are a dialog's until it has faded
    go_by_keys(page, "d", "Dead letters")


def test_a_queue_is_paused_and_resumed_and_its_jobs_say_why_they_wait(site: Site, page: Page) -> None:
    site.ended(site.enqueue("echo.say", args={"text": "x"}, queue="slowlane"))
    page.goto(site.base)
    page.get_by_role("button", name="Pause slowlane").click()
    expect(page.get_by_role("button", name="Resume slowlane")).to_be_visible()
    id = site.enqueue("echo.say", args={"text": "x"}, queue="slowlane")
    page.goto(f"{site.base}/jobs/{id}")
    expect(page.locator(".notice")).to_contain_text(re.compile("paused", re.IGNORECASE))
    page.goto(site.base)
    page.get_by_role("button", name="Resume slowlane").click()
    expect(page.get_by_role("button", name="Pause slowlane")).to_be_visible()
    site.ended(id)


def test_the_overview_follows_what_happens_until_it_is_paused(site: Site, page: Page) -> None:
    page.goto(site.base)
    first = site.enqueue("echo.say", args={"text": "seen"})
    link = page.locator(f'.activity a[href="/jobs/{first}"]')
    expect(link).to_be_visible()
    page.get_by_role("button", name="Pause live updates").click()
    expect(page.locator(".conn")).to_contain_text("Paused")
    second = site.enqueue("echo.say", args={"text": "not seen"})
    site.ended(second)
    page.get_by_role("button", name="Pause live updates").click()
    expect(page.locator(f'.activity a[href="/jobs/{second}"]')).to_be_visible()


def test_the_chart_is_drawn_and_shows_other_ranges(site: Site, page: Page, ended_job: str) -> None:
    page.goto(site.base)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    page.get_by_role("button", name="24 h").click()
    expect(page).to_have_url(re.compile("range=24h"))
    expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")


def test_an_open_page_lives_on_after_a_restart(tmp_path: Path, window: OpenWindow) -> None:
    one = window()
    one.expected = [
        r"ERR_CONNECTION_REFUSED",
        r"WebSocket",
        r"Failed to fetch",
        r"ERR_EMPTY_RESPONSE",
        r"ERR_CONNECTION_RESET",
    ]
    with started(tmp_path) as before:
        page = one.sign_in(before, at="/jobs?state=dead")
        expect(page.locator(".conn")).to_contain_text("Live")
    expect(page.locator(".conn")).to_contain_text("Reconnecting")
    with started(tmp_path, port=int(before.base.rsplit(":", 1)[1])):
        expect(page.locator(".conn")).to_contain_text("Live")
        expect(page).to_have_url(re.compile("state=dead"))
        expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_a_lost_connection_is_shown(site: Site, window: OpenWindow) -> None:
    one = window()
    page = one.sign_in(site)
    one.expected = [r"ERR_INTERNET_DISCONNECTED", r"WebSocket"]
    expect(page.locator(".conn")).to_contain_text("Live")
    page.wait_for_load_state("networkidle")  # what is on its way when the line is cut is an error of its own
    page.context.set_offline(True)
    page.evaluate("window.socket.disconnect()")
    expect(page.locator(".conn")).to_contain_text("Reconnecting")
    page.context.set_offline(False)
    page.evaluate("window.socket.connect()")
    expect(page.locator(".conn")).to_contain_text("Live")
