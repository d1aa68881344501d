"""Who may not come in, and words that would like to be code."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser.conftest import OpenWindow, Site

IMAGE = '<img src=x onerror="window.hacked=1">'
HOSTILE = {
    "image": IMAGE,
    "script end": "</script><script>window.hacked=1</script>",
    "template": "{{7*7}} ${7*7} {{constructor.constructor('window.hacked=1')()}}",
    "backtick": "`${window.hacked=1}` \\u0060 &#96;",
    "right to left": "\u202egnihtemos\u202c \u0645\u0631\u062d\u0628\u0627 invoice\u2067.exe",
    "huge": "W" * 20_000,
    "spreadsheet": "=cmd|' /C calc'!A0",
    "null and control": "a\u0001b\u0007c\u2028d",
}


def test_nobody_sees_anything_without_signing_in(site: Site, window: OpenWindow) -> None:
    page = window().page
    page.goto(f"{site.base}/jobs?state=dead")
    expect(page.get_by_label("Token")).to_be_visible()
    assert "/login" in page.url
    expect(page.locator(".side")).to_have_count(0)


def test_a_wrong_token_is_refused_and_after_signing_in_one_is_where_one_wanted_to_be(
    site: Site, window: OpenWindow
) -> None:
    one = window()
    one.expected = [r"401"]
    page = one.page
    page.goto(f"{site.base}/jobs?state=dead")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Token").fill("a-token-of-the-browser-tests-0123456789")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/jobs\?state=dead"))
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_signing_out_ends_what_is_open(site: Site, window: OpenWindow) -> None:
    one = window()
    one.expected = [r"401", r"403", r"WebSocket"]
    page = one.sign_in(site)
    other = one.tab()
    other.goto(f"{site.base}/jobs")
    expect(other.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(other.get_by_label("Token")).to_be_visible()


def test_a_socket_from_another_site_is_refused(site: Site, window: OpenWindow) -> None:
    one = window()
    page = one.sign_in(site)
    expect(page.locator(".conn")).to_contain_text("Live")
    one.expected = [r"WebSocket", r"403", r"CORS", r"Access-Control", r"net::ERR_FAILED", r"/evil$"]
    client = page.evaluate("window.clientId")
    stranger = one.tab()
    evil = site.base.replace("127.0.0.1", "localhost")
    stranger.route(f"{evil}/evil", lambda route: route.fulfill(body="<h1>evil</h1>", content_type="text/html"))
    stranger.goto(f"{evil}/evil")
    address = site.base.replace("http", "ws") + f"/_nicegui_ws/socket.io/?EIO=4&transport=websocket&client_id={client}"
    answer = stranger.evaluate(
        """address => new Promise(done => {
            const socket = new WebSocket(address);
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        })""",
        address,
    )
    assert answer == "refused"


def nothing_happened(page: Page) -> None:
    """No word was taken for code, and none broke the layout."""
    assert page.evaluate("window.hacked") is None
    assert page.locator('main img[src="x"]').count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440


@pytest.fixture(scope="package")
def hostile(site: Site) -> dict[str, str]:
    """Ids of jobs that were given hostile words and gave them back; as many others died of them."""
    good, dead = {}, []
    for name, text in HOSTILE.items():
        more = {"correlation_id": text[:100]} if text[:100].isprintable() else {}
        good[name] = site.enqueue("echo.say", args={"text": text}, metadata={"note": text}, **more)
        dead.append(site.enqueue("echo.say", args={"text": text, "fail": True}))
    site.ended(*good.values(), *dead)
    return good


def test_hostile_words_of_jobs_are_shown_as_text(site: Site, page: Page, hostile: dict[str, str]) -> None:
    for name, text in HOSTILE.items():
        page.goto(f"{site.base}/jobs/{hostile[name]}")
        expect(page.locator(".kv .pill"), name).to_have_text("Completed")
        result = page.locator("section", has=page.get_by_role("heading", name="Result"))
        assert json.loads(result.locator("pre").text_content() or "") == text
        assert page.locator(".log .tx").first.text_content() == site.job(hostile[name])["logs"][0]["text"]
        nothing_happened(page)


def test_hostile_words_in_lists_are_shown_as_text(site: Site, page: Page, hostile: dict[str, str]) -> None:
    for path in ("/", "/jobs?state=dead&q=task:echo.say", "/dead-letters"):
        page.goto(site.base + path)
        expect(page.get_by_text(re.compile("RuntimeError")).first, path).to_be_visible()
        nothing_happened(page)


def test_a_hostile_address_is_shown_as_text(site: Site, page: Page) -> None:
    page.goto(f"{site.base}/jobs?q=%3Cimg+src%3Dx+onerror%3D%22window.hacked%3D1%22%3E")
    expect(page.get_by_label("Filter jobs")).to_have_value(IMAGE)
    page.goto(f"{site.base}/jobs/%3Cimg%20src=x%20onerror=window.hacked=1%3E")
    expect(page.get_by_role("heading", name="There is no such job")).to_be_visible()
    nothing_happened(page)
