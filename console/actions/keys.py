"""Changing what opens things: the store's data key, and tokens."""

from __future__ import annotations

from typing import Protocol, cast

from console.actions.actor import Actor, authorise
from console.context import Console
from engine.kernel.errors import Conflict


class _Sealed(Protocol):
    def rotate_keys(self) -> str:
        """Seal with a new key from now on; what is sealed with older ones follows in the background."""


def rotate_keys(console: Console, actor: Actor) -> str:
    """Give the sealed store a new data key; returns its id.  Raises ``Conflict`` for a store that seals nothing."""
    authorise(actor, "keys.rotate")
    if not hasattr(console.engine.store, "rotate_keys"):
        raise Conflict("this store seals nothing, so it has no key to rotate")
    key = cast(_Sealed, console.engine.store).rotate_keys()
    console.trail.write(actor, "keys.rotate", key)
    return key


def create_token(console: Console, actor: Actor, name: str, role: str, tenant: str | None = None) -> str:
    """Make a token and return it, the only time it can be read."""
    authorise(actor, "access.manage")
    token = console.access.tokens.create(name, role, tenant)
    console.trail.write(actor, "token.create", name, {"role": role, "tenant": tenant})
    return token


def revoke_token(console: Console, actor: Actor, name: str) -> None:
    """Make a token worthless at once, with all sessions that came in with it."""
    authorise(actor, "access.manage")
    console.access.revoke(name)
    console.trail.write(actor, "token.revoke", name)
