"""What ``put.lua`` is told: ids and lengths in columns, what jobs have in common once, what few jobs have apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.kernel.events import JobEnqueued

#: most jobs, and about the most bytes of them, in one call
CALL_JOBS, CALL_BYTES = 250, 1 << 20

_pack = msgspec.msgpack.encode


def by_queue(jobs: Sequence[JobEnqueued]) -> Iterator[tuple[str, list[JobEnqueued], list[bytes]]]:
    """The jobs of each queue in pieces that one call bears, with their events as they will be kept."""
    queues: defaultdict[str, list[JobEnqueued]] = defaultdict(list)
    for job in jobs:
        queues[job.queue].append(job)
    for queue, its in queues.items():
        raws = [_pack(job) for job in its]
        start = size = 0
        for index, raw in enumerate(raws):
            if index > start and (index - start == CALL_JOBS or size + len(raw) > CALL_BYTES):
                yield queue, its[start:index], raws[start:index]
                start, size = index, 0
            size += len(raw)
        yield queue, its[start:], raws[start:]


def arguments(jobs: Sequence[JobEnqueued], raws: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The second and third argument of ``put.lua``."""
    shapes: dict[tuple[Any, ...], int] = {}
    shape_of = [shapes.setdefault(_shape(job), len(shapes) + 1) for job in jobs]
    rest = [(index, *more) for index, job in enumerate(jobs, 1) if (more := _rest(job)) is not None]
    columns = (
        [job.id for job in jobs],
        [len(raw) for raw in raws],
        [job.at for job in jobs],
        shape_of,
        list(shapes),
        rest,
    )
    return _pack(columns), b"".join(raws)


def lane_of(job: JobEnqueued) -> str:
    """The lane of a job, see ``order.lua``."""
    return f"{job.needs}\0{job.tenant}"


def _shape(job: JobEnqueued) -> tuple[Any, ...]:
    return job.priority, lane_of(job), job.task, job.max_attempts


def _rest(job: JobEnqueued) -> tuple[Any, ...] | None:
    later = job.run_at if job.run_at > job.at else 0.0
    if later or job.unique or job.idempotency_key or job.expires_at:
        return job.unique, job.idempotency_key, job.expires_at, later
    return None
