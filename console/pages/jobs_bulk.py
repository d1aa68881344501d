"""Actions on several jobs: on those picked, or on all that match the filter."""

from __future__ import annotations

from typing import Protocol

from nicegui.element import Element

from console import actions
from console.actions import Actor, Outcome
from console.design import text
from console.pages.dialogs import confirm
from console.pages.job_rows import Question, said
from console.pages.screen import Screen
from console.pages.shell import button
from data.rows import Count

#: action -> (label, icon, what is said when it is done)
ACTIONS = {
    "retry": ("Retry", "retry", "sent back"),
    "cancel": ("Cancel", "stop", "cancelled or asked to stop"),
    "delete": ("Delete", "trash", "deleted"),
}
MEANING = {
    "retry": "Dead jobs are tried once more and waiting ones become due now; others stay as they are.",
    "cancel": "Waiting jobs are cancelled and running ones asked to stop; others stay as they are.",
    "delete": "They are removed together with their history. Running jobs stay. This cannot be undone.",
}


class Shown(Protocol):
    """What the bar needs of the page."""

    question: Question

    @property
    def total(self) -> Count: ...
    def pick(self, ids: list[str]) -> None: ...
    async def load(self, *, count: bool = False) -> None: ...


class Bulk:
    """The bar that appears once something is picked."""

    def __init__(self, screen: Screen, jobs: Shown) -> None:
        self._screen = screen
        self._jobs = jobs
        self._ids: list[str] = []
        self._all = False
        with Element("div").classes("acts").style("display:none") as self._bar:
            self._said = text("", classes="said")
            self._widen = text("", "button", "btn").props("type=button").on("click", self._take_all)
            for name, (label, symbol, _) in ACTIONS.items():
                made = button(label, symbol, "bad" if name == "delete" else "", enabled=screen.may(f"job.{name}"))
                made.on("click", lambda name=name: self._ask(name))
        Element("span").classes("sp")

    def show(self, ids: list[str]) -> None:
        """These are picked now."""
        if ids != self._ids:
            self._all = False
        self._ids = ids
        self._bar.style("display:flex" if ids else "display:none")
        total = self._jobs.total
        self._said.say(f"All {said(total)} that match" if self._all else f"{len(ids):,} selected")
        self._widen.say(f"Select all {said(total)} that match")
        self._widen.set_visibility(not self._all and total.n > len(ids))

    def _take_all(self) -> None:
        self._all = True
        self.show(self._ids)

    async def _ask(self, name: str) -> None:
        ids, everything, query = list(self._ids), self._all, self._jobs.question.filter
        number = self._jobs.total if everything else Count(len(ids))
        jobs = f"{said(number)} job{'s' if number.n != 1 else ''}"
        label = ACTIONS[name][0]
        which = f"All jobs that match “{query}”. " if everything and query else "All jobs. " if everything else ""
        with self._bar:
            if not await confirm(f"{label} {jobs}?", which + MEANING[name], f"{label} {jobs}", bad=name == "delete"):
                return
        outcome = await self._screen.act(lambda actor: self._do(actor, name, query if everything else None, ids))
        if outcome is not None:
            self._screen.toast(told(name, outcome))
            self._jobs.pick([])
            await self._jobs.load(count=True)

    def _do(self, actor: Actor, name: str, query: str | None, ids: list[str]) -> Outcome:
        console = self._screen.console
        if query is not None:
            return actions.apply_to_matching(console, actor, name, query)
        act = {"retry": actions.retry, "cancel": actions.cancel, "delete": actions.delete}[name]
        return act(console, actor, ids)


def told(name: str, outcome: Outcome) -> str:
    """What became of it, in words."""
    words = f"{outcome.done:,} job{'s' if outcome.done != 1 else ''} {ACTIONS[name][2]}"
    return f"{words}, {outcome.unchanged:,} could not be" if outcome.unchanged else words
