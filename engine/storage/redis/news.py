"""News of jobs that ended anywhere in the fleet, for those who wait for them.

Published messages are not kept, so this only hurries up who looks anyway.  Nobody listens while nobody waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from engine.kernel.errors import HoldfastError
from engine.storage.redis.client import Client, Subscription

log = logging.getLogger("holdfast.redis")

#: seconds after which a listener looks whether anybody still waits
LISTEN_SECONDS = 0.5
#: seconds until it listens again to a Redis that did not answer
AGAIN = 0.5

Told = Callable[[Iterable[str]], None]


class News:
    """Passes the ids of ended jobs on.  ``channels`` asks Redis for what there is to hear."""

    def __init__(self, client: Client, channels: Callable[[], Iterable[str]]) -> None:
        self._client = client
        self._channels = channels
        self._lock = threading.Lock()
        self._followers: tuple[Told, ...] = ()
        self._subscription: Subscription | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def follow(self, told: Told) -> Callable[[], None]:
        """Tell ``told`` the ids of jobs that end, until the function returned is called.  Does not wait for Redis."""
        with self._lock:
            self._followers = (*self._followers, told)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="redis-news", daemon=True)
                self._thread.start()

        def leave() -> None:
            with self._lock:
                self._followers = tuple(other for other in self._followers if other is not told)

        return leave

    def close(self) -> None:
        """End listening."""
        self._stop.set()
        with self._lock:
            thread, subscription = self._thread, self._subscription
        if subscription is not None:
            subscription.close()
        if thread is not None:
            thread.join(LISTEN_SECONDS + AGAIN)

    def _run(self) -> None:
        heard: set[str] = set()
        subscription: Subscription | None = None
        while self._wanted():
            try:
                channels = set(self._channels())
                if subscription is None:
                    subscription = self._subscription = self._client.subscribe(*sorted(channels))
                for channel in channels - heard if heard else ():
                    subscription.add(channel)
                heard |= channels
                self.run_once(subscription)
            except HoldfastError as error:
                log.debug("news of ended jobs could not be heard: %s", error)
                self._stop.wait(AGAIN)
        if subscription is not None:
            subscription.end()

    def run_once(self, subscription: Subscription) -> None:
        """Hear one message, or wait for a moment."""
        message = subscription.listen(LISTEN_SECONDS)
        if message is not None:
            ids = message[1].decode().split()
            for told in self._followers:
                told(ids)

    def _wanted(self) -> bool:
        with self._lock:
            if self._followers and not self._stop.is_set():
                return True
            self._thread = self._subscription = None
            return False
