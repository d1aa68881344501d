"""Which jobs of a put are new, and which name a job that was there first.

A job is known by its id, by the request it answers (idempotency key) and by the unique key it holds.  Between admission
and commit nothing is in the fold yet, so the keys are kept here: of two puts at the same time, one is first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.kernel.events import JobEnqueued
from engine.storage.base import Accepted
from engine.storage.fold import Fold


class Admission:
    """Decides about puts.  The owner's lock is held."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        #: ids, requests and unique keys of puts that are not committed yet -> job id
        self._reserved: dict[object, str] = {}

    def admit(self, jobs: Sequence[JobEnqueued]) -> tuple[list[Accepted], list[JobEnqueued]]:
        """An answer for each job, and those that are new, whose keys are reserved."""
        answers, fresh = [], []
        for job in jobs:
            first = self._first(job)
            if first is None:
                fresh.append(job)
                self._reserved.update((key, job.id) for key in _keys(job))
            answers.append(Accepted(first or job.id, first is None))
        return answers, fresh

    def forget(self, jobs: Sequence[JobEnqueued]) -> None:
        """They are in the fold now, or were refused."""
        for job in jobs:
            for key in _keys(job):
                self._reserved.pop(key, None)

    def _first(self, job: JobEnqueued) -> str | None:
        """The id of the job that was there first under the same id, request or unique key."""
        fold = self._fold
        if job.id in fold.jobs or job.id in fold.ended:
            return job.id
        if job.idempotency_key:
            known = fold.requests.get(job.idempotency_key)
            if known is not None and (known[1] > fold.clock.now() or known[0] in fold.jobs):
                return known[0]
        if job.unique:
            holder = fold.unique.get((job.queue, job.unique))
            if holder is not None:
                return holder
        return next((self._reserved[key] for key in _keys(job) if key in self._reserved), None)


def _keys(job: JobEnqueued) -> Iterator[object]:
    yield job.id
    if job.idempotency_key:
        yield "request", job.idempotency_key
    if job.unique:
        yield job.queue, job.unique
