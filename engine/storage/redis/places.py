"""Which queue a job or a lease is in, as far as this process has seen it.  A hint: what is forgotten is asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

#: entries after which the older half is forgotten
KEPT = 50_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Places(Generic[K, V]):
    """A map that forgets what was not written for long.  Every single operation is atomic."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def remember(self, keys: Iterable[K], value: V) -> None:
        """Note where some keys are."""
        self._young.update(dict.fromkeys(keys, value))
        if len(self._young) > self._kept:
            self._old, self._young = self._young, {}

    def of(self, key: K) -> V | None:
        """Where it is, if that is known."""
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def forget(self, key: K) -> None:
        """It is nowhere any more."""
        self._young.pop(key, None)
        self._old.pop(key, None)
