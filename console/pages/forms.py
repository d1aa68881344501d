"""Asking for a few words and doing something with them: the dialog stays open, nothing typed is lost, until it worked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from nicegui import ui
from nicegui.element import Element

from console.actions import Actor
from console.auth import SignedOut
from console.components.view import AskForm
from console.pages.screen import Screen, exists
from engine.kernel.errors import HoldfastError, ValidationError

T = TypeVar("T")
log = logging.getLogger("holdfast.console")


class Field(msgspec.Struct, frozen=True):
    """Something that is asked for."""

    name: str
    label: str
    #: line | lines | number | choice | many
    kind: str = "line"
    value: Any = ""
    hint: str = ""
    example: str = ""
    #: (value, label) of each choice
    options: Sequence[tuple[str, str]] = ()
    #: letters at the most, and whether they are for machines
    most: int | None = None
    mono: bool = False


class Ask(msgspec.Struct, frozen=True):
    """A dialog: its words and what it asks for."""

    title: str
    says: str
    yes: str
    fields: Sequence[Field]
    bad: bool = False


def ask(
    screen: Screen, asked: Ask, work: Callable[[Actor, Mapping[str, Any]], T], done: Callable[[T], object]
) -> ui.dialog:
    """Open a dialog; ``work`` is called in a thread with what was filled in, ``done`` with what it gave."""
    with screen.client.content, ui.dialog() as dialog, Element("div").classes("sheet slim"):
        form = AskForm(**msgspec.to_builtins(asked), busy=False, wrong={})
    dialog.props["aria-label"] = asked.title

    async def sent(event: Any) -> None:
        form.show(busy=True, wrong={})
        given = event.args if isinstance(event.args, dict) else {}
        answer, wrong = await _tried(screen, lambda actor: work(actor, given))
        if not exists(form):
            return
        form.show(busy=False, wrong=wrong)
        if not wrong:
            dialog.close()
            done(answer)

    form.on("send", sent)
    form.on("close", dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()
    return dialog


async def _tried(screen: Screen, work: Callable[[Actor], T]) -> tuple[T | None, dict[str, str]]:
    """What came of it, or what is wrong by field."""
    try:
        actor = screen.actor()
        return await screen.read(lambda: work(actor)), {}
    except SignedOut:
        screen.leave()
        return None, {"": "You are not signed in any more."}
    except ValidationError as error:
        return None, {error.field: str(error)}
    except HoldfastError as error:
        return None, {"": str(error)}
    except Exception:
        log.exception("an action failed")
        return None, {"": "That did not work; the log of the console says why."}


def number(given: Mapping[str, Any], name: str, otherwise: int | None = None) -> int | None:
    """A whole number that was filled in.  Raises ``ValidationError`` for anything else."""
    said = str(given.get(name) or "").strip()
    if not said:
        return otherwise
    if not said.isdecimal() or len(said) > 9:
        raise ValidationError(f"{name}: a whole number", name)
    return int(said)


def words(given: Mapping[str, Any], name: str) -> str:
    """Text that was filled in."""
    return str(given.get(name) or "").strip()


def chosen(given: Mapping[str, Any], name: str) -> list[str]:
    """What was picked of many."""
    picked = given.get(name)
    return [str(one) for one in picked] if isinstance(picked, list) else []
