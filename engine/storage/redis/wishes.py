"""What people wish of jobs and queues: cancel, retry, delete, pause, limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.kernel import events as ev
from engine.kernel.job import JobState
from engine.storage.base import QueueLimits
from engine.storage.redis.door import Door
from engine.storage.redis.leasing import Leasing
from engine.storage.redis.reading import STATES


class Wishes(Leasing):
    """Mixed into ``RedisStore``.  What a script did is told on the bus; running jobs' holders hear of it when they renew."""

    door: Door

    def cancel(self, ids: Iterable[str], by: str = "") -> dict[str, JobState]:
        """See ``QueueStore.cancel``."""
        at = self.clock.now()
        answers = self.for_ids(
            "cancel", ids, lambda _: at, lambda _: by, lambda queue: queue, lambda _: self.result_ttl,
            lambda _: self.result_limit,
        )  # fmt: skip
        found: dict[str, JobState] = {}
        for queue, some, (states, count, blob) in answers:
            known = [id_ for id_, state in zip(some, states, strict=True) if state]
            self.places.remember(known, queue)
            found |= {id_: STATES[state] for id_, state in zip(some, states, strict=True) if state}
            asked = {event.id for event in self.publish(count, blob) if isinstance(event, ev.CancelRequested)}
            self._asked |= asked
        return found

    def retry(self, ids: Iterable[str], by: str = "", over: float = 0.0) -> set[str]:
        """See ``QueueStore.retry``; jobs are spread within each queue."""
        at = self.clock.now()
        moved: set[str] = set()
        for _, _, (ids_, count, blob) in self.for_ids(
            "retry", ids, lambda _: at, lambda _: by, lambda queue: queue, lambda _: over
        ):
            moved.update(id_.decode() for id_ in ids_)
            self.publish(count, blob)
        self.door.ring()
        return moved

    def delete(self, ids: Iterable[str], by: str = "") -> set[str]:
        """See ``QueueStore.delete``.  Of ids that Redis does not know the deletion is told all the same, so that their
        history goes."""
        at, wanted = self.clock.now(), list(dict.fromkeys(ids))
        known: set[str] = set()
        running: set[str] = set()
        for _, some, (states, count, blob) in self.for_ids(
            "delete", wanted, lambda _: at, lambda _: by, lambda queue: queue
        ):
            known.update(id_ for id_, state in zip(some, states, strict=True) if state)
            running.update(id_ for id_, state in zip(some, states, strict=True) if state in (b"R", b"O"))
            self.publish(count, blob)
        unknown = [id_ for id_ in wanted if id_ not in known]
        if unknown:
            self.record([ev.JobDeleted(at, id_, by) for id_ in unknown])
        return set(wanted) - running

    def pause(self, queue: str, paused: bool, by: str = "") -> None:
        """See ``QueueStore.pause``."""
        self.register((queue,))
        count, blob = self.run("pause", queue, self.clock.now(), by, queue, int(paused))
        self.publish(count, blob)
        self.door.ring()

    def configure(self, queue: str, limits: QueueLimits) -> None:
        """See ``QueueStore.configure``; limits hold for all agents, whoever sets them last."""
        self.register((queue,))
        self._limits[queue] = limits
        rate: Sequence[object] = limits.rate or ("", "")
        weights = [part for pair in limits.weights for part in pair]
        concurrency = "" if limits.concurrency is None else limits.concurrency
        self.run("configure", queue, concurrency, *rate, limits.reclaim, *weights)
        self.door.ring()
