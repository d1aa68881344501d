"""Whom this home trusts: cards of other homes, by names given here.  Kept in the store's own values.

Trust goes both ways at once: a trusted home's bundles are taken in, and bundles may be sealed to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from airgap.bundles.cards import Card, read_card
from engine.kernel.clock import Clock
from engine.kernel.errors import Conflict, NotFound
from engine.kernel.job import check_name
from engine.storage.base import KeyValue

PREFIX = "trust:"


class Trusted(msgspec.Struct, frozen=True):
    """A home that is trusted."""

    #: what it is called here
    name: str
    #: its card, as a line
    card: str
    at: float
    by: str

    @property
    def keys(self) -> Card:
        """The card itself."""
        return read_card(self.card)


class Trust:
    """The homes that are trusted."""

    def __init__(self, values: KeyValue, clock: Clock) -> None:
        self._values = values
        self._clock = clock

    def add(self, line: str, *, own: Card, name: str = "", by: str = "") -> Trusted:
        """Trust the home whose card this is, under its own name or another one.  Raises ``ValidationError``, ``Conflict``."""
        card = read_card(line)
        called = check_name(name or card.name, "name")
        if card.signing == own.signing:
            raise Conflict("this is the card of this home itself; trust the one that the other home shows")
        known = self._find(called)
        if known is not None and known.keys.signing != card.signing:
            raise Conflict(f"{called} is trusted already, with another key; distrust it first, or give another name")
        same = self.by_key(card.fingerprint)
        if same is not None and same.name != called:
            raise Conflict(f"this card is trusted already, as {same.name}")
        trusted = Trusted(called, card.line(), self._clock.now(), by)
        self._values.set_value(PREFIX + called, msgspec.json.encode(trusted))
        return trusted

    def remove(self, name: str) -> Trusted:
        """Trust a home no more; bundles that it made are refused from now on.  Raises ``NotFound``."""
        trusted = self.named(name)
        key = PREFIX + trusted.name
        self._values.swap(key, self._values.value(key), None)
        return trusted

    def all(self) -> list[Trusted]:
        """All of them, by name."""
        return sorted(self._kept(), key=lambda trusted: trusted.name)

    def named(self, name: str) -> Trusted:
        """The one of that name.  Raises ``NotFound``."""
        found = self._find(name)
        if found is None:
            known = ", ".join(trusted.name for trusted in self.all())
            mend = f"there are {known}" if known else "trust its card first: airgap trust CARD"
            raise NotFound(f"no home is trusted under the name {name:.60}; {mend}")
        return found

    def by_key(self, fingerprint: str) -> Trusted | None:
        """The one that signs with that key."""
        return next((trusted for trusted in self._kept() if trusted.keys.fingerprint == fingerprint), None)

    def _find(self, name: str) -> Trusted | None:
        return next((trusted for trusted in self._kept() if trusted.name == name), None)

    def _kept(self) -> Iterator[Trusted]:
        for value in self._values.values(PREFIX).values():
            yield msgspec.json.decode(value, type=Trusted)
