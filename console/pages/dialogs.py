"""Asking before something that cannot be taken back, or that touches many jobs."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui
from nicegui.element import Element

from console.design import text
from console.pages.shell import button

#: choices of "spread over": label -> seconds
SPREADS = {"At once": 0.0, "Over 1 minute": 60.0, "Over 10 minutes": 600.0, "Over 1 hour": 3600.0}


async def confirm(title: str, says: str, yes: str, *, bad: bool = False, items: Sequence[str] = ()) -> bool:
    """Whether the person agrees; ``items`` are what it is about."""
    with _dialog(title) as dialog, _sheet(title, says, items), Element("div").classes("acts"):
        button("Keep as it is" if bad else "Cancel").on("click", lambda: dialog.submit(False))
        button(yes, classes="pri bad" if bad else "pri").props("autofocus").on("click", lambda: dialog.submit(True))
    return bool(await _answer(dialog))


async def confirm_spread(title: str, says: str, yes: str) -> float | None:
    """Over how many seconds to spread, or ``None`` to leave it."""
    with _dialog(title) as dialog, _sheet(title, says):
        with Element("div").classes("field"):
            text("When", "label").props("for=hf-spread")
            with Element("select").classes("inp").props("id=hf-spread") as choice:
                for label, seconds in SPREADS.items():
                    text(label, "option").props(f"value={seconds:g}")
        chosen = {"over": 0.0}
        choice.on("change", lambda e: chosen.update(over=_spread(e.args)), js_handler="(e) => emit(e.target.value)")
        with Element("div").classes("acts"):
            button("Cancel").on("click", lambda: dialog.submit(False))
            button(yes, "retry", "pri").on("click", lambda: dialog.submit(True))
    return chosen["over"] if await _answer(dialog) else None


def _dialog(title: str) -> ui.dialog:
    dialog = ui.dialog()
    dialog.props["aria-label"] = title
    return dialog


async def _answer(dialog: ui.dialog) -> object:
    """What was submitted; ``None`` if it was closed, or the page left."""
    dialog.on("hide", dialog.delete)
    return await dialog


def _spread(shown: object) -> float:
    """One of the choices, whatever a browser sends."""
    return next((seconds for seconds in SPREADS.values() if f"{seconds:g}" == str(shown)), 0.0)


def _sheet(title: str, says: str, items: Sequence[str] = ()) -> Element:
    with Element("div").classes("sheet slim").props("role=document"), Element("div").classes("in") as inside:
        text(title, "h2")
        text(says, "p")
        if items:
            with Element("ul").classes("about"):
                for item in items:
                    text(item, "li")
    return inside
