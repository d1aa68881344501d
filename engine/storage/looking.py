"""The reading half of a state store: jobs by id, the order, counts.  Changes nothing but making due what is due."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from engine.kernel.clock import Clock
from engine.kernel.job import TERMINAL, Job, JobState, JobView
from engine.storage.claiming import seconds_until_token
from engine.storage.fold import Fold
from engine.storage.records import Ended


class Looking:
    """The questions of ``engine.storage.base.QueueStore``, over a fold; mixed into ``StateStore``."""

    lock: threading.RLock
    clock: Clock
    fold: Fold

    def _make_due(self) -> None:
        raise NotImplementedError

    def get(self, ids: Iterable[str]) -> dict[str, JobView]:
        """See ``QueueStore.get``."""
        views: dict[str, JobView] = {}
        with self.lock:
            for id_ in ids:
                ended = self.fold.ended.get(id_)
                job = self.fold.jobs.get(id_)
                if job is not None:
                    views[id_] = self._view(job, ended)
                elif ended is not None:
                    views[id_] = _ended_view(ended)
        return views

    def peek(self, queue: str, limit: int, state: JobState = JobState.AVAILABLE) -> list[JobView]:
        """See ``QueueStore.peek``."""
        with self.lock:
            self._make_due()
            if state == JobState.AVAILABLE:
                jobs = self.fold.queue(queue).order.peek(limit) if queue in self.fold.queues else []
            else:
                waiting = [job for job in self.fold.jobs.values() if job.queue == queue and job.state == state]
                jobs = sorted(waiting, key=lambda job: (job.run_at, job.id))[:limit]
            return [self._view(job, None) for job in jobs]

    def counts(self) -> dict[str, dict[str, int]]:
        """See ``QueueStore.counts``."""
        with self.lock:
            self._make_due()
            return {
                name: {str(state): n for state, n in queue.counts.items() if n or state not in TERMINAL}
                for name, queue in self.fold.queues.items()
            }

    def paused(self) -> set[str]:
        """Names of the queues that are paused."""
        with self.lock:
            return {name for name, queue in self.fold.queues.items() if queue.paused}

    def held_by_rate(self, queue: str) -> bool:
        """See ``QueueStore.held_by_rate``."""
        with self.lock:
            known = self.fold.queues.get(queue)
            if known is None or known.limits.rate is None:
                return False
            return seconds_until_token(known, self.clock.monotonic()) > 0

    def _view(self, job: Job, ended: Ended | None) -> JobView:
        value, message = self.fold.progress.get(job.id, (None, ""))
        return JobView(
            job.id, job.queue, job.task, job.state, job.priority, job.tenant, job.created_at, job.run_at,
            job.expires_at, job.max_attempts + job.extra, job.timeout, job.attempt, job.crashes, job.payload,
            job.cancelling, job.started_at, ended.finished_at if ended else 0.0, None, job.failure, value, message,
            job.reason, job.idempotency_key, job.needs,
        )  # fmt: skip


def _ended_view(ended: Ended) -> JobView:
    return JobView(
        ended.id, ended.queue, ended.task, ended.state, ended.priority, ended.tenant, ended.created_at, 0.0, 0.0,
        ended.max_attempts, 0.0, ended.attempt, ended.crashes, b"", False, ended.started_at, ended.finished_at,
        ended.result, ended.failure, reason=ended.reason,
    )  # fmt: skip
