"""The first page: how it goes right now, what needs a person, and what the last hours looked like."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import background_tasks
from nicegui.element import Element

from console import actions, charts
from console.components.view import Activity, Attention, Figures, Queues, Throughput, View
from console.design import text
from console.feed import Snapshot
from console.pages import welcome
from console.pages.dialogs import confirm
from console.pages.figures import activity_of, attention_of, bars_of, figures_of, queues_of, set_aside
from console.pages.new_job import new_job_button
from console.pages.screen import Screen, exists
from console.pages.shell import button, ghosts, heading
from data import queries

#: name -> (seconds shown, seconds per bar)
RANGES = {"1h": (3600, 60), "6h": (21600, 300), "24h": (86400, 900), "7d": (604800, 7200)}
LABELS = {"1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d"}
LEGEND = (("c1", "Completed"), ("c2", "Retried"), ("c3", "Failed"), ("c4", "Cancelled"))
KEPT = (
    "These entries could not be opened. They are kept as they were found, and the API goes on listing them; "
    "acknowledging takes the warning away."
)
#: seconds given to the recorder before a bar is closed: half a bar looks like an outage
CLOSING = 3.0


async def page(screen: Screen) -> None:
    """Overview, or the welcome while nothing was ever enqueued."""
    with Element("div") as place:
        waiting = ghosts()
    snapshot = await screen.read(screen.console.feed.latest)
    if not exists(place):
        return
    waiting.delete()
    with place:
        if snapshot.empty:
            _until_first_job(screen, place)
            welcome.show(screen)
        else:
            await _overview(screen, snapshot)


def _until_first_job(screen: Screen, place: Element) -> None:
    """Turn the welcome into the overview once there is a job."""

    def told(snapshot: Snapshot) -> None:
        if not snapshot.empty:
            place.clear()
            with place:
                background_tasks.create(_overview(screen, snapshot), context=place)

    with place:
        screen.follow(View().classes("sr"), told)


async def _overview(screen: Screen, snapshot: Snapshot) -> None:
    span = screen.query.get("range", "1h")
    with heading("Overview"):
        chart_range = _ranges(span if span in RANGES else "1h")
        _pause_button(screen)
        new_job_button(screen)
    with Element("div").classes("page"):
        figures = Figures(figures=figures_of(snapshot))
        with Element("div").classes("grid band"):
            with Element("section").classes("card chartcard").props('aria-label="Jobs finished per minute"') as card:
                _legend()
            attention = Attention(items=attention_of(snapshot, screen.may))
        with Element("div").classes("grid pair"):
            queues = Queues(queues=queues_of(snapshot), may=screen.may("queue.pause"))
            activity = Activity(jobs=activity_of(snapshot))
    queues.on("flip", lambda e: _flip(screen, str(e.args["queue"]), bool(e.args["pause"])))
    attention.on("act", lambda: _acknowledge(screen, attention))

    def tell(now: Snapshot) -> None:
        figures.show(figures=figures_of(now))
        attention.show(items=attention_of(now, screen.may))
        queues.show(queues=queues_of(now))
        activity.show(jobs=activity_of(now))

    screen.follow(figures, tell)
    chart = _Chart(screen, card)
    await chart.begin(span if span in RANGES else "1h", snapshot.at)
    chart_range.on("click", chart.turn, js_handler="(e) => e.target.name && emit(e.target.name)")


def _ranges(chosen: str) -> Element:
    with Element("div").classes("seg hide").props('role=group aria-label="Time shown in the chart"') as group:
        for name, label in LABELS.items():
            text(label, "button").props(f"type=button name={name} aria-pressed={str(name == chosen).lower()}")
    return group


def _legend() -> None:
    with Element("header"):
        text("Jobs finished per minute", "h2")
        Element("span").classes("sp")
        with Element("div").classes("legend").props("aria-hidden=true"):
            for color, label in LEGEND:
                with Element("span"):
                    Element("i").classes(color)
                    text(label)


def _pause_button(screen: Screen) -> None:
    made = button("", "pause", "ico hide").props(
        'aria-label="Pause live updates" aria-pressed=false title="Pause live updates"'
    )

    def turn() -> None:
        screen.paused = not screen.paused
        made.props(f"aria-pressed={str(screen.paused).lower()}")

    made.props(f"aria-pressed={str(screen.paused).lower()}").on("click", turn)


async def _flip(screen: Screen, queue: str, pause: bool) -> None:
    change = actions.pause if pause else actions.resume
    done = await screen.act(lambda actor: (change(screen.console, actor, queue), True)[1])
    if done:
        screen.toast(f"{queue} is paused: running jobs end, no more are started" if pause else f"{queue} goes on")


async def _acknowledge(screen: Screen, attention: Attention) -> None:
    """Show what was set aside, and take the warning away if the person has seen enough."""
    items = await screen.act(lambda _: set_aside(screen.console.feed.latest()))
    if not items or not exists(attention):
        return
    with attention:
        sure = await confirm("Set aside by the store", KEPT, "Acknowledge", items=items)
    count = await screen.act(lambda actor: actions.acknowledge(screen.console, actor)) if sure else None
    if count is not None:
        screen.toast(f"{count:,} acknowledged; kept in the store as they were found")


class _Chart:
    """Jobs finished per minute; reads a range once, then only the bars that closed since."""

    def __init__(self, screen: Screen, card: Element) -> None:
        self._screen = screen
        self._card = card
        self._view: Throughput | None = None
        self._name = "1h"
        self._until = 0.0
        self._reading = False

    async def begin(self, name: str, now: float) -> None:
        self._name = name
        length, step = RANGES[name]
        until = _closed(now, step)
        bars = await self._read(until - length, until, step)
        figure = await asyncio.to_thread(charts.throughput, step)
        if not exists(self._card):
            return
        self._until = until
        shown = {"figure": figure, "bars": bars, "step": step, "most": length // step, "version": f"{name} {until}"}
        if self._view is None:
            with self._card:
                self._view = Throughput(**shown)
            self._screen.follow(self._view, self._told)
        else:
            self._view.show(**shown)

    async def turn(self, event: Any) -> None:
        """Show another range."""
        name = str(event.args)
        if name not in RANGES:
            return
        for child in event.sender.default_slot.children:
            child.props(f"aria-pressed={str(child.props.get('name') == name).lower()}")
        self._screen.go_query("/", {"range": name if name != "1h" else ""}, replace=True)
        await self.begin(name, self._screen.console.engine.clock.now())

    def _told(self, snapshot: Snapshot) -> None:
        closed = _closed(snapshot.at, RANGES[self._name][1])
        if closed > self._until and not self._reading and self._view is not None:
            self._screen.background(self._view, self._extend(closed))

    async def _extend(self, closed: float) -> None:
        self._reading = True
        try:
            name, since, step = self._name, self._until, RANGES[self._name][1]
            bars = await self._read(since, closed, step)
            if name == self._name and self._view is not None and exists(self._view):
                self._until = closed
                self._view.push(bars)
        finally:
            self._reading = False

    async def _read(self, since: float, until: float, step: int) -> dict[str, list[float]]:
        database = self._screen.console.database
        buckets = await asyncio.to_thread(queries.throughput, database, since, until, step=step)
        return bars_of(buckets, since, until, step)


def _closed(now: float, step: int) -> float:
    """Where the last whole bar ends."""
    return float((now - CLOSING) // step * step)
