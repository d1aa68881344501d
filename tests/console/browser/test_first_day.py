"""From the printed link to a job that failed, was mended and retried: what a person does on the first day."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

from playwright.sync_api import expect

from tests.console.browser.conftest import OpenWindow, Site


def test_the_sample_job_is_run_from_the_welcome_and_seen_live_until_it_has_completed(
    fresh: Site, window: OpenWindow
) -> None:
    page = window().page
    page.goto(fresh.sign_in_link())
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    page.get_by_role("button", name="Run the sample job").click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", name="documents.extract")).to_be_visible()
    expect(page.locator(".kv .pill", has_text="Completed")).to_be_visible()
    expect(page.locator("section", has=page.get_by_role("heading", name="Result"))).to_contain_text('"format": "pdf"')
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".activity").get_by_text("documents.extract")).to_be_visible()
    expect(page.get_by_role("heading", name="Jobs finished per minute")).to_be_visible()


def test_a_failing_job_shows_its_error_and_completes_after_a_retry_from_its_page(
    fresh: Site, window: OpenWindow
) -> None:
    source = fresh.home / "figures.txt"
    id = fresh.enqueue("reports.build", args={"source": str(source)})
    page = window().sign_in(fresh, at=f"/jobs/{id}")
    expect(page.locator(".errbox")).to_contain_text("FileNotFoundError")
    expect(page.locator(".errbox")).to_contain_text("there is no figures.txt yet")
    expect(page.locator(".kv .pill")).to_have_text("Dead")
    expect(page.get_by_role("listitem", name=re.compile("Attempt 2: dead"))).to_be_visible()
    source.write_text("twelve")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".kv .pill")).to_have_text("Completed")
    expect(page.get_by_role("listitem", name=re.compile("Attempt 3: completed"))).to_be_visible()
    expect(page.locator(".errbox")).to_have_count(0)


def test_a_history_that_cannot_be_read_is_said_so_until_it_can_be_again(fresh: Site, window: OpenWindow) -> None:
    id = fresh.enqueue("scans.read", args={"page": 1})
    fresh.ended(id)
    page = window().sign_in(fresh, at="")
    with closing(sqlite3.connect(fresh.home / "holdfast.db", timeout=60)) as history:
        history.execute("ALTER TABLE jobs RENAME TO lost")
        history.commit()
        page.goto(f"{fresh.base}/jobs/{id}")
        expect(page.get_by_role("heading", name="The page cannot be shown")).to_be_visible()
        history.execute("ALTER TABLE lost RENAME TO jobs")
        history.commit()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".errbox")).to_contain_text("PageUnreadable")


def test_the_sign_in_link_works_once(fresh: Site, window: OpenWindow) -> None:
    link = fresh.sign_in_link()
    first, second = window(), window()
    second.expected = [r"401"]
    first.page.goto(link)
    expect(first.page.get_by_role("heading", name="Welcome")).to_be_visible()
    second.page.goto(link)
    expect(second.page.get_by_role("alert")).to_contain_text("used already")
