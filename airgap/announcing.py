"""What a home that has worked alone must tell Redis before it can hand anything over.

Its journal may not reach back to the enqueues of all its live jobs, and most of what it holds concerns nobody else.  So
the lanes of such a home begin where it stands when it is linked first, and the live jobs are written down once more:
here that changes nothing, in Redis it makes them known as the node's own, and the dead ones as dead.
"""

from __future__ import annotations

from collections.abc import Iterator

from airgap.ledgers import Ledgers
from airgap.shipping import Ledger
from airgap.storage import JournalStore
from engine.kernel import events as ev
from engine.kernel.job import Job, JobState

#: events of one commit
STEP = 2_000


def announce(local: JournalStore, ledgers: Ledgers) -> int:
    """Begin the lanes of a home that had none; returns how many jobs were told of."""
    if ledgers.begun:
        return 0
    local.journal.flush()
    standing = local.journal.standing
    with local.lock:
        told = [event for job in local.fold.jobs.values() for event in _told(job, local)]
        pending = [local.move(told[start : start + STEP]) for start in range(0, len(told), STEP)]
    for batch in pending:
        batch.settle()
    # only now: should this be cut short, it is done again
    ledgers.set_out(Ledger(standing.number, standing.event))
    return len(local.fold.jobs)


def _told(job: Job, local: JournalStore) -> Iterator[ev.Event]:
    yield ev.JobEnqueued(
        job.created_at, job.id, job.queue, job.task, job.payload, job.priority, job.tenant, job.run_at, job.expires_at,
        job.max_attempts, job.timeout, job.idempotency_key, job.unique, job.needs,
    )  # fmt: skip
    if job.state == JobState.DEAD:
        ended = local.fold.ended.get(job.id)
        at = ended.finished_at if ended is not None else local.clock.now()
        yield ev.JobDied(at, job.id, 0, job.attempt, failure=job.failure, reason=job.reason, queue=job.queue)
