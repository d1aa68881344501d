"""Hears what is published on channels, over a connection of its own.

Published messages are not kept by Redis: whoever loses the connection may have missed some, which is why ``listen`` raises
``Unreachable`` then, once, instead of mending it in silence.  The next ``listen`` connects again and subscribes to all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from engine.kernel.clock import Clock
from engine.kernel.errors import Unreachable
from engine.storage.redis.pool import Pool
from engine.storage.redis.wire import Translate, Wire


class Subscription:
    """One listener to some channels.  ``listen`` is for one thread; the rest may be called from any."""

    def __init__(self, channels: tuple[str, ...], pool: Callable[[], Pool], translate: Translate, clock: Clock) -> None:
        self._channels = set(channels)
        self._find = pool
        self._translate = translate
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._pool: Pool | None = None
        self._wire: Wire | None = None

    def listen(self, timeout: float) -> tuple[str, bytes] | None:
        """The next message with its channel; ``None`` after ``timeout`` seconds, or once it is closed.

        Raises ``Unreachable`` when the connection is lost or cannot be made.
        """
        deadline = self._clock.monotonic() + timeout
        try:
            wire = self._connected()
            while not self._closed.is_set():
                told = wire.hear(max(0.0, deadline - self._clock.monotonic()))
                if told is None:
                    return None
                if told[0] == b"message":
                    return told[1].decode(), told[2]
        except (RedisError, OSError, AttributeError, Unreachable) as error:
            self._let_go()
            if not self._closed.is_set():
                raise self._translate(error, "SUBSCRIBE") from None
        return None

    def add(self, channel: str) -> None:
        """Hear one more channel."""
        self._change("SUBSCRIBE", channel, self._channels.add)

    def drop(self, channel: str) -> None:
        """Hear one channel no more."""
        self._change("UNSUBSCRIBE", channel, self._channels.discard)

    def close(self) -> None:
        """End it; ``listen`` returns."""
        self._closed.set()
        with self._lock:
            if self._wire is not None:
                self._wire.cut()

    def end(self) -> None:
        """Close the connection; by the thread that listened, or after it ended."""
        self.close()
        self._let_go()

    def _change(self, command: str, channel: str, note: Callable[[str], Any]) -> None:
        with self._lock:
            note(channel)
            if self._wire is not None:
                # a connection that is gone is noticed, and mended with all channels, by who listens
                with suppress(RedisError, OSError, AttributeError):
                    self._wire.send(command, channel)

    def _connected(self) -> Wire:
        with self._lock:
            if self._wire is None:
                pool = self._find()
                wire = pool.aside()
                if self._channels:
                    wire.send("SUBSCRIBE", *sorted(self._channels))
                self._pool, self._wire = pool, wire
            return self._wire

    def _let_go(self) -> None:
        with self._lock:
            pool, wire, self._pool, self._wire = self._pool, self._wire, None, None
        if pool is not None and wire is not None:
            pool.let_go(wire)
