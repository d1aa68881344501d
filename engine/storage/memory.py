"""The memory backend: a state store whose log keeps nothing.  The reference for the contract, and for tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, SystemClock
from engine.kernel.events import Event
from engine.storage.state import StateStore


class _Pending:
    """Events that are as durable as memory gets, but not told yet."""

    __slots__ = ("_log",)

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def settle(self) -> None:
        """Tell them."""
        self._log.publish()


class MemoryLog:
    """Publishes events in the order of the moves, and forgets them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[tuple[Sequence[Event], Callable[[], None] | None]] = deque()
        self._publishing = threading.RLock()

    def append(
        self,
        events: Sequence[Event],
        *,
        sync: bool = True,
        reserve: bool = False,
        then: Callable[[], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> _Pending:
        """See ``Log.append``."""
        self._waiting.append((events, then))
        return _Pending(self)

    def publish(self) -> None:
        """Tell what waits, one thread at a time."""
        with self._publishing:
            while self._waiting:
                events, then = self._waiting.popleft()
                if then is not None:
                    then()
                if events:
                    self._bus.publish(events)


class MemoryStore(StateStore):
    """Holds jobs for as long as the process lives."""

    def __init__(self, clock: Clock | None = None, bus: Bus | None = None, **options: float) -> None:
        bus = bus or Bus()
        super().__init__(MemoryLog(bus), clock or SystemClock(), bus, **options)  # type: ignore[arg-type]

    def open(self) -> None:
        """Nothing to rebuild."""

    def close(self) -> None:
        """Nothing to write."""

    def facts(self) -> dict[str, object]:
        """See ``Store.facts``."""
        return {"kind": "memory", "used": 0, "limit": 0}
