"""The key-value half of a linked store: shared by the fleet while connected, the node's own while cut off.

Three kinds of keys: the node's *own* (identity, link, bundles) never leave its journal; *kept* ones (limits set by hand)
are written on both sides, so that a cut-off node has them; all others live in Redis while it is there.  What was written
while cut off is given to Redis on return: the last writer wins.
"""

from __future__ import annotations

import logging

from airgap.storage import JournalStore
from engine.kernel.errors import Unreachable
from engine.storage.lanes import Remote

log = logging.getLogger("holdfast.link")

#: keys that begin so stay with the node
OWN = ("link:", "bundle:", "trust:", "node:")
#: keys that begin so are needed on both sides
KEPT = ("queue-limits:",)
#: names the keys that were written while cut off
CHANGED = "link:changed:"


class SharedValues:
    """Implements ``engine.storage.base.KeyValue``; mixed into ``LinkedStore``."""

    local: JournalStore
    remote: Remote

    @property
    def connected(self) -> bool:
        raise NotImplementedError

    def unanswered(self, error: Unreachable) -> None:
        """A call to Redis was not answered."""
        raise NotImplementedError

    def value(self, key: str) -> bytes | None:
        """See ``KeyValue.value``."""
        if self._shared(key):
            try:
                return self.remote.value(key)
            except Unreachable as error:
                self.unanswered(error)
        return self.local.value(key)

    def values(self, prefix: str = "") -> dict[str, bytes]:
        """See ``KeyValue.values``."""
        if self._shared(prefix):
            try:
                return self.local.values(prefix) | self.remote.values(prefix)
            except Unreachable as error:
                self.unanswered(error)
        return self.local.values(prefix)

    def set_value(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """See ``KeyValue.set_value``."""
        if self._shared(key):
            try:
                self.remote.set_value(key, value, ttl)
                if key.startswith(KEPT):
                    self.local.set_value(key, value, ttl)
                return
            except Unreachable as error:
                self.unanswered(error)
        self.local.set_value(key, value, ttl)
        self._note(key)

    def swap(self, key: str, expected: bytes | None, value: bytes | None, ttl: float | None = None) -> bool:
        """See ``KeyValue.swap``.  Across a partition both sides may win."""
        if self._shared(key):
            try:
                return self.remote.swap(key, expected, value, ttl)
            except Unreachable as error:
                self.unanswered(error)
        swapped = self.local.swap(key, expected, value, ttl)
        if swapped:
            self._note(key)
        return swapped

    def increment(self, key: str, amount: int = 1) -> int:
        """See ``KeyValue.increment``.  What is counted while cut off is added on return."""
        if self._shared(key):
            try:
                return self.remote.increment(key, amount)
            except Unreachable as error:
                self.unanswered(error)
        if not key.startswith(OWN):
            self.local.increment(CHANGED + "+" + key, amount)
        return self.local.increment(key, amount)

    def drop(self, prefix: str) -> int:
        """See ``KeyValue.drop``."""
        dropped = self.local.drop(prefix)
        if self._shared(prefix):
            try:
                return max(dropped, self.remote.drop(prefix))
            except Unreachable as error:
                self.unanswered(error)
        return dropped

    def give_values(self) -> None:
        """Give Redis what was written while cut off.  Raises ``Unreachable``."""
        for noted, amount in self.local.values(CHANGED).items():
            key = noted.removeprefix(CHANGED)
            if key.startswith("+"):
                self.remote.increment(key[1:], int(amount))
                self._forget(noted, key[1:])
                continue
            value = self.local.value(key)
            if value is not None:
                self.remote.set_value(key, value)
            self._forget(noted, key)

    def _forget(self, noted: str, key: str) -> None:
        self.local.swap(noted, self.local.value(noted), None)
        if not key.startswith(KEPT):
            self.local.swap(key, self.local.value(key), None)

    def _shared(self, key: str) -> bool:
        return self.connected and not key.startswith(OWN)

    def _note(self, key: str) -> None:
        if not key.startswith(OWN):
            self.local.set_value(CHANGED + key, b"1")
