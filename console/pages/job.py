"""One job: its error first, then its attempts, what it was given, what it gave, what it said; live through its states."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from nicegui import ui
from nicegui.element import Element

from console import actions, reading
from console.actions import Outcome
from console.components.view import JobDetail
from console.design import text
from console.feed import Snapshot
from console.pages.dialogs import confirm
from console.pages.new_job import run_again
from console.pages.screen import Screen, exists
from console.pages.shell import button, empty, ghosts, heading
from console.reading import Job
from engine.kernel.errors import Conflict
from engine.kernel.job import TERMINAL, TRANSITIONS, JobState

#: states in which "retry" does something
RETRIED = ("dead", "retryable", "scheduled")
#: snapshots between two looks at a job that has ended
REST = 10
#: characters of arguments, result or outputs that are shown
MOST = 40_000


async def page(screen: Screen, id: str) -> None:
    """The job of that id, or word that there is none."""
    with Element("div") as place:
        waiting = ghosts()
    job = await screen.read(lambda: reading.job(screen.console, id))
    if not exists(place):
        return
    waiting.delete()
    with place:
        if job is None:
            _not_found(id)
        else:
            _Page(screen, job)


def _not_found(id: str) -> None:
    with heading("No such job"):
        pass
    says = f"{id[:80]} was never enqueued here, or its history has been deleted."
    with Element("div").classes("page"), Element("div").classes("card"), empty("There is no such job", says, "search"):
        text("All jobs", "a", "btn").props("href=/jobs")


class _Page:
    """The page of one job, following it."""

    def __init__(self, screen: Screen, job: Job) -> None:
        self._screen = screen
        self._job = job
        self._ticks = 0
        self._reading = False
        with heading(job.task, find=False), Element("div").classes("acts"):
            self._buttons = Element("div").classes("acts")
        _crumbs(job)
        with Element("div").classes("page"):
            self._detail = JobDetail(job=shown(job), may=screen.may("job.retry"))
        self._offer()
        screen.follow(self._detail, self._told)

    def _told(self, _: Snapshot) -> None:
        self._ticks += 1
        resting = self._job.state in TERMINAL and self._ticks % REST
        if not self._reading and not resting:
            self._screen.background(self._detail, self._refresh())

    async def _refresh(self) -> None:
        self._reading = True
        try:
            job = await self._screen.read(lambda: reading.job(self._screen.console, self._job.id))
        finally:
            self._reading = False
        if not exists(self._detail):
            return
        if job is None:
            self._screen.toast("The job has been deleted", bad=True)
            ui.navigate.to("/jobs")
            return
        changed = job.state != self._job.state or job.cancelling != self._job.cancelling
        self._job = job
        self._detail.show(job=shown(job))
        if changed:
            self._offer()

    def _offer(self) -> None:
        """The buttons that fit the job's state."""
        state, may = self._job.state, self._screen.may
        self._buttons.clear()
        with self._buttons:
            copy = button("Copy ID", "copy", "hide")
            copy.on(
                "click",
                js_handler=f"() => navigator.clipboard && navigator.clipboard.writeText({json.dumps(self._job.id)})",
            )
            copy.on("click", lambda: self._screen.toast("Copied"))
            if state != "running":
                button("Delete", "trash", "bad", enabled=may("job.delete")).on("click", self._delete)
            if JobState.CANCELLED in TRANSITIONS[JobState(state)] and not self._job.cancelling:
                button("Cancel", "stop", enabled=may("job.cancel")).on("click", self._cancel)
            button("Run again…", "edit", enabled=may("job.enqueue")).on(
                "click", lambda: run_again(self._screen, self._job)
            )
            if state in RETRIED:
                label = "Retry" if state == "dead" else "Run now"
                button(label, "retry", "pri", enabled=may("job.retry")).on("click", self._retry)

    async def _retry(self) -> None:
        done = await self._one(actions.retry, "be retried")
        if done:
            self._screen.toast("Sent back: it runs as soon as a worker is free")

    async def _cancel(self) -> None:
        done = await self._one(actions.cancel, "be cancelled")
        if done:
            self._screen.toast("Asked to stop" if self._job.state == "running" else "Cancelled")

    async def _delete(self) -> None:
        says = "It is removed together with its history. This cannot be undone."
        if await confirm("Delete this job?", says, "Delete it", bad=True) and await self._one(
            actions.delete, "be deleted"
        ):
            self._screen.toast("Deleted")
            ui.navigate.to("/jobs")

    async def _one(self, action: Any, verb: str) -> bool:
        """Do it to this job; what cannot be done is told."""
        console, id = self._screen.console, self._job.id

        def work(actor: actions.Actor) -> Outcome:
            outcome: Outcome = action(console, actor, [id])
            if not outcome.done:
                raise Conflict(f"the job is no longer in a state in which it can {verb}")
            return outcome

        done = await self._screen.act(work)
        if exists(self._detail) and action is not actions.delete:
            await self._refresh()
        return done is not None


def _crumbs(job: Job) -> None:
    with Element("nav").classes("crumb").props('aria-label="Place"'):
        text("Jobs", "a").props("href=/jobs")
        text("/")
        text(job.queue, "a", "cut").props["href"] = f"/jobs?queue={job.queue}"
        text("/")
        text(job.id, "span", "mono cut")


def shown(job: Job) -> dict[str, Any]:
    """The job as plain values for the component; what is too long for a page is cut and named in ``cut``."""
    plain: dict[str, Any] = msgspec.to_builtins(job)
    cut = {name: text for name in ("args", "metadata", "result", "outputs") if (text := _too_long(plain[name]))}
    return plain | {name: None if name == "result" else {} for name in cut} | {"cut": cut}


def _too_long(value: Any) -> str:
    """The beginning of a value that has more than ``MOST`` characters of JSON; "" for one that has not."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text[:MOST] if len(text) > MOST else ""
