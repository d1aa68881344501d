"""The connections to one server: a minimum kept warm, a maximum, a bounded wait, and patience with a server that is gone.

Invariants: at most ``pool_max`` connections exist; one is used by one thread at a time; one that broke is never given out
again, and neither is one from before ``disconnect``.  After a connection could not be made, nobody tries again before a
pause is over that doubles with each failure, up to a second, and is drawn at random from its whole length, so that many
nodes don't come back at the same moment.  ``aside`` lends connections beyond the maximum to those who block on purpose.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from engine.kernel.clock import Clock
from engine.kernel.errors import Unreachable
from engine.storage.redis.connect import Host, Target, dial
from engine.storage.redis.pause import Pause
from engine.storage.redis.wire import Wire, cut_off, dropped

#: seconds without use after which a connection is asked whether it lives
ASK_AFTER = 5.0
#: seconds without use after which one above the minimum is closed
CLOSE_AFTER = 60.0


class PoolStats(msgspec.Struct, frozen=True):
    """What a pool did."""

    #: open now, in use now, and most that were in use at a time
    connections: int = 0
    in_use: int = 0
    most: int = 0
    #: made since the start
    made: int = 0
    #: calls that had to wait for a connection, and those that waited in vain
    waits: int = 0
    timeouts: int = 0

    def plus(self, other: PoolStats) -> PoolStats:
        """Two pools taken together."""
        return PoolStats(
            *(a + b for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True))
        )


class Pool:
    """Connections to one server, or to whichever ``resolve`` names."""

    def __init__(self, target: Target, resolve: Callable[[], Host], clock: Clock) -> None:
        self._target = target
        self._resolve = resolve
        self._clock = clock
        self._changed = threading.Condition()
        #: tickets of those who wait for a connection, first come first
        self._queue: deque[object] = deque()
        self._idle: list[Wire] = []
        self._used: set[Wire] = set()
        self._aside: set[Wire] = set()
        #: of those aside, the ones that nobody uses now
        self._parked: list[Wire] = []
        #: places of connections that are being made, and those that are on their way
        self._coming = 0
        self._dialled: set[Any] = set()
        self._generation = 0
        self._closed = False
        self._pause = Pause(clock)
        self._most = self._made = self._waits = self._timeouts = 0

    @contextmanager
    def wire(self) -> Iterator[Wire]:
        """A connection for one call.  Raises ``Unreachable``."""
        wire = self._take()
        try:
            yield wire
        except BaseException:
            wire.broken = True
            raise
        finally:
            self._give_back(wire)

    def aside(self) -> Wire:
        """A connection beyond the maximum; its holder says ``let_go``.  Raises ``Unreachable``."""
        wire = self._dial()
        with self._changed:
            self._aside.add(wire)
            late = self._closed or wire.generation != self._generation
        if late:
            self.let_go(wire)
            raise dropped(self._target.address)
        return wire

    def borrow(self) -> Wire:
        """``aside`` for one call; ``bring_back`` keeps it for the next.  Raises ``Unreachable``."""
        while True:
            with self._changed:
                wire = self._parked.pop() if self._parked else None
            if wire is None:
                return self.aside()
            if not wire.stale():
                return wire
            self.let_go(wire)

    def bring_back(self, wire: Wire) -> None:
        """Keep a borrowed connection unless it broke."""
        with self._changed:
            keep = not (wire.broken or self._closed or wire.generation != self._generation)
            if keep:
                self._parked.append(wire)
        if not keep:
            self.let_go(wire)

    def let_go(self, wire: Wire) -> None:
        """End a connection that was lent aside."""
        with self._changed:
            self._aside.discard(wire)
        wire.end()

    def disconnect(self) -> None:
        """Drop all connections, also those in use."""
        with self._changed:
            self._generation += 1
            idle, self._idle = self._idle, []
            parked, self._parked = self._parked, []
            for wire in (*self._used, *self._aside):
                wire.cut()
            for connection in self._dialled:
                cut_off(connection._sock)
            self._changed.notify_all()
        for wire in idle:
            wire.end()
        for wire in parked:
            self.let_go(wire)

    def close(self) -> None:
        """Drop all connections and make no more."""
        with self._changed:
            self._closed = True
        self.disconnect()

    def tend(self) -> None:
        """Ask idle connections whether they live, close those that nobody needs, and make up the minimum."""
        self._retire()
        for wire in self._long_idle():
            if isinstance(wire.exchange([("PING",)])[0], BaseException):
                wire.broken = True
            self._give_back(wire)
        while self._short():
            self._give_back(self._make())

    def stats(self) -> PoolStats:
        """What it has and did."""
        with self._changed:
            open_now = len(self._idle) + len(self._used) + len(self._aside)
            in_use = len(self._used) + len(self._aside) - len(self._parked)
            return PoolStats(open_now, in_use, self._most, self._made, self._waits, self._timeouts)

    def _take(self) -> Wire:
        generation = self._generation
        while True:
            wire = self._next()
            if wire is None:
                return self._make()
            if not wire.stale():
                return wire
            wire.broken = True
            self._give_back(wire)
            if self._generation != generation:
                raise dropped(self._target.address)

    def _next(self) -> Wire | None:
        """An idle connection, or ``None`` when one may be made; the place is taken either way."""
        with self._changed:
            if self._queue or not self._free():
                self._wait()
            if self._closed:
                raise dropped(self._target.address)
            if not self._idle:
                self._coming += 1
                return None
            wire = self._idle.pop()
            self._use(wire)
            return wire

    def _free(self) -> bool:
        return bool(self._idle) or self._closed or len(self._used) + self._coming < self._target.pool_max

    def _wait(self) -> None:
        self._waits += 1
        ticket = object()
        self._queue.append(ticket)
        try:
            if not self._changed.wait_for(lambda: self._queue[0] is ticket and self._free(), self._target.timeout):
                self._timeouts += 1
                raise Unreachable(
                    f"all {self._target.pool_max} connections to Redis at {self._target.address} were in use for "
                    f"{self._target.timeout:g} s; raise redis_pool_max"
                )
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()

    def _make(self) -> Wire:
        """A new connection for a place that ``_coming`` holds."""
        try:
            wire = self._dial()
        except BaseException:
            with self._changed:
                self._coming -= 1
                self._changed.notify_all()
            raise
        with self._changed:
            self._coming -= 1
            self._use(wire)
        return wire

    def _dial(self) -> Wire:
        self._pause.check()
        generation = self._generation
        begun: list[Any] = []
        try:
            connection = dial(self._target, self._resolve(), begun=lambda made: self._begin(begun, made))
        except Unreachable as error:
            self._pause.failed(str(error))
            raise
        finally:
            with self._changed:
                self._dialled.difference_update(begun)
        self._pause.over()
        self._made += 1
        return Wire(connection, generation)

    def _begin(self, begun: list[Any], connection: Any) -> None:
        with self._changed:
            begun.append(connection)
            self._dialled.add(connection)

    def _use(self, wire: Wire) -> None:
        self._used.add(wire)
        self._most = max(self._most, len(self._used) + len(self._aside))

    def _give_back(self, wire: Wire) -> None:
        with self._changed:
            self._used.discard(wire)
            keep = not (wire.broken or self._closed or wire.generation != self._generation)
            if keep:
                wire.idle_since = self._clock.monotonic()
                self._idle.append(wire)
            if self._queue:
                self._changed.notify_all()
        if not keep:
            wire.end()

    def _long_idle(self) -> list[Wire]:
        """Those that were not used for a while, taken."""
        with self._changed:
            found = [wire for wire in self._idle if self._clock.monotonic() - wire.idle_since > ASK_AFTER]
            for wire in found:
                self._idle.remove(wire)
                self._used.add(wire)
        return found

    def _retire(self) -> None:
        with self._changed:
            spare = max(0, len(self._idle) + len(self._used) - self._target.pool_min)
            old = [wire for wire in self._idle if self._clock.monotonic() - wire.idle_since > CLOSE_AFTER][:spare]
            self._idle = [wire for wire in self._idle if wire not in old]
        for wire in old:
            wire.end()

    def _short(self) -> bool:
        """Whether one is missing to the minimum; its place is taken then."""
        with self._changed:
            missing = not self._closed and len(self._idle) + len(self._used) + self._coming < self._target.pool_min
            self._coming += missing
        return missing
