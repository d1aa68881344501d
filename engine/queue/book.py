"""All queues of an engine: what is set for each, and its Huey app.

Settings come first, queues that the store knows next, limits that were set by hand last, so that those win.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.kernel.job import check_name
from engine.queue import codec
from engine.queue.app import QueueApp
from engine.queue.policy import QueuePolicy, changed
from engine.storage.base import Store

#: where the store keeps the limits that were set by hand, with the queue's name behind it
LIMITS = "queue-limits:"


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue as it stands."""

    name: str
    paused: bool
    concurrency: int | None
    rate_limit: str | None
    priority: int
    #: state -> jobs
    counts: dict[str, int]


class QueueBook:
    """Queues by name.  ``serve`` is told of each new one."""

    def __init__(self, store: Store, serve: Callable[[str], None]) -> None:
        self._store = store
        self._serve = serve
        self._lock = threading.Lock()
        self._apps: dict[str, QueueApp] = {}
        self.policies: dict[str, QueuePolicy] = {}

    def open(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the queues of the settings and those of the store.  Raises ``ValidationError``."""
        for name, options in tables.items():
            self.define(name, **options)
        for name in self._store.counts():
            self.define(name)
        for key, limits in self._store.values(LIMITS).items():
            self.define(key.removeprefix(LIMITS), **codec.decode_value(limits))

    def define(self, name: str, **options: Any) -> None:
        """Make the queue if it is new, and set the options given.  Raises ``ValidationError``."""
        known = self.policies.get(name)
        if known is not None and not options:
            return
        with self._lock:
            known = self.policies.get(name)
            check_name(name, "queue")
            policy = changed(known or QueuePolicy(name), options)
            self.policies[name] = policy
            self.app(name)
            self._store.configure(name, policy.limits())
            self._serve(name)

    def set_limits(self, name: str, limits: Mapping[str, Any]) -> None:
        """``define``, kept over restarts."""
        self.define(name, **limits)
        key = LIMITS + name
        kept = codec.decode_value(self._store.value(key) or b"{}")
        self._store.set_value(key, codec.encode_value(kept | limits))

    def app(self, name: str) -> QueueApp:
        """The Huey app of a queue."""
        return self._apps.get(name) or self._apps.setdefault(name, QueueApp(name, self._store))

    def infos(self) -> list[QueueInfo]:
        """All queues as they stand, by name."""
        counts, paused = self._store.counts(), self._store.paused()
        return [
            QueueInfo(
                name, name in paused, policy.concurrency, policy.rate_limit, policy.priority, counts.get(name, {})
            )
            for name, policy in sorted(self.policies.items())
        ]
