"""The pages of the console: one single-page shell, with Overview, Jobs, Dead letters, Agents and Air gap inside it.

A page is a short function over components; it reads with ``console.reading`` and changes with ``console.actions``, both off
the event loop.  ``build`` gives the root page function to whoever serves it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.element import Element

from console import design
from console.auth import SignedOut
from console.context import Console
from console.design import text
from console.pages import agents, air_gap, dead_letters, job, jobs, overview
from console.pages.screen import Screen, exists
from console.pages.shell import empty, heading, shell

log = logging.getLogger("holdfast.console")


def build(console: Console) -> Callable[[], None]:
    """The root page: everything under ``/`` that is no API."""
    head = design.head()

    def root() -> None:
        ui.add_head_html(head)
        screen = Screen(console)
        with shell(screen):
            _Pages(
                {
                    "/": lambda: _shown(screen, lambda: overview.page(screen)),
                    "/jobs": lambda: _shown(screen, lambda: jobs.page(screen)),
                    "/jobs/{id}": lambda id: _shown(screen, lambda: job.page(screen, id)),
                    "/dead-letters": lambda: _shown(screen, lambda: dead_letters.page(screen)),
                    "/agents": lambda: _shown(screen, lambda: agents.page(screen)),
                    "/air-gap": lambda: _shown(screen, lambda: air_gap.page(screen)),
                }
            )

    return root


class _Pages(ui.sub_pages):
    """The pages by address, and what is said where there is none."""

    def _render_404(self) -> None:
        with heading("No such page"):
            pass
        says = "The address leads nowhere in this console."
        with Element("div").classes("page"), Element("div").classes("card"), empty("Nothing here", says, "search"):
            text("Overview", "a", "btn").props("href=/")


async def _shown(screen: Screen, build: Callable[[], Awaitable[None] | None]) -> None:
    """Build a page; if it cannot be built, say so and offer to try again."""
    with Element("div") as place:
        try:
            building = build()
            if inspect.isawaitable(building):
                await building
        except SignedOut:
            screen.leave()
        except Exception:
            log.exception("a page could not be built")
            if exists(place):
                place.clear()
                _broken()


def _broken() -> None:
    with heading("Something is wrong"):
        pass
    says = "It may be the database. Jobs go on; the log of the console has the details."
    with (
        Element("div").classes("page"),
        Element("div").classes("card"),
        empty("The page cannot be shown", says, "alert"),
    ):
        again = text("Try again", "button", "btn pri").props("type=button")
        again.on("click", js_handler="() => location.reload()")
