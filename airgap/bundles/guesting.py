"""Jobs that come in: they run here like any other, and their ends are kept for whom they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from airgap.bundles.desk import Desk
from airgap.bundles.records import BundleRecord, CarriedJob, Record
from engine.kernel import events as ev
from engine.storage.base import Accepted
from engine.storage.guests import GuestEntry
from engine.storage.redis.conflicts import key_taken


def take_jobs(desk: Desk, record: BundleRecord, parts: Iterable[list[Record]]) -> tuple[int, int]:
    """Put all jobs of a bundle; how many were new, and how many name a job that was there first."""
    new = merged = 0
    for number, jobs in enumerate(_jobs(parts)):
        # that their ends are owed is on disk before the jobs are: none can end unseen
        desk.book.came_in(record.id, number, [GuestEntry(job.job.id, job.token) for job in jobs])
        answers = desk.put([msgspec.structs.replace(job.job, offered=False) for job in jobs])
        firsts = {job.job.id: a.id for job, a in zip(jobs, answers, strict=True) if a.id != job.job.id}
        if firsts:
            _merge(desk, record, number, jobs, firsts)
        new += sum(_is_new(answer) for answer in answers)
        merged += len(firsts)
    return new, merged


def _jobs(parts: Iterable[list[Record]]) -> Iterator[list[CarriedJob]]:
    for records in parts:
        jobs = [record for record in records if isinstance(record, CarriedJob)]
        if jobs:
            yield jobs


def _is_new(answer: Accepted) -> bool:
    return answer.new


def _merge(desk: Desk, record: BundleRecord, number: int, jobs: list[CarriedJob], firsts: dict[str, str]) -> None:
    """Another job has the request or the unique key of these: they end here, told as that, and it is recorded."""
    at = desk.clock.now()
    entries, conflicts = [], []
    for carried in jobs:
        job, first = carried.job, firsts.get(carried.job.id)
        if first is None:
            entries.append(GuestEntry(job.id, carried.token))
            continue
        reason = f"the same request as {first}, which was there before it"
        end = ev.JobCancelled(at, job.id, 0, 0, reason=reason, queue=job.queue)
        entries.append(GuestEntry(job.id, carried.token, end))
        kind = "request" if job.idempotency_key else "unique"
        conflicts.append(key_taken(f"{record.id}:{job.id}", at, desk.node, job.queue, job.id, kind, first))
    desk.book.came_in(record.id, number, entries)
    desk.store.record(conflicts)
