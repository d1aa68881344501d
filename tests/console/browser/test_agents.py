"""Agents: who is there, what one does with them, filters in the address, and the page of a process that is alone."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.console.browser.conftest import FleetSite, OpenWindow, Site, go_by_keys, told
from tests.support.waiting import until


def row_of(page: Page, name: str) -> Locator:
    return page.locator(".agents tbody tr", has_text=name)


def agent(fleet: FleetSite, name: str) -> dict[str, Any]:
    agents = fleet.site.http.get("/v1/agents").json()["agents"]
    return next(found for found in agents if found["name"] == name)


def opened(fleet: FleetSite, page: Page, name: str) -> Locator:
    """The drawer of an agent, opened from the list."""
    page.goto(f"{fleet.site.base}/agents")
    row_of(page, name).get_by_role("link", name=name).click()
    drawer = page.get_by_role("dialog", name=f"Agent {name}")
    expect(drawer).to_be_visible()
    return drawer


def test_a_new_agent_is_listed_with_what_it_can_do_and_its_jobs_lead_to_their_pages(
    fleet: FleetSite, window: OpenWindow
) -> None:
    page = window().sign_in(fleet.site)
    page.get_by_role("link", name=re.compile("Agents")).click()
    row = row_of(page, "render-1")
    expect(row).to_contain_text("Online")
    expect(row).to_contain_text("gpu")
    expect(row_of(page, "this console")).to_contain_text("Online")
    id = fleet.site.enqueue("video.convert", args={"steps": 3_000}, capabilities=["gpu"])
    expect(row).to_contain_text("video.convert")
    row.get_by_role("link", name="render-1").click()
    expect(page).to_have_url(re.compile(f"agent={agent(fleet, 'render-1')['id']}"))
    page.locator(f'.drawer a[href="/jobs/{id}"]').click()
    expect(page.get_by_role("heading", name="video.convert")).to_be_visible()
    fleet.site.http.post(f"/v1/jobs/{id}/cancel")
    fleet.site.ended(id)


def test_an_agent_is_paused_resumed_drained_and_scaled_from_its_drawer(fleet: FleetSite, window: OpenWindow) -> None:
    page = window().sign_in(fleet.site)
    drawer = opened(fleet, page, "render-1")
    drawer.get_by_role("button", name="Pause").click()
    expect(drawer.locator(".pill.paused")).to_be_visible()
    assert agent(fleet, "render-1")["paused"]
    drawer.get_by_role("button", name="Resume").click()
    expect(drawer.locator(".pill.paused")).to_have_count(0)
    drawer.get_by_role("button", name="Drain").click()
    expect(drawer.locator(".pill.draining")).to_be_visible()
    drawer.get_by_role("button", name="Resume").click()
    expect(drawer.locator(".pill.online")).to_be_visible()
    drawer.get_by_role("button", name="Scale").click()
    dialog = page.get_by_role("dialog", name="Scale render-1")
    dialog.get_by_label("Jobs at the same time").fill("many")
    dialog.get_by_role("button", name="Scale").click()
    expect(dialog.get_by_role("alert")).to_contain_text("whole number")
    dialog.get_by_label("Jobs at the same time").fill("3")
    dialog.get_by_role("button", name="Scale").click()
    expect(drawer).to_contain_text("0 of 3 in use")
    drawer.get_by_role("button", name="Ping").click()
    told(page, r"render-1 answered in \d+ ms")


def test_the_drawer_is_left_by_escape_and_by_going_back(fleet: FleetSite, window: OpenWindow) -> None:
    page = window().sign_in(fleet.site)
    drawer = opened(fleet, page, "render-1")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(row_of(page, "render-1").get_by_role("link", name="render-1")).to_be_focused()
    expect(page).not_to_have_url(re.compile("agent="))
    page.go_back()
    expect(drawer).to_be_visible()


def test_the_filter_stands_in_the_address_and_is_kept(fleet: FleetSite, window: OpenWindow) -> None:
    page = window().sign_in(fleet.site, at="/agents")
    page.get_by_label("Capability").select_option("gpu")
    expect(page.locator(".agents tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("capability=gpu"))
    page.reload()
    expect(page.locator(".agents tbody tr")).to_have_count(1)
    page.goto(f"{fleet.site.base}/agents?presence=lost&capability=gpu")
    expect(page.get_by_role("heading", name="No such agent")).to_be_visible()
    page.get_by_role("link", name="All agents").click()
    expect(page.locator(".agents tbody tr")).to_have_count(2)


def test_a_message_to_all_needs_words_and_says_who_heard_it(fleet: FleetSite, window: OpenWindow) -> None:
    page = window().sign_in(fleet.site, at="/agents")
    page.get_by_role("button", name="Message to all").click()
    dialog = page.get_by_role("dialog", name="Message to all agents")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.get_by_role("alert")).to_contain_text("text: expected")
    dialog.get_by_label("Message").fill("<b>backup</b> at noon")
    dialog.get_by_role("button", name="Send").click()
    told(page, "Delivered to 2")
    until(lambda: "backup" in fleet.agents.said, 60, "the agent wrote it to its log")


def test_a_process_that_is_alone_says_how_to_get_company(site: Site, page: Page) -> None:
    page.goto(site.base)
    go_by_keys(page, "a", "Agents")
    expect(page.locator(".join pre")).to_contain_text("run.py agent --redis")
    go_by_keys(page, "l", "Air gap")
    expect(page.locator(".air h2")).to_have_text("Standalone")
    expect(page.locator(".join pre")).to_contain_text("run.py --redis")
