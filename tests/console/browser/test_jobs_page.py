"""The jobs page: filters in the address, picking, acting on many, exporting, and a form that explains what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.console.browser.conftest import OpenWindow, Site, told
from tests.support.waiting import until


def rows(page: Page) -> list[str]:
    return page.locator(".jobs tbody tr .n").all_inner_texts()


def test_a_filter_is_a_deep_link_and_the_back_button_undoes_it(site: Site, page: Page) -> None:
    ids = [site.enqueue("scans.read", args={"page": n}) for n in range(3)] + [
        site.enqueue("echo.say", args={"text": "hello"})
    ]
    site.ended(*ids)
    page.goto(f"{site.base}/jobs?queue=documents&state=dead")
    expect(page.get_by_role("button", name=re.compile("^Dead"))).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Filter jobs")).to_have_value("queue:documents")
    expect(page.locator(".jobs tbody tr").first).to_be_visible()
    assert set(rows(page)) == {"scans.read"}
    page.get_by_role("button", name=re.compile("^All")).click()
    page.get_by_label("Filter jobs").fill("task:echo*")
    expect(page).to_have_url(re.compile(r"q=task%3Aecho"))
    expect(page.locator(".jobs tbody tr .n").first).to_have_text("echo.say")
    assert set(rows(page)) == {"echo.say"}
    page.go_back()
    expect(page.get_by_label("Filter jobs")).to_have_value("queue:documents")
    page.go_back()
    expect(page.get_by_role("button", name=re.compile("^Dead"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".jobs tbody tr .n").first).to_have_text("scans.read")


def test_a_wrong_filter_is_explained_at_the_box_and_the_rows_stay(site: Site, page: Page) -> None:
    site.ended(site.enqueue("echo.say", args={"text": "stay"}))
    page.goto(f"{site.base}/jobs")
    expect(page.locator(".jobs tbody tr").first).to_be_visible()
    page.get_by_label("Filter jobs").fill("state:dreaming")
    expect(page.get_by_role("alert")).to_contain_text("dreaming")
    expect(page.locator(".jobs tbody tr").first).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_is_picked_stays_picked_while_the_rows_refresh(site: Site, page: Page) -> None:
    ids = [site.enqueue("echo.say", args={"text": f"pick {n}"}) for n in range(3)]
    site.ended(*ids)
    page.goto(f"{site.base}/jobs?q=task:echo.say")
    page.get_by_role("checkbox", name=f"Select {ids[0]}").click()
    expect(page.locator(".said")).to_have_text("1 selected")
    later = site.enqueue("echo.say", args={"text": "later"})
    expect(page.get_by_role("checkbox", name=f"Select {later}")).to_be_visible()
    expect(page.get_by_role("checkbox", name=f"Select {ids[0]}")).to_be_checked()
    expect(page.locator(".said")).to_have_text("1 selected")


def test_all_that_match_are_deleted_after_being_asked(site: Site, page: Page) -> None:
    ids = [site.enqueue("echo.say", args={"text": "x"}, queue="throwaway") for _ in range(60)]
    site.ended(*ids)
    page.goto(f"{site.base}/jobs?queue=throwaway")
    expect(page.locator(".pager")).to_contain_text("50 of 60 jobs")
    page.get_by_role("checkbox", name="Select all on this page").click()
    page.get_by_role("button", name="Select all 60 that match").click()
    expect(page.locator(".said")).to_have_text("All 60 that match")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete 60 jobs?")
    dialog.get_by_role("button", name="Delete 60 jobs").click()
    told(page, "60 jobs deleted")
    expect(page.get_by_role("heading", name="No job matches")).to_be_visible()


def test_older_and_newer_turn_the_pages(site: Site, page: Page) -> None:
    site.ended(*[site.enqueue("echo.say", args={"text": "x"}, queue="long") for _ in range(55)])
    page.goto(f"{site.base}/jobs?queue=long")
    expect(page.locator(".jobs tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Older").click()
    expect(page.locator(".jobs tbody tr")).to_have_count(5)
    expect(page).to_have_url(re.compile("cursor="))
    page.get_by_role("button", name="Newer").click()
    expect(page.locator(".jobs tbody tr")).to_have_count(50)


def test_the_jobs_of_a_filter_are_exported(site: Site, page: Page, tmp_path: Path) -> None:
    site.ended(site.enqueue("echo.say", args={"text": "=1+1"}, queue="export"))
    page.goto(f"{site.base}/jobs?queue=export")
    expect(page.locator(".jobs tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_text("JSON", exact=True).click()
    jobs = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert [job["task"] for job in jobs] == ["echo.say"]


def test_a_new_job_is_enqueued_and_wrong_arguments_are_told_at_their_field(site: Site, page: Page) -> None:
    page.goto(f"{site.base}/jobs")
    page.get_by_role("button", name="New job").first.click()
    form = page.get_by_role("dialog")
    form.get_by_label("Task").select_option("scans.read")
    expect(form.get_by_label("Arguments, as JSON")).to_have_value(re.compile('"page": 0'))
    form.get_by_label("Arguments, as JSON").fill("{page: 4}")
    form.get_by_role("button", name="Enqueue").click()
    expect(form.get_by_role("alert")).to_contain_text("not JSON")
    form.get_by_label("Arguments, as JSON").fill('{"page": "four"}')
    form.get_by_role("button", name="Enqueue").click()
    expect(form.get_by_role("alert")).to_contain_text("args.page")
    form.get_by_label("Arguments, as JSON").fill('{"page": 4, "text": "found"}')
    form.get_by_role("button", name="Enqueue").click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
    expect(page.locator(".kv .pill")).to_have_text("Completed")


def test_a_job_runs_again_with_edits(site: Site, page: Page) -> None:
    id = site.enqueue("scans.read", args={"page": 7})
    site.ended(id)
    page.goto(f"{site.base}/jobs/{id}")
    page.get_by_role("button", name="Run again").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Arguments, as JSON").fill('{"page": 7, "text": "now it has"}')
    form.get_by_role("button", name="Run as a new job").click()
    expect(page).not_to_have_url(re.compile(id))
    expect(page.locator(".kv .pill")).to_have_text("Completed")
    expect(page.locator("section", has=page.get_by_role("heading", name="Result"))).to_contain_text("now it has")


def test_a_running_job_shows_its_progress_and_stops_when_asked(site: Site, page: Page) -> None:
    id = site.enqueue("video.convert", args={"steps": 6_000, "pause": 0.1})
    until(lambda: site.job(id)["state"] == "running", 60)
    page.goto(f"{site.base}/jobs/{id}")
    expect(page.get_by_role("progressbar", name="Progress")).to_contain_text("frame")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".kv .pill")).to_have_text("Cancelled")


def test_arguments_too_long_for_a_page_are_cut_and_said_so(site: Site, page: Page) -> None:
    id = site.enqueue("echo.say", args={"text": "words " * 50_000})
    site.ended(id)
    page.goto(f"{site.base}/jobs/{id}")
    card = page.locator("section", has=page.get_by_role("heading", name="Arguments"))
    expect(card).to_contain_text("Cut: all as JSON")
    assert len(card.locator("pre").text_content() or "") < 50_000
    with page.expect_popup() as popup:
        card.get_by_role("link").click()
    popup.value.wait_for_load_state()
    assert len(popup.value.locator("body").text_content() or "") > 300_000


def test_an_address_that_leads_nowhere_is_told_so(site: Site, window: OpenWindow) -> None:
    one = window()
    one.expected = [r"404"]
    page = one.sign_in(site, at="")
    page.goto(f"{site.base}/nowhere")
    expect(page.get_by_role("heading", name="No such page")).to_be_visible()


def test_a_job_that_never_was_is_told_so(site: Site, page: Page) -> None:
    page.goto(f"{site.base}/jobs/0193aaaa-0000-7000-8000-000000000000")
    expect(page.get_by_role("heading", name="There is no such job")).to_be_visible()
