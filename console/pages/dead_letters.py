"""Dead letters: jobs whose attempts are used up, grouped by cause, kept until someone decides."""

from __future__ import annotations

from typing import Any

from nicegui.element import Element

from console import actions
from console.actions import Outcome
from console.components.view import DeadLetters
from console.design import text
from console.feed import Snapshot
from console.pages.dialogs import confirm, confirm_spread
from console.pages.jobs_bulk import told
from console.pages.screen import Screen, exists
from console.pages.shell import button, empty, ghosts, heading
from data import queries
from data.filters import Term, Value
from data.rows import DeadGroup

#: snapshots between two readings of the groups
EVERY = 2
NONE = "A job that fails in all its attempts is kept here with its cause, until someone decides."
GONE = "They are removed together with their history. This cannot be undone."


async def page(screen: Screen) -> None:
    """All groups, the latest first."""
    with heading("Dead letters"):
        acts = Element("div").classes("acts")
    with Element("div").classes("page") as place:
        waiting = ghosts()
    groups = await screen.read(lambda: queries.dead_groups(screen.console.database))
    if exists(place):
        waiting.delete()
        with place:
            _Page(screen, groups, acts)


class _Page:
    def __init__(self, screen: Screen, groups: list[DeadGroup], acts: Element) -> None:
        self._screen = screen
        self._groups = groups
        self._ticks = 0
        self._reading = False
        with acts:
            self._all = button("Retry all", "retry", "pri", enabled=screen.may("job.retry")).on(
                "click", self._revive_all
            )
        self._said = text("", "p", "muted").style("margin-bottom:12px")
        self._view = DeadLetters(groups=[], may=screen.may("job.retry"))
        with Element("div").classes("card") as self._nothing, empty("No dead letters", NONE, "check"):
            text("All jobs", "a", "btn").props("href=/jobs")
        self._view.on("revive", lambda e: self._revive(str(e.args)))
        self._view.on("remove", lambda e: self._remove(str(e.args)))
        self._show()
        screen.follow(self._view, self._told)

    def _show(self) -> None:
        number, causes = sum(group.n for group in self._groups), len(self._groups)
        self._view.show(groups=[shown(group) for group in self._groups])
        self._nothing.set_visibility(not self._groups)
        self._all.set_visibility(bool(self._groups))
        jobs, kinds = f"{number:,} job{_s(number)}", f"{causes:,} cause{_s(causes)}"
        self._said.say(f"{jobs} with {kinds}. Look at one, mend the cause, then send its jobs back." if number else "")

    def _told(self, _: Snapshot) -> None:
        self._ticks += 1
        if self._ticks % EVERY == 0 and not self._reading:
            self._screen.background(self._view, self._refresh())

    async def _refresh(self) -> None:
        self._reading = True
        try:
            groups = await self._screen.read(lambda: queries.dead_groups(self._screen.console.database))
        finally:
            self._reading = False
        if exists(self._view):
            self._groups = groups
            self._show()

    async def _revive_all(self) -> None:
        number = sum(group.n for group in self._groups)
        await self._retry(f"Retry all {number:,} dead letters?", "state:dead")

    async def _revive(self, key: str) -> None:
        group = self._find(key)
        if group is not None:
            title = f"Retry {group.n:,} job{_s(group.n)} of {group.type or 'this cause'}?"
            await self._retry(title, f"state:dead {filter_of(group)}")

    async def _retry(self, title: str, query: str) -> None:
        says = "Each is tried once more. Spread them over time if what they call needs a gentle start."
        with self._view:
            over = await confirm_spread(title, says, "Retry")
        if over is not None:
            await self._apply("retry", query, over)

    async def _remove(self, key: str) -> None:
        group = self._find(key)
        if group is None:
            return
        title = f"Delete {group.n:,} dead job{_s(group.n)}?"
        with self._view:
            sure = await confirm(title, GONE, "Delete", bad=True)
        if sure:
            await self._apply("delete", f"state:dead {filter_of(group)}", 0.0)

    async def _apply(self, name: str, query: str, over: float) -> None:
        def work(actor: actions.Actor) -> Outcome:
            return actions.apply_to_matching(self._screen.console, actor, name, query, over=over)

        outcome = await self._screen.act(work)
        if outcome is not None:
            self._screen.toast(told(name, outcome))
            await self._refresh()

    def _find(self, key: str) -> DeadGroup | None:
        return next((group for group in self._groups if key_of(group) == key), None)


def key_of(group: DeadGroup) -> str:
    """Tells groups apart; those without a fingerprint by their words."""
    return group.fingerprint or f"{group.type} {group.message}"


def filter_of(group: DeadGroup) -> str:
    """The words of the filter that find the jobs of a group."""
    return str(Term("fingerprint", (Value(group.fingerprint),)))


def shown(group: DeadGroup) -> dict[str, Any]:
    """A group as plain values for the component."""
    return {
        "key": key_of(group),
        "type": group.type,
        "message": group.message[:600],
        "tasks": list(group.tasks),
        "queues": list(group.queues),
        "n": group.n,
        "first": group.first_at,
        "last": group.last_at,
        "sample": group.sample_ids[0] if group.sample_ids else "",
        "filter": filter_of(group),
    }


def _s(number: int) -> str:
    return "" if number == 1 else "s"
