"""A store that fails when it is told to: slow answers, errors, lost answers, a cut connection.

It stands in front of a real store and passes everything on, so what is not told to fail works as always.  Faults apply to
the operations of the storage contract, in the order in which they were told; each is used up after ``times`` calls.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.kernel.clock import FakeClock
from engine.storage.base import KeyValue, QueueStore, Store

#: what a fault can hit; waiting for work and opening always go through
OPERATIONS = frozenset(name for part in (QueueStore, KeyValue) for name in vars(part) if not name.startswith("_")) - {
    "wait",
    "wake",
    "configure",
}


class Disconnected(ConnectionError):
    """The store cannot be reached."""


class _Fault:
    """Something that goes wrong with the next ``left`` calls of some operations."""

    def __init__(self, on: frozenset[str], left: float, before: Callable[[], None], after: Callable[[], None]) -> None:
        self.on = on
        self.left = left
        self.before = before
        self.after = after


class FaultyStore:
    """A store in front of ``store``.  With a ``FakeClock``, latency moves the clock instead of waiting."""

    def __init__(self, store: Store, clock: object = None) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._cut = False
        #: operation -> how often it was called
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in OPERATIONS:
            return found

        def through(*args: Any, **kwargs: Any) -> Any:
            return self._through(name, found, args, kwargs)

        return through

    def fail(self, error: Exception, *, on: str | Sequence[str] = "put", times: float = 1) -> None:
        """Raise ``error`` instead of doing the next ``times`` operations ``on``."""
        self._add(on, times, before=_raiser(error))

    def lose_answers(self, *, on: str | Sequence[str] = "put", times: float = 1) -> None:
        """Do the next ``times`` operations, and then raise ``Disconnected``: done, but the caller cannot know."""
        self._add(on, times, after=_raiser(Disconnected("the answer was lost")))

    def delay(
        self, seconds: float, *, on: str | Sequence[str] = tuple(OPERATIONS), times: float = float("inf")
    ) -> None:
        """Let the next ``times`` operations take ``seconds`` longer."""
        self._add(on, times, before=lambda: self._pass_time(seconds))

    def disconnect(self) -> None:
        """Let every operation raise ``Disconnected``, until ``reconnect``."""
        self._cut = True

    def reconnect(self) -> None:
        """Let operations through again."""
        self._cut = False

    @contextmanager
    def disconnected(self) -> Iterator[None]:
        """Disconnect for the length of a ``with`` block."""
        self.disconnect()
        try:
            yield
        finally:
            self.reconnect()

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()
        self.reconnect()

    def _add(
        self,
        on: str | Sequence[str],
        times: float,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        names = frozenset({on} if isinstance(on, str) else on)
        if unknown := names - OPERATIONS:
            raise ValueError(
                f"no such operation of a store: {', '.join(unknown)}; known are {', '.join(sorted(OPERATIONS))}"
            )
        with self._lock:
            self._faults.append(_Fault(names, times, before, after))

    def _through(self, name: str, operation: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        self.calls[name] += 1
        if self._cut:
            raise Disconnected(f"{name}: the store cannot be reached")
        faults = self._due(name)
        for fault in faults:
            fault.before()
        answer = operation(*args, **kwargs)
        for fault in faults:
            fault.after()
        return answer

    def _due(self, name: str) -> list[_Fault]:
        with self._lock:
            due = [fault for fault in self._faults if name in fault.on]
            for fault in due:
                fault.left -= 1
            self._faults = [fault for fault in self._faults if fault.left > 0]
        return due

    def _pass_time(self, seconds: float) -> None:
        if isinstance(self._clock, FakeClock):
            self._clock.advance(seconds)
        else:
            threading.Event().wait(seconds)


def _raiser(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail
