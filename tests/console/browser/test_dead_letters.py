"""Dead letters: one card a cause, retried together, deleted together."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.console.browser.conftest import OpenWindow, Site, told
from tests.support.waiting import until


def test_dead_jobs_are_grouped_by_cause_and_retried_together(fresh: Site, window: OpenWindow) -> None:
    source = fresh.home / "figures.txt"
    reports = [fresh.enqueue("reports.build", args={"source": str(source)}) for _ in range(4)]
    scans = [fresh.enqueue("scans.read", args={"page": n}) for n in range(3)]
    fresh.ended(*reports, *scans)
    page = window().sign_in(fresh)
    page.get_by_role("link", name=re.compile("Dead letters")).first.click()
    expect(page.locator(".group")).to_have_count(2)
    group = page.locator(".group", has_text="FileNotFoundError")
    expect(group).to_contain_text("reports.build")
    source.write_text("twelve")
    group.get_by_role("button", name="Retry 4").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    told(page, "4 jobs sent back")
    expect(page.locator(".group")).to_have_count(1)
    fresh.ended(*reports)
    assert {fresh.job(id)["state"] for id in reports} == {"completed"}
    page.locator(".group").get_by_role("link", name="Show jobs").click()
    expect(page.locator(".jobs tbody tr")).to_have_count(3)
    page.go_back()
    page.locator(".group").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()


def test_all_dead_letters_are_retried_at_once(fresh: Site, window: OpenWindow) -> None:
    ids = [fresh.enqueue("scans.read", args={"page": n}) for n in range(5)]
    fresh.ended(*ids)
    page = window().sign_in(fresh, at="/dead-letters")
    page.get_by_role("button", name="Retry all").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    told(page, "5 jobs sent back")
    until(lambda: {len(fresh.job(id)["attempts"]) for id in ids} == {2}, 60, "each was tried once more")
