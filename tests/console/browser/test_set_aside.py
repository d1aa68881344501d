"""What the store set aside: seen on the overview, looked at, acknowledged, and known after a restart."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.console.browser.conftest import OpenWindow, started, told
from tests.support.journals import hurt, some_jobs, store_in


def test_a_damaged_entry_is_shown_and_acknowledged_from_the_overview(tmp_path: Path, window: OpenWindow) -> None:
    store = store_in(tmp_path)
    for job in some_jobs(3):
        store.put([job])
    store.close()
    hurt(tmp_path, 2)
    with started(tmp_path) as site:
        page = window().sign_in(site)
        attention = page.locator(".attention")
        expect(attention).to_contain_text("1 entry of the store set aside")
        attention.get_by_role("button", name="Acknowledge").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("segment 2: changed since it was sealed")
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_have_count(0)
        expect(attention).to_contain_text("set aside")
        attention.get_by_role("button", name="Acknowledge").click()
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        told(page, "1 acknowledged")
        expect(attention).not_to_contain_text("set aside")
        page.close()
    with started(tmp_path) as site:
        page = window().sign_in(site)
        expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
        expect(page.locator(".attention")).not_to_contain_text("set aside")
        (item,) = site.http.get("/v1/store").json()["quarantined"]
        assert item["what"] == "segment 2" and item["acknowledged"]
        page.close()
