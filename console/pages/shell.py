"""The frame around every page: navigation, the status strip with the state of link and store, and the keyboard's help."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui
from nicegui.element import Element

from airgap.view import AirView
from console import design
from console.components.view import AirState, Find, LinkState, ThemeButton
from console.design import icon, text
from console.feed import Snapshot
from console.pages.screen import Screen

#: groups of the navigation: (path, icon, label) of each page
PLACES = {
    "Monitor": (
        ("/", "overview", "Overview"),
        ("/jobs", "jobs", "Jobs"),
        ("/dead-letters", "dead-letters", "Dead letters"),
    ),
    "Fleet": (("/agents", "agents", "Agents"), ("/air-gap", "connected", "Air gap")),
}
KEYS = (
    ("/", "Find or filter jobs"),
    ("g o", "Overview"),
    ("g j", "Jobs"),
    ("g d", "Dead letters"),
    ("g a", "Agents"),
    ("g l", "Air gap: the link to Redis"),
    ("?", "This help"),
)
#: what the global durability promises
DURABILITY = {
    "power": "Survives power loss",
    "process": "Survives a crash of the process",
    "redis": "As durable as Redis",
}
#: agents that are there
HERE = frozenset({"online", "late", "draining"})
#: states of the link that colour the strip
TINTS = {"airgapped": "warn", "recovering": "busy"}


@contextmanager
def shell(screen: Screen) -> Iterator[None]:
    """Everything that stays when one goes from page to page; the page goes inside."""
    with Element("a").classes("btn skip").props("href=#content"):
        text("Skip to content")
    with Element("nav").classes("side").props('aria-label="Main"'):
        _brand()
        links, counts = _navigation()
        foot = _foot()
    Element("div").classes("scrim").on("click", js_handler='() => document.body.classList.remove("navopen")')
    with Element("div").classes("main"):
        strip = _Strip(screen)
        with Element("main").props("id=content tabindex=-1"):
            yield
    _mark(links, screen.client.sub_pages_router.current_path)
    screen.client.sub_pages_router.on_path_changed(lambda path: _mark(links, path))

    def tell(snapshot: Snapshot) -> None:
        if not (screen.visible and screen.client.has_socket_connection):
            return
        _tell_counts(counts, snapshot)
        strip.tell(snapshot)
        _tell_foot(screen, foot, snapshot)

    strip.live.until_deleted(screen.console.feed.subscribe(tell))


def _brand() -> None:
    with Element("a").classes("brand").props('href=/ aria-label="Holdfast, overview"'):
        Element("img").props('src=/static/mark.svg alt="" width=28 height=28')
        with Element("span"):
            text("Holdfast")
            text(socket.gethostname(), "small", "cut")


def _navigation() -> tuple[dict[str, Element], dict[str, Any]]:
    """Links and their counters, by path."""
    links, counts = {}, {}
    for group, places in PLACES.items():
        text(group, "div", "navh")
        for path, symbol, label in places:
            with Element("a").classes("nav").props(f"href={path}") as links[path]:
                icon(symbol)
                text(label)
                counts[path] = text("", classes="cnt" if path == "/agents" else "cnt bad")
    return links, counts


def _tell_counts(counts: dict[str, Any], snapshot: Snapshot) -> None:
    here = sum(agent.presence in HERE for agent in snapshot.agents)
    for path, number in (("/dead-letters", snapshot.dead), ("/agents", here), ("/air-gap", snapshot.conflicts)):
        counts[path].say(f"{number:,}" if number else "")


def _mark(links: dict[str, Element], path: str) -> None:
    """Say which page is the current one."""
    here = "/" + path.split("?")[0].strip("/").split("/")[0]
    for place, link in links.items():
        link.props("aria-current=page") if place == here else link.props(remove="aria-current")


def _foot() -> dict[str, Any]:
    said = {}
    with Element("div").classes("sidefoot"):
        for name in ("Engine", "Store", "Uptime"):
            with Element("div"):
                text(name)
                said[name] = text("–", "b")
        with Element("div").classes("links"):
            with Element("a").props("href=/docs target=_blank"):
                icon("info")
                text("API")
            with Element("form").props("method=post action=/logout"), Element("button").props("type=submit"):
                icon("out")
                text("Sign out")
    return said


def _tell_foot(screen: Screen, said: dict[str, Any], snapshot: Snapshot) -> None:
    facts, store = screen.console.facts, snapshot.store
    used, limit = _store_use(store)
    said["Engine"].say(facts.version)
    said["Store"].say(f"{design.size(used)} of {design.size(limit)}" if limit else design.size(used))
    said["Uptime"].say(design.span(max(0.0, snapshot.at - facts.started_at)))


def _store_use(store: dict[str, Any]) -> tuple[float, float]:
    return float(store.get("used") or 0), float(store.get("limit") or 0)


class _Strip:
    """The line on top: link, store, durability, what is wrong, and the live dot."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        with Element("div").classes("strip").props('aria-label="Status" role=region') as self._bar:
            self._air = AirState(**air_props(screen.console.feed.air()))
            self._store = text("", classes="hide")
            with Element("span").classes("meter hide"):
                with Element("span").classes("bar"):
                    self._fill = Element("i").style("width:0")
                self._share = text()
            Element("span").classes("sep hide")
            self._durability = text("", classes="hide")
            self._note = text("", classes="note cut")
            self.live = LinkState(paused=False, at=0)
        self.live.on("seen", lambda e: setattr(screen, "visible", bool(e.args)))
        self.live.on("help", lambda: _help().open())

    def tell(self, snapshot: Snapshot) -> None:
        store = snapshot.store
        used, limit = _store_use(store)
        share = used / limit if limit else 0.0
        sealed = store.get("kind") != "memory"
        self._air.show(**air_props(snapshot.air))
        self._store.say("Sealed store" if sealed else "Store in memory: nothing survives a restart")
        self._share.say(f"{design.size(used)} of {design.size(limit)}" if limit else design.size(used))
        self._fill.style(f"width:{max(1.0, share * 100):.0f}%")
        self._fill.classes(replace="bad" if share >= 0.9 else "hot" if share >= 0.7 else "")
        self._durability.say(DURABILITY[self._screen.console.settings.durability])
        errors = [item.title for item in snapshot.attention if item.level == "error"]
        self._note.say("; ".join(errors))
        endangered = share >= 0.9 or bool(store.get("unacknowledged")) or not snapshot.recorder.running
        tint = TINTS.get(snapshot.air.state, "") if sealed else "warn"
        self._bar.classes(remove="bad warn busy", add="bad" if endangered else tint)
        self.live.show(at=snapshot.at, paused=self._screen.paused)


def air_props(air: AirView) -> dict[str, Any]:
    """How the link stands, as the strip shows it."""
    progress = air.progress if air.state == "recovering" else None
    return {
        "state": air.state,
        "since": air.since,
        "reason": air.stopped or air.reason,
        "forced": air.forced,
        "backlog": air.unsynced_events,
        "share": progress.done / progress.total if progress and progress.total else None,
    }


def _help() -> ui.dialog:
    with ui.dialog() as dialog, Element("div").classes("sheet slim"), Element("div").classes("in"):
        text("Keyboard", "h2")
        with Element("dl").classes("keys"):
            for keys, says in KEYS:
                with Element("dt"):
                    for key in keys.split():
                        text(key, "kbd")
                text(says, "dd")
        with Element("div").classes("acts"):
            button("Close").on("click", dialog.close)
    dialog.on("hide", dialog.delete)
    return dialog


def button(label: str, symbol: str = "", classes: str = "", *, enabled: bool = True) -> Element:
    """A button with words."""
    with Element("button").classes(f"btn {classes}").props("type=button") as made:
        if symbol:
            icon(symbol)
        text(label)
    if not enabled:
        made.props("disabled")
    return made


@contextmanager
def heading(title: str, *, find: bool = True) -> Iterator[None]:
    """The head of a page; its buttons go inside."""
    ui.page_title(f"{title[:80]} · Holdfast")
    with Element("header").classes("top"):
        with Element("button").classes("btn ico burger").props('type=button aria-label="Menu"') as burger:
            icon("menu")
        burger.on("click", js_handler='() => document.body.classList.toggle("navopen")')
        text(title, "h1")
        Element("span").classes("sp")
        if find:
            Find()
        yield
        ThemeButton()


@contextmanager
def empty(title: str, says: str, symbol: str = "info") -> Iterator[None]:
    """What stands where nothing is; ways on go inside."""
    with Element("div").classes("empty"):
        icon(symbol)
        text(title, "h2")
        text(says, "p")
        with Element("div").classes("acts"):
            yield


def ghosts(lines: int = 6) -> Element:
    """A place held for what is being read."""
    with Element("div").classes("card").style("padding:18px;display:grid;gap:16px").props("aria-busy=true") as card:
        text("Loading", classes="sr")
        for n in range(lines):
            Element("div").classes("ghost").style(f"width:{92 - 13 * (n % 4)}%")
    return card
