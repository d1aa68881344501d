"""Carries batches of events from whoever made them true to whoever subscribed, on the same thread and in the same order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from engine.kernel.events import Event

log = logging.getLogger("holdfast.events")

Subscriber = Callable[[Sequence[Event]], None]


class Bus:
    """Carries batches of events to whoever subscribed, on the thread that committed them: a subscriber must be quick."""

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber; the function returned takes it away again."""
        self._subscribers = (*self._subscribers, subscriber)

        def unsubscribe() -> None:
            self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)

        return unsubscribe

    def publish(self, events: Sequence[Event]) -> None:
        """Hand a batch to every subscriber; one that raises is logged and does not stop the others."""
        for subscriber in self._subscribers:
            try:
                subscriber(events)
            except Exception:
                log.exception("subscriber %r failed on a batch of %d events", subscriber, len(events))
