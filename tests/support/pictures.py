"""Takes the pictures of the README: a showroom's past, live traffic on top, a fleet on a real Redis, a real browser.

``python -m tests.support.pictures`` writes those of the README into ``docs/img``; with a folder named, all into that.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.browser.conftest import DESK, PHONE, TASKS, Site, Window, started
from tests.support.agents import agents
from tests.support.programs import find
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.showroom_past import WORKS, Past
from tests.support.waiting import until

#: seconds of traffic before the first picture
WARM_UP = 15.0
#: pictures that the README and the guides show
KEPT = frozenset(
    {"overview-light", "overview-dark", "job-light", "overview-phone", "agents-light", "air-gap-light", "air-gap-dark"}
)
#: agents beside the console's own
CREW = (("quay-01", "8", "gpu,video"), ("quay-02", "12", "ocr"), ("tugboat", "4", "usb"))
#: seconds that Redis is away before the pictures of a cut link
AWAY = 20.0
OUT = Path(__file__).resolve().parents[2] / "docs" / "img"


def main(out: Path) -> None:
    """Make the home, start it, send it jobs, and look."""
    out.mkdir(parents=True, exist_ok=True)
    os.environ["TZ"] = "UTC"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        past = time.time()
        print(f"{Past(Path(folder), past, 2.2).walk():,} attempts made up")
        with (
            redis_host(appendonly="yes") as redis,
            started(Path(folder), "--redis", redis.url, "--agent-name", "harbour-01", workers=16) as site,
            _crew(redis.url),
            sync_playwright() as playwright,
        ):
            flags = ["--no-sandbox", "--disable-gpu", "--force-device-scale-factor=1"]
            browser = playwright.chromium.launch(executable_path=str(find("chromium")), args=flags)
            with _traffic(site, past):
                threading.Event().wait(WARM_UP)
                _take(browser, site, out, _pages(site) | {"agents": _agent(site)})
                for back in (True, False):
                    _pull_the_cable(site, redis, back=back)
                _take(browser, site, out, {"air-gap": "/air-gap"})


@contextmanager
def _crew(url: str) -> Iterator[None]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, slots, can in CREW:
            how = ("--name", name, "--concurrency", slots, "--capabilities", can)
            stack.enter_context(agents(folder / name, url, *how, tasks=TASKS))
        yield


def _pull_the_cable(site: Site, redis: RedisHost, *, back: bool) -> None:
    """Let Redis be away for a while, and wait until the link is whole again."""
    redis.kill()
    threading.Event().wait(AWAY)
    if back:
        redis.start()
        until(lambda: site.http.get("/v1/airgap").json()["state"] == "connected", 60, "the link is back")
        threading.Event().wait(AWAY)


@contextmanager
def _traffic(site: Site, since: float) -> Iterator[None]:
    """Jobs as they came before, also those missed ``since`` then, until the end of the block."""
    over = threading.Event()
    sender = threading.Thread(target=_send, args=(site, over, since), name="traffic")
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def _send(site: Site, over: threading.Event, since: float) -> None:
    chance = random.Random(3)
    known = [work for work in WORKS if work.task not in ("webhooks.deliver", "documents.extract", "maintenance.prune")]
    with httpx.Client(base_url=site.base, headers=site.http.headers) as http:
        missing = time.time() - since
        while not over.wait(0.5):
            due = [
                work for work in known for _ in range(1 + int(2 * missing)) if chance.random() < work.per_minute / 120
            ]
            missing = 0.0
            jobs = [{"task": work.task, "args": work.args, "max_attempts": 4} for work in due]
            http.post("/v1/jobs/bulk", json={"jobs": jobs or [{"task": "ledger.sync", "args": {"since": "2026"}}]})


def _pages(site: Site) -> dict[str, str]:
    dead = site.http.get("/v1/jobs", params={"state": "dead", "task": "invoices.render"}).json()["jobs"]
    dead = dead or site.http.get("/v1/jobs", params={"state": "dead"}).json()["jobs"]
    return {"overview": "/", "jobs": "/jobs", "job": f"/jobs/{dead[0]['id']}", "dead-letters": "/dead-letters"}


def _agent(site: Site) -> str:
    """The page of the agents, with the busiest of them opened."""
    agents = [agent for agent in site.http.get("/v1/agents").json()["agents"] if not agent["console"]]
    return "/agents?agent=" + str(max(agents, key=lambda agent: agent["busy"])["id"])


def _take(browser: Browser, site: Site, out: Path, pages: dict[str, str]) -> None:
    for theme, dark in (("light", False), ("dark", True)):
        window = Window(browser.new_context(viewport=DESK, color_scheme="dark" if dark else "light"))  # type: ignore[arg-type]
        page = window.sign_in(site)
        for name, path in pages.items():
            _shoot(page, site.base + path, out / f"{name}-{theme}.png")
        window.context.close()
    window = Window(browser.new_context(viewport=PHONE, color_scheme="light"))  # type: ignore[arg-type]
    page = window.sign_in(site)
    for name, path in pages.items():
        _shoot(page, site.base + path, out / f"{name}-phone.png")


def _shoot(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator(".ghost")).to_have_count(0)
    if page.locator(".activity").count():
        expect(page.locator(".activity .pill.running").first).to_be_visible()
    page.wait_for_timeout(2500)
    if file.parent != OUT or file.stem in KEPT:
        page.screenshot(path=file)
        print(f"{file.name}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
