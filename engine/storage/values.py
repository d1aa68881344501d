"""The key-value half of a state store: locks, counters, small caches, each change an event like any other."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from engine.kernel import events as ev
from engine.kernel.clock import Clock
from engine.storage.base import Pending
from engine.storage.fold import Fold


class Values:
    """Implements ``engine.storage.base.KeyValue`` over a fold; mixed into ``StateStore``."""

    lock: threading.RLock
    clock: Clock
    fold: Fold

    def move(self, events: Sequence[ev.Event], *, sync: bool = True) -> Pending:
        """See ``StateStore.move``."""
        raise NotImplementedError

    def value(self, key: str) -> bytes | None:
        """See ``KeyValue.value``."""
        entry = self.fold.values.get(key)
        if entry is None or (entry.expires_at and entry.expires_at <= self.clock.now()):
            return None
        return entry.value

    def values(self, prefix: str = "") -> dict[str, bytes]:
        """See ``KeyValue.values``."""
        with self.lock:
            keys = [key for key in self.fold.values if key.startswith(prefix)]
            return {key: value for key in keys if (value := self.value(key)) is not None}

    def set_value(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """See ``KeyValue.set_value``."""
        with self.lock:
            pending = self._write(key, value, ttl)
        pending.settle()

    def swap(self, key: str, expected: bytes | None, value: bytes | None, ttl: float | None = None) -> bool:
        """See ``KeyValue.swap``."""
        with self.lock:
            if self.value(key) != expected:
                return False
            pending = self._write(key, value, ttl)
        pending.settle()
        return True

    def increment(self, key: str, amount: int = 1) -> int:
        """See ``KeyValue.increment``."""
        with self.lock:
            total = int(self.value(key) or 0) + amount
            pending = self._write(key, str(total).encode(), None)
        pending.settle()
        return total

    def drop(self, prefix: str) -> int:
        """See ``KeyValue.drop``."""
        with self.lock:
            keys = [key for key in self.fold.values if key.startswith(prefix)]
            pending = self.move([ev.ValueDeleted(self.clock.now(), key) for key in keys])
        pending.settle()
        return len(keys)

    def _write(self, key: str, value: bytes | None, ttl: float | None) -> Pending:
        now = self.clock.now()
        if value is None:
            return self.move([ev.ValueDeleted(now, key)] if key in self.fold.values else [])
        return self.move([ev.ValueSet(now, key, value, now + ttl if ttl is not None else 0.0)])
