"""Waiting for work without asking for it again and again: a listener blocks on the wake lists of the queues.

A queue's wake list holds at most one element, so that one waiter of all processes is woken, who puts another there if he
leaves work behind.  For jobs that need a capability there are lists to which only those listen who have it.  The listener
listens only while someone waits here; what it takes when nobody does any more, it puts back.  In a Cluster a list has a
listener of its own, since one command cannot block on two slots.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from engine.kernel.bell import Bell
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError
from engine.storage.redis.client import Client

log = logging.getLogger("holdfast.redis")

#: seconds that a listener blocks before it looks around
BLOCK_SECONDS = 0.5
#: seconds until it listens again to a Redis that did not answer
AGAIN = 0.5
#: queues that are listened to in a Cluster; work of others is found when waiters look around
LISTENERS = 32
#: shortest wait for something that is due
SHORTEST = 0.005


class Door:
    """Where waiters of one process wait."""

    def __init__(self, client: Client, clock: Clock, key: Callable[[str], str], called: Callable[[str], None]) -> None:
        self._client = client
        self._clock = clock
        self._key = key
        #: told of the queue whose list had something
        self._called = called
        self._bell = Bell()
        self._lock = threading.Condition()
        self._waiting = 0
        self._closed = False
        self._queues: dict[str, None] = {}
        #: which wake lists of a queue are listened to, as they end
        self._kinds: tuple[str, ...] = ("",)
        #: lists that nobody fills before he is told that somebody listens
        self._own: tuple[str, ...] = ()
        #: queue -> monotonic time at which something there is due
        self._due: dict[str, float] = {}
        self._listeners: dict[str, threading.Thread] = {}

    def watch(
        self,
        queues: Iterable[str],
        capabilities: frozenset[str] = frozenset(),
        tenants: frozenset[str] | None = None,
    ) -> None:
        """Wait for work of these queues too, for such that needs these capabilities, or for that of these tenants."""
        if tenants is not None:
            self._kinds = self._own = tuple(f"@{tenant}" for tenant in sorted(tenants))
        elif len(capabilities) != len(self._kinds) - 1:
            self._kinds = ("", *(f"+{capability}" for capability in sorted(capabilities)))
        if any(queue not in self._queues for queue in queues):
            with self._lock:
                self._queues |= dict.fromkeys(queues)

    def due(self, queue: str, seconds: bytes) -> None:
        """Something of the queue is due in so many seconds; nothing if empty."""
        if seconds:
            self._due[queue] = self._clock.monotonic() + float(seconds)
        else:
            self._due.pop(queue, None)

    def forget_due(self, queues: Iterable[str]) -> None:
        """Nothing of these queues can be claimed."""
        for queue in queues:
            self._due.pop(queue, None)

    def wait(self, timeout: float) -> bool:
        """Block until there may be work, or ``timeout`` seconds; whether it was woken."""
        due = min(self._due.copy().values(), default=None)
        if due is not None:
            timeout = min(timeout, max(SHORTEST, due - self._clock.monotonic()))
        with self._lock:
            if self._closed:
                return False
            self._waiting += 1
            self._begin()
            self._lock.notify_all()
        try:
            return self._bell.sleep(timeout)
        finally:
            with self._lock:
                self._waiting -= 1

    def ring(self) -> None:
        """Let one waiter go."""
        self._bell.ring()

    def close(self) -> None:
        """End the listeners; waiters go."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._bell.ring()
        for thread in self._listeners.values():
            thread.join(BLOCK_SECONDS + AGAIN)

    def _begin(self) -> None:
        for name in list(self._queues)[:LISTENERS] if self._client.cluster else ("",):
            if name not in self._listeners:
                thread = threading.Thread(target=self._listen, args=(name,), name=f"redis-door-{name}", daemon=True)
                self._listeners[name] = thread
                thread.start()

    def _listen(self, queue: str) -> None:
        while not self._closed:
            if self._someone_waits():
                try:
                    self.run_once([queue] if queue else list(self._queues))
                except HoldfastError as error:
                    log.debug("nobody could be woken from Redis: %s", error)
                    self._rest(AGAIN)

    def run_once(self, queues: list[str]) -> None:
        """Block for a moment; ring if something came."""
        if not queues:
            self._rest(SHORTEST)
            return
        keys = {f"{self._key(queue)}{kind}": queue for kind in self._kinds for queue in queues}
        for queue in queues if self._own else ():
            self._client.command("SADD", f"{self._key(queue).removesuffix('wk')}wn", *self._own)
        answer = self._client.blocking(BLOCK_SECONDS, "BLPOP", *keys, BLOCK_SECONDS, key=next(iter(keys)))
        if answer is None:
            return
        key = answer[0].decode()
        if self._waiting:
            self._called(keys[key])
            self._bell.ring()
        else:
            self._client.command("LPUSH", key, b"1")

    def _someone_waits(self) -> bool:
        with self._lock:
            if not self._waiting and not self._closed:
                self._lock.wait(BLOCK_SECONDS)
            return self._waiting > 0 and not self._closed

    def _rest(self, seconds: float) -> None:
        with self._lock:
            if not self._closed:
                self._lock.wait(seconds)
