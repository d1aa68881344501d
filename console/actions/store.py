"""Acknowledging what the sealed store has set aside."""

from __future__ import annotations

from typing import Protocol, cast

from console.actions.actor import Actor, authorise
from console.context import Console
from engine.kernel.errors import Conflict


class _Sealed(Protocol):
    def acknowledge_quarantined(self) -> int:
        """All that was set aside until now is known; it stays kept.  Returns how many were new."""


def acknowledge(console: Console, actor: Actor) -> int:
    """Say that all entries set aside until now were looked at; returns how many were new.

    They stay in the store, and are listed, but need no attention any more.  Raises ``Conflict``, ``StoreFull``.
    """
    authorise(actor, "store.acknowledge")
    if not hasattr(console.engine.store, "acknowledge_quarantined"):
        raise Conflict("this store seals nothing, so it sets nothing aside")
    count = cast(_Sealed, console.engine.store).acknowledge_quarantined()
    if count:
        console.trail.write(actor, "store.acknowledge", f"{count} set aside")
    return count
