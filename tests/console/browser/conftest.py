"""A real Holdfast in a process of its own and a real browser that looks at it.

Every page of a test fails it on an error in the browser's console, on a script error, and on any request that leaves this
machine.  The browser lives as long as this folder's tests: Playwright's loop must be gone before others start theirs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.support.agents import Agents, agents
from tests.support.programs import need
from tests.support.redis_hosts import RedisHost, free_port, redis_host
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "a-token-of-the-browser-tests-0123456789"
TASKS = "tests.support.showroom"
ENDED = ("completed", "cancelled", "dead")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

#: milliseconds that a browser on a busy machine may take for anything
PATIENCE = 60_000
#: keeps what toasts say: one that comes while the test is held up may be gone before it looks
HEAR = """
window.heard = [];
new MutationObserver(() => {
    for (const toast of document.querySelectorAll(".toast")) {
        if (!window.heard.includes(toast.textContent)) window.heard.push(toast.textContent);
    }
}).observe(document, { childList: true, subtree: true, characterData: true });
"""

expect.set_options(timeout=PATIENCE)


def told(page: Page, words: str) -> None:
    """Wait until a toast has said something that fits the pattern since the page was loaded."""
    heard: list[str] = []

    def look() -> bool:
        heard[:] = page.evaluate("window.heard")
        return any(re.search(words, text) for text in heard)

    until(look, PATIENCE / 1000, f"a toast says {words}")


def go_by_keys(page: Page, key: str, title: str) -> None:
    """Press g and a key until their page is there: on a busy machine they may come too far apart to count."""

    def gone() -> bool:
        page.keyboard.press("g")
        page.keyboard.press(key)
        try:
            page.get_by_role("heading", name=title, exact=True).wait_for(timeout=5_000)
        except PlaywrightTimeout:
            return False
        return True

    until(gone, PATIENCE / 1000, f"the page {title}")


class Site:
    """A running Holdfast: where it is, and how a program would use it."""

    def __init__(self, base: str, home: Path, process: subprocess.Popen[str]) -> None:
        self.base = base
        self.home = home
        self.process = process
        self.http = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60.0)

    def sign_in_link(self) -> str:
        """The link that the launcher printed."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://\S+/login\?token=\S+", line):
                return found.group()
        raise AssertionError("the launcher printed no sign-in link")

    def enqueue(self, task: str, **request: Any) -> str:
        """A new job's id."""
        answer = self.http.post("/v1/jobs", json={"task": task, **request})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/v1/jobs/{id}").json()
        return answer

    def ended(self, *ids: str) -> None:
        """Wait until jobs have ended and history knows it."""
        for id in ids:
            until(lambda id=id: self.job(id).get("state") in ENDED, 60, f"job {id} ends")
        until(lambda: all(self._remembers(id) for id in ids), 60, "history has the jobs")

    def _remembers(self, id: str) -> bool:
        ended = f"id:{id} state:{','.join(ENDED)}"  # a filter asks history; the state in a row may be the engine's
        return bool(self.http.get("/v1/jobs", params={"q": ended}).json()["jobs"])


@contextmanager
def started(home: Path, *flags: str, workers: int = 8, port: int = 0) -> Iterator[Site]:
    """``python3 run.py`` with these flags on a free port or this one, until the end of the block."""
    port = port or free_port()
    command = [sys.executable, str(ROOT / "run.py"), "--home", str(home), "--port", str(port), "--no-browser"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    environment |= {"HOLDFAST_ADMIN_TOKEN": TOKEN, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment["HOLDFAST_WORKERS"] = str(workers)
    with (home / "console.err").open("w") as errors:
        process = subprocess.Popen(
            [*command, "--tasks", TASKS, *flags],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    site = Site(f"http://127.0.0.1:{port}", home, process)
    try:
        until(lambda: _ready(site), 120, "run.py gets ready")
        yield site
    finally:
        site.http.close()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


def _ready(site: Site) -> bool:
    if site.process.poll() is not None:
        raise AssertionError((site.home / "console.err").read_text("utf-8"))
    try:
        return site.http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """One Holdfast for the tests that do not mind each other's jobs."""
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as running:
        yield running


class FleetSite:
    """A Holdfast, an agent ``render-1`` with the capability ``gpu``, and the Redis that they share."""

    def __init__(self, site: Site, agents: Agents, redis: RedisHost) -> None:
        self.site = site
        self.agents = agents
        self.redis = redis


@pytest.fixture(scope="package")
def fleet() -> Iterator[FleetSite]:
    """A fleet for the tests that leave it as they found it."""
    how = ("--name", "render-1", "--capabilities", "gpu", "--concurrency", "4")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(redis_host())
        (folder / "console").mkdir(mode=0o700)
        site = stack.enter_context(started(folder / "console", "--redis", redis.url))
        crew = stack.enter_context(agents(folder / "agent", redis.url, *how, tasks=TASKS))
        until(lambda: len(site.http.get("/v1/agents").json()["agents"]) == 2, 120, "the agent has joined")
        yield FleetSite(site, crew, redis)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    """A Holdfast on its first day."""
    with started(tmp_path) as running:
        yield running


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = need("chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    running = playwright.chromium.launch(executable_path=str(chromium), args=flags, timeout=2 * PATIENCE)
    yield running
    running.close()


class Window:
    """A browser window with nobody signed in, and what went wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.wrong: list[str] = []
        self.expected: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        """A new tab, watched."""
        page = self.context.new_page()
        page.on("console", lambda said: self.wrong.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("request", lambda request: self._watch(request.url))
        return page

    def _watch(self, url: str) -> None:
        if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:", url):
            self.wrong.append(f"left this machine: {url}")

    def sign_in(self, site: Site, at: str = "/") -> Page:
        """Send the token as the form does (``test_strangers`` fills it in), then open a page; "" opens none."""
        answer = self.context.request.post(
            f"{site.base}/login", form={"token": TOKEN}, headers={"Origin": site.base}, max_redirects=0
        )
        assert answer.status == 303, answer.text()
        if at:
            self.page.goto(site.base + at)
            expect(self.page.locator(".side")).to_have_count(1)
        return self.page

    def check(self) -> None:
        """Fail on anything that went wrong, but for what the test expects."""
        wrong = [text for text in self.wrong if not any(re.search(pattern, text) for pattern in self.expected)]
        assert not wrong, "\n".join(wrong)


OpenWindow = Callable[..., Window]


@pytest.fixture
def window(browser: Browser) -> Iterator[OpenWindow]:
    """Opens windows: ``window(phone=True, dark=True)``."""
    opened: list[Window] = []

    def open_one(*, phone: bool = False, dark: bool = False) -> Window:
        context = browser.new_context(
            viewport=PHONE if phone else DESK, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        context.add_init_script(HEAR)
        opened.append(Window(context))
        return opened[-1]

    yield open_one
    for one in opened:
        one.check()
        one.context.close()


@pytest.fixture
def page(window: OpenWindow, site: Site) -> Page:
    """A page on a desktop, signed in, that shows nothing yet."""
    return window().sign_in(site, at="")
