"""Huey's own ``BaseStorage`` over Holdfast's storage contract, so that a plain Huey app can live in any of our stores.

Huey takes a message away when it dequeues it; so does this facade: a message claimed here is finished at once.  (The
engine does not work like that: its workers hold a lease until the outcome is known.)  What the facade keeps where:
messages are jobs of the queue ``name``, scheduled ones of ``name.schedule``, which nobody claims from, because Huey itself
asks for what is due; results, locks and counters are values under ``huey:name:``.  Bytes go through as they are.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterable

from huey.constants import EmptyData
from huey.storage import BaseStorage

from engine.kernel.clock import Clock, SystemClock
from engine.kernel.events import JobCompleted, JobEnqueued
from engine.kernel.job import WAITING, JobState, JobView, check_name, new_id
from engine.storage.base import Store, Want

#: name under which messages appear in history
MESSAGE_TASK = "huey.message"
#: bands 1 (first) to 10 (last); Huey's default priority 0 is the lowest that Huey apps use
_LAST_BAND = 10
#: jobs moved at a time when a queue is flushed
_BATCH = 1_000
#: earliest time a store can tell from "at once"
_EPOCH = 1e-6


class HueyFacade(BaseStorage):  # type: ignore[misc]
    """A Huey storage: ``Huey(name, storage_class=HueyFacade, store=store)``.

    ``result_ttl`` is how many seconds results (not locks or revocations) are kept, ``None`` for ever; ``wait`` how many
    seconds ``dequeue`` blocks for a message, 0 to answer at once.
    """

    priority = True

    def __init__(
        self,
        name: str = "huey",
        *,
        store: Store,
        clock: Clock | None = None,
        result_ttl: float | None = None,
        wait: float = 0.0,
    ) -> None:
        super().__init__(check_name(name, "name"))
        self.blocking = wait > 0
        self._store = store
        self._clock = clock or SystemClock()
        self._result_ttl = result_ttl
        self._wait = wait
        self._schedule = f"{name}.schedule"
        self._values = f"huey:{name}:value:"
        self._counters = f"huey:{name}:counter:"

    # --- queue ---

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Add a message; higher priorities go first, 9 is the highest that makes a difference."""
        self._put(self.name, data, band_of_huey(priority))

    def dequeue(self) -> bytes | None:
        """Take the next message away; ``None`` if there is none."""
        data = self._take()
        if data is None and self._wait and self._store.wait(self._wait):
            data = self._take()
        return data

    def queue_size(self) -> int:
        """Messages that can be dequeued."""
        return self._size(self.name, JobState.AVAILABLE)

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Messages in the order in which they will be dequeued."""
        return [view.payload for view in self._store.peek(self.name, limit or sys.maxsize // 2)]

    def flush_queue(self) -> None:
        """Drop all messages."""
        self._flush(self.name, lambda: self._store.peek(self.name, _BATCH))

    # --- schedule ---

    def add_to_schedule(self, data: bytes, ts: datetime.datetime) -> None:
        """Keep a message until Huey asks for what is due at ``ts``."""
        self._put(self._schedule, data, _LAST_BAND, moment(ts))

    def read_schedule(self, ts: datetime.datetime) -> list[bytes]:
        """Take away what is due at ``ts``, soonest first; of several readers one gets each message."""
        until = moment(ts)
        due = [view for view in self._scheduled() if view.run_at <= until]
        taken = self._remove(self._schedule, (view.id for view in due))
        return [view.payload for view in due if view.id in taken]

    def schedule_size(self) -> int:
        """Messages in the schedule."""
        return self._size(self._schedule, JobState.SCHEDULED, JobState.AVAILABLE)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        """Messages in the schedule, soonest first."""
        return [view.payload for view in self._scheduled()[: limit or None]]

    def flush_schedule(self) -> None:
        """Drop the schedule."""
        self._flush(self._schedule, lambda: self._scheduled()[:_BATCH])

    # --- results, locks, revocations ---

    def put_data(self, key: bytes | str, value: bytes | str, is_result: bool = False) -> None:
        """Write a value."""
        self._store.set_value(self._values + text(key), raw(value), self._result_ttl if is_result else None)

    def peek_data(self, key: bytes | str) -> object:
        """The value, or ``EmptyData``."""
        value = self._store.value(self._values + text(key))
        return EmptyData if value is None else value

    def pop_data(self, key: bytes | str) -> object:
        """The value, which is gone afterwards, or ``EmptyData``; of several callers one gets it."""
        value = self._pop(self._values + text(key))
        return EmptyData if value is None else value

    def has_data_for_key(self, key: bytes | str) -> bool:
        """Whether there is a value."""
        return self._store.value(self._values + text(key)) is not None

    def put_if_empty(self, key: bytes | str, value: bytes | str, ttl: float | None = None) -> bool:
        """Write a value if there is none; whether it was written."""
        return self._store.swap(self._values + text(key), None, raw(value), ttl)

    def result_store_size(self) -> int:
        """Number of values."""
        return len(self._store.values(self._values))

    def result_items(self) -> dict[str, bytes]:
        """All values by key."""
        return {key.removeprefix(self._values): value for key, value in self._store.values(self._values).items()}

    def flush_results(self) -> None:
        """Drop all values."""
        self._store.drop(self._values)

    # --- counters ---

    def incr(self, key: bytes | str, amount: int = 1) -> int:
        """Add to a counter; its new value."""
        return self._store.increment(self._counters + text(key), amount)

    def delete_counter(self, key: bytes | str) -> None:
        """Forget a counter."""
        self._pop(self._counters + text(key))

    def flush_counters(self) -> None:
        """Forget all counters."""
        self._store.drop(self._counters)

    # --- how ---

    def _put(self, queue: str, data: bytes, band: int, run_at: float = 0.0) -> None:
        now = self._clock.now()
        self._store.put([JobEnqueued(now, new_id(), queue, MESSAGE_TASK, raw(data), band, run_at=run_at)])

    def _take(self) -> bytes | None:
        claim = self._store.claim(Want({self.name: 1}, f"huey/{self.name}", 1))
        if claim is None:
            return None
        job = claim.jobs[0]
        self._store.finish([JobCompleted(self._clock.now(), job.id, claim.token, job.attempt)])
        return job.payload

    def _size(self, queue: str, *states: JobState) -> int:
        counts = self._store.counts().get(queue, {})
        return sum(counts.get(state, 0) for state in states)

    def _scheduled(self) -> list[JobView]:
        everything = sys.maxsize // 2
        views = {
            view.id: view
            for state in (JobState.SCHEDULED, JobState.AVAILABLE)
            for view in self._store.peek(self._schedule, everything, state)
        }
        return sorted(views.values(), key=lambda view: (view.run_at, view.id))

    def _flush(self, queue: str, some: Callable[[], list[JobView]]) -> None:
        while views := some():
            self._remove(queue, (view.id for view in views))

    def _remove(self, queue: str, ids: Iterable[str]) -> set[str]:
        """Take waiting messages away; those that this call took and no other."""
        found = self._store.cancel(ids, by=f"huey/{queue}")
        taken = {id_ for id_, state in found.items() if state in WAITING}
        self._store.delete(taken, by=f"huey/{queue}")
        return taken

    def _pop(self, key: str) -> bytes | None:
        while (value := self._store.value(key)) is not None:
            if self._store.swap(key, value, None):
                return value
        return None


def band_of_huey(priority: float | None) -> int:
    """Our band of a Huey priority, where higher goes first and none is 0."""
    return min(_LAST_BAND, max(1, _LAST_BAND - int(priority or 0)))


def moment(ts: datetime.datetime) -> float:
    """Seconds since the epoch; Huey's naive times are UTC, and only compared with each other where they are not."""
    aware = ts if ts.tzinfo is not None else ts.replace(tzinfo=datetime.UTC)
    return max(_EPOCH, aware.timestamp())


def text(key: bytes | str) -> str:
    """Huey's keys are the same as text and as bytes."""
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)


def raw(value: bytes | str) -> bytes:
    """A value as bytes; what is neither bytes nor text is a ``TypeError``."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"expected bytes, got {type(value).__name__}")
