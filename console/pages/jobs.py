"""All jobs: a page of the history at a time, filtered by state and by words, with actions on some or on all that match.

The filter stands in the address, so a link, a reload and the back button show the same jobs.  Visible rows follow the
jobs; what is picked and where one has scrolled to stay.
"""

from __future__ import annotations

import logging
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element

from console import reading
from console.auth import SignedOut
from console.components.view import FilterBox, JobsTable
from console.context import Console
from console.design import CHIPS, text
from console.feed import Snapshot
from console.pages.job_rows import Question, question_of, row_of, said, tally
from console.pages.jobs_bulk import Bulk
from console.pages.jobs_export import export_button
from console.pages.new_job import new_job_button
from console.pages.screen import Screen, exists
from console.pages.shell import empty, heading
from data import filters, queries
from data.rows import Count
from engine.kernel.errors import ValidationError

log = logging.getLogger("holdfast.console")

PAGE = 50
#: snapshots between two counts of all states
COUNT_EVERY = 5


def page(screen: Screen) -> None:
    """The jobs that the address asks for."""
    with heading("Jobs", find=False):
        new_job_button(screen)
    with Element("div").classes("page"):
        _Jobs(screen)


class _Jobs:
    """The state of the page: what is asked, what is shown, what is picked."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.question = question_of(screen.query)
        self._page = reading.Page(())
        self._counts: dict[str, Count] = {}
        self._picked: list[str] = []
        self._ticks = 0
        self._reading = False
        self._again = False
        self._given = 0
        self._broken = False
        self._chips = _Chips(self)
        with Element("div").classes("tools"):
            self._filter = FilterBox(text=self.question.text, wrong="", given=0)
            self._bulk = Bulk(screen, self)
            export_button(screen, lambda: self.question)
        self._table = JobsTable(rows=[], busy=True, back=False, more=False, place="", picked=[])
        with self._table:
            self._nothing = Element("div")
        self._filter.on("ask", lambda e: self._typed(str(e.args or "")))
        self._table.on("pick", lambda e: self.pick([str(id) for id in e.args or []]))
        self._table.on("turn", lambda e: self._turn(str(e.args)))
        screen.follow(self._table, self._told)
        screen.on_query(self._table, self._came)
        background_tasks.create(self.load(count=True), context=self._table)

    # -- what is asked

    def ask(self, *, state: str | None = None, text: str | None = None) -> None:
        """Show other jobs: a new state or other words."""
        asked = self.question
        asked = Question(asked.state if state is None else state, asked.text if text is None else text)
        if asked != self.question:
            self._give(asked.text)
            self._go(asked)

    def _typed(self, text: str) -> None:
        asked = Question(self.question.state, text)
        if asked != self.question:
            self._go(asked)

    def _give(self, text: str) -> None:
        """Write words that did not come from the box into it; the same words are left alone, somebody may be typing."""
        if text != self.question.text:
            self._given += 1
            self._filter.show(text=text, given=self._given)

    def _turn(self, way: str) -> None:
        cursor = self._page.previous_cursor if way == "back" else self._page.next_cursor
        if cursor or way == "back":
            self._go(Question(self.question.state, self.question.text, cursor or ""))

    def _go(self, question: Question) -> None:
        self._screen.go_query("/jobs", question.query)
        self._change(question)

    def _came(self, query: dict[str, str]) -> None:
        """The address changed by a link, or by going back."""
        question = question_of(query)
        if question != self.question:
            self._give(question.text)
            self._change(question)

    def _change(self, question: Question) -> None:
        self.question = question
        self.pick([])
        self._table.show(busy=True)
        self._chips.show(self._counts, question.state)
        background_tasks.create(self.load(count=True), context=self._table)

    # -- what is shown

    def _told(self, _: Snapshot) -> None:
        self._ticks += 1
        if not self._reading:
            background_tasks.create(self.load(count=self._ticks % COUNT_EVERY == 0), context=self._table)

    async def load(self, *, count: bool = False) -> None:
        """Read what is asked now; once more if the question changed while reading."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        try:
            await self._load(count)
        except ValidationError as error:
            self._filter.show(wrong=str(error))
            self._table.show(busy=False)
        except SignedOut:
            self._screen.leave()
        except Exception:
            self._tell_broken()
        finally:
            self._reading = False
        if self._again and exists(self._table):
            self._again = False
            await self.load(count=True)

    async def _load(self, count: bool) -> None:
        question, console = self.question, self._screen.console
        found = await self._screen.read(
            lambda: reading.jobs(console, question.filter, limit=PAGE, cursor=question.cursor or None)
        )
        counts = self._counts
        if count:
            counts = await self._screen.read(lambda: _counted(console, question.words))
        if exists(self._table) and question == self.question:
            self._page, self._counts, self._broken = found, counts, False
            self._show()

    def _show(self) -> None:
        rows = [row_of(job) for job in self._page.jobs]
        ids = {row["id"] for row in rows}
        total = self.total
        number = said(total) if total.n > len(rows) else f"{len(rows):,}"
        self._filter.show(wrong="")
        self._chips.show(self._counts, self.question.state)
        self._bulk.show(self._picked)
        self._tell_nothing(not rows)
        self._table.show(
            rows=rows,
            busy=False,
            back=bool(self.question.cursor),
            more=self._page.next_cursor is not None,
            place=f"{len(rows):,} of {number} jobs",
            picked=[id for id in self._picked if id in ids],
        )

    @property
    def total(self) -> Count:
        """How many jobs match."""
        return tally(self._counts, self.question.state)

    def _tell_nothing(self, nothing: bool) -> None:
        if not nothing:
            self._nothing.clear()
        elif not self._nothing.default_slot.children:
            self._explain_nothing()

    def _tell_broken(self) -> None:
        """The history cannot be read; it is tried again with each snapshot."""
        if not self._broken and exists(self._table):
            log.exception("the jobs page could not read the history")
            self._broken = True
            self._screen.toast("The history cannot be read just now; what is shown may be old", bad=True)
            self._table.show(busy=False)

    def _explain_nothing(self) -> None:
        with self._nothing:
            if not self.question.filter and not self.question.cursor:
                with empty("No jobs yet", "The first one appears here as soon as it is enqueued.", "jobs"):
                    new_job_button(self._screen)
                return
            with empty("No job matches", "Nothing in the history fits this filter.", "search"):
                text("Show all jobs", "button", "btn").on("click", lambda: self.ask(state="", text=""))

    # -- what is picked

    def pick(self, ids: list[str]) -> None:
        """Pick these jobs and no others."""
        self._picked = ids
        self._table.show(picked=ids)
        self._bulk.show(ids)


class _Chips:
    """The states above the table, with how many jobs each has."""

    def __init__(self, jobs: _Jobs) -> None:
        self._made: dict[str, tuple[Element, Any]] = {}
        with Element("div").classes("chips").props('role=group aria-label="State"'):
            for state, label in (("", "All"), *CHIPS):
                with ui.element("button").classes("chip").props("type=button") as chip:
                    text(label)
                    number = text("", classes="num")
                chip.on("click", lambda state=state: jobs.ask(state=state))
                self._made[state] = (chip, number)
        self.show({}, jobs.question.state)

    def show(self, counts: dict[str, Count], chosen: str) -> None:
        for state, (chip, number) in self._made.items():
            chip.props(f"aria-pressed={str(state == chosen).lower()}")
            if counts:
                number.say(said(tally(counts, state)))


def _counted(console: Console, words: str) -> dict[str, Count]:
    """Jobs of each state that the words match."""
    return queries.count_by_state(console.database, filters.parse(words), now=console.engine.clock.now())
