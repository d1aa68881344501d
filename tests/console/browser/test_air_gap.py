"""The air gap: a cable pulled and put back, a link cut by hand, a file that goes out and comes home, a conflict decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser.conftest import FleetSite, OpenWindow, told
from tests.console.browser.conftest import Site as House
from tests.support.sites import Site


@pytest.fixture
def shore(tmp_path: Path) -> Iterator[Site]:
    """Another home, without a network."""
    made = Site(tmp_path / "shore", "shore")
    yield made
    made.close()


def test_a_pulled_cable_is_told_at_once_and_a_proof_when_it_is_back(fleet: FleetSite, window: OpenWindow) -> None:
    fleet.site.ended(fleet.site.enqueue("scans.read", args={"page": 1}))
    page = window().sign_in(fleet.site)
    strip = page.locator(".strip .seal")
    dead = page.locator(".side .nav", has_text="Dead letters")
    expect(dead).to_contain_text("1")
    expect(strip).to_have_text("Connected")
    strip.click()
    expect(page.locator(".air h2")).to_have_text("Connected")
    fleet.redis.kill()
    expect(strip).to_contain_text("Air-gapped")
    expect(page.locator(".air h2")).to_have_text("Air-gapped")
    ids = [fleet.site.enqueue("echo.say", args={"text": f"job {n}"}) for n in range(5)]
    fleet.site.ended(*ids)
    expect(strip).to_contain_text("events wait")
    expect(dead).to_contain_text("1")
    page.goto(fleet.site.base)
    expect(page.locator(".attention")).to_contain_text("Redis cannot be reached")
    page.locator(".attention a", has_text="Redis cannot be reached").click()
    fleet.redis.start()
    expect(strip).to_have_text("Connected")
    expect(page.locator(".proof .verdict")).to_contain_text("Both sides agree on every lane")
    expect(page.locator(".proof tbody tr", has_text="default").first).to_contain_text("equal")
    changes = page.locator(".linkhistory li")
    for number, word in enumerate(("Connected", "Recovering", "Air-gapped")):
        expect(changes.nth(number).locator("b")).to_have_text(word)


def test_the_link_is_cut_by_hand_for_a_reason_and_released(fleet: FleetSite, window: OpenWindow) -> None:
    page = window().sign_in(fleet.site, at="/air-gap")
    reason = '<img src=x onerror="alert(1)"> works until 18:00'
    page.get_by_role("button", name="Cut the link").click()
    dialog = page.get_by_role("dialog", name="Cut the link to Redis?")
    dialog.get_by_label("Why").fill(reason)
    dialog.get_by_role("button", name="Cut the link").click()
    expect(page.locator(".air h2")).to_have_text("Cut by hand")
    expect(page.locator(".air .since")).to_contain_text(reason)
    expect(page.locator(".linkhistory li").first).to_contain_text(reason)
    expect(page.locator(".strip .seal")).to_contain_text("Cut by hand")
    page.get_by_role("button", name="Release").click()
    expect(page.locator(".air h2")).to_have_text("Connected")
    expect(page.get_by_role("button", name="Sync now")).to_be_visible()


def test_a_bundle_goes_out_and_what_comes_home_too_late_is_decided(
    fresh: House, shore: Site, window: OpenWindow, tmp_path: Path
) -> None:
    fresh.http.post("/v1/queues/emails/pause")
    ids = [fresh.enqueue("mail.send", args={"to": f"{n}@example.org", "template": "t"}) for n in range(3)]
    page = window().sign_in(fresh, at="/air-gap")
    _trust(page, shore)
    card = fresh.http.get("/v1/airgap/identity").json()["card"]
    shore.desk.trust.add(card, own=shore.desk.identity.card, name="house", by="test")

    shore.unpack(_made(page, tmp_path / "out.hfb"))
    assert sorted(shore.work(b'"done ashore"', queue="emails")) == sorted(ids)
    late = shore.pack_results_for("house")

    page.get_by_role("button", name="Release").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    told(page, "Released: 3 jobs")
    fresh.http.post("/v1/queues/emails/resume")
    fresh.ended(*ids)

    page.get_by_label("Take in a bundle").set_input_files(late)
    looked = page.locator(".looked")
    expect(looked).to_contain_text("3 results from shore")
    looked.get_by_role("button", name="Take in").click()
    expect(page.locator(".conflict")).to_have_count(3)
    first = page.locator(".conflict").first
    expect(first.locator(".side1")).to_contain_text("250 ok")
    expect(first.locator(".side2")).to_contain_text("done ashore")
    first.get_by_role("button", name="Keep what stands").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator(".conflict")).to_have_count(2)
    expect(page.locator(".side .nav", has_text="Air gap")).to_contain_text("2")
    page.get_by_role("button", name="Keep what stands in all 2").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep all").click()
    expect(page.locator(".conflicts .calm")).to_contain_text("Nothing to decide")
    page.get_by_role("button", name="Also decided ones").click()
    expect(page.locator(".conflict", has_text="What stood was kept")).to_have_count(3)
    page.goto(f"{fresh.base}/jobs/{ids[0]}")
    expect(page.locator(".detail")).to_contain_text("250 ok")


def test_a_file_that_is_no_bundle_is_refused_in_words(fresh: House, window: OpenWindow, tmp_path: Path) -> None:
    one = window()
    one.expected = [r"status of 4\d\d"]
    page = one.sign_in(fresh, at="/air-gap")
    other = tmp_path / "notes.hfb"
    other.write_text("shopping list")
    page.get_by_label("Take in a bundle").set_input_files(other)
    told(page, "(?i)bundle")
    expect(page.locator(".looked")).to_have_count(0)


def _trust(page: Page, other: Site) -> None:
    page.get_by_role("button", name="Trust…").click()
    dialog = page.get_by_role("dialog", name="Trust a home")
    dialog.get_by_label("Its card").fill("holdfast-node:1:shore:mistyped")
    dialog.get_by_role("button", name="Trust").click()
    expect(dialog.get_by_role("alert")).to_contain_text("cut or mistyped")
    dialog.get_by_label("Its card").fill(other.desk.identity.card.line())
    dialog.get_by_role("button", name="Trust").click()
    expect(page.locator(".homes li")).to_contain_text(other.desk.identity.card.fingerprint)


def _made(page: Page, file: Path) -> Path:
    """A bundle for the one trusted home, asked for and downloaded."""
    expect(page.get_by_role("button", name="Make one")).to_be_enabled()
    page.get_by_role("button", name="Make one").click()
    dialog = page.get_by_role("dialog", name="Make a bundle")
    expect(dialog.get_by_label("shore")).to_be_checked()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Make").click()
    download.value.save_as(file)
    expect(page.locator(".bundles tbody tr")).to_contain_text("0/3")
    return file
