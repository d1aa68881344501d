"""The reading half of the Redis store: jobs by id, the order, counts, limits."""

from __future__ import annotations

from collections.abc import Iterable

from engine.kernel.job import JobState, JobView
from engine.storage.redis.calls import Calls
from engine.storage.redis.reading import LETTERS, view_of

#: most ids that ``peek`` asks Redis for
PEEK = 10_000

_STATES = (JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE, JobState.RUNNING, JobState.DEAD)


class Looking(Calls):
    """The questions of ``engine.storage.base.QueueStore``; mixed into ``RedisStore``."""

    def get(self, ids: Iterable[str]) -> dict[str, JobView]:
        """See ``QueueStore.get``."""
        wanted = list(ids)
        views: dict[str, JobView] = {}
        for queue, some, found in self.for_ids("get", wanted):
            for id_, record in zip(some, found, strict=True):
                view = view_of(id_, queue, record)
                if view is not None:
                    views[id_] = view
                    self.places.remember((id_,), queue)
        return {id_: views[id_] for id_ in wanted if id_ in views}

    def peek(self, queue: str, limit: int, state: JobState = JobState.AVAILABLE) -> list[JobView]:
        """See ``QueueStore.peek``; also the jobs that run, by claim, and the dead ones, as they died."""
        letter = LETTERS.get(state)
        if letter is None:
            return []
        ids = [id_.decode() for id_ in self.run("peek", queue, letter, min(limit, PEEK))]
        self.places.remember(ids, queue)
        views = self.get(ids)
        found = [views[id_] for id_ in ids if id_ in views and views[id_].state == state]
        return sorted(found, key=lambda view: (view.run_at, view.id)) if state == JobState.SCHEDULED else found

    def counts(self) -> dict[str, dict[str, int]]:
        """See ``QueueStore.counts``."""
        counts = {}
        for queue, look in self._looks().items():
            numbers = dict(zip(_STATES, look, strict=False))
            counts[queue] = {str(JobState.PENDING): 0} | {
                str(state): count for state, count in numbers.items() if count or state != JobState.DEAD
            }
        return counts

    def paused(self) -> set[str]:
        """Names of the queues that are paused."""
        return {queue for queue, look in self._looks().items() if look[5]}

    def held_by_rate(self, queue: str) -> bool:
        """See ``QueueStore.held_by_rate``."""
        return float(self.run("look", queue)[6]) > 0

    def _looks(self) -> dict[str, list[int]]:
        queues = sorted(self.queues())
        return dict(zip(queues, self.run_all([("look", queue, ()) for queue in queues]), strict=True))
