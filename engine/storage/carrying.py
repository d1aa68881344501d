"""Jobs that are carried away: claimed for another site that runs them, until their outcomes are brought home.

The claim's agent begins with ``CARRIER``; its lease does not expire, survives restarts, and takes no slot of its queue's
concurrency.  ``bring_home`` makes what happened elsewhere true here, as the very events that would have been written had
the attempts been made here, all of a call in one commit.  A job that was released, or that has its outcome, takes none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import msgspec

from engine.kernel import events as ev
from engine.kernel.bell import Bell
from engine.kernel.clock import Clock
from engine.kernel.job import Job, JobState
from engine.storage.base import Log, Pending
from engine.storage.fold import Fold
from engine.storage.records import CARRIER

#: what may be carried away
CARRIABLE = (JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE)
#: jobs moved in one commit
STEP = 500


class Brought(msgspec.Struct, frozen=True):
    """What happened elsewhere to one job: its attempts' ends in order, the outcome last."""

    id: str
    #: of the claim under which it was carried away
    token: int
    ends: tuple[ev.AttemptEnded, ...]


class Carrying:
    """Claims that leave the machine, over a fold; mixed into ``StateStore``."""

    lock: threading.RLock
    clock: Clock
    fold: Fold
    _log: Log
    _bell: Bell

    def move(self, events: Sequence[ev.Event], *, sync: bool = True) -> Pending:
        """See ``StateStore.move``."""
        raise NotImplementedError

    def _make_due(self) -> None:
        raise NotImplementedError

    @property
    def carrying(self) -> threading.Lock:
        """Held by whoever packs or unpacks what is carried: one at a time."""
        lock: threading.Lock = self.__dict__.setdefault("_carrying", threading.Lock())
        return lock

    def carriable(self, queue: str, states: Iterable[JobState] = CARRIABLE, most: int = 1 << 30) -> list[str]:
        """Ids of jobs of a queue that may be carried away: available ones as they would be claimed, then by time."""
        wanted = frozenset(states) & frozenset(CARRIABLE)
        with self.lock:
            self._make_due()
            ready: list[Job] = []
            if JobState.AVAILABLE in wanted and queue in self.fold.queues:
                ready = self.fold.queue(queue).order.peek(min(most, self.fold.queue(queue).counts[JobState.AVAILABLE]))
            later = [
                job
                for job in self.fold.jobs.values()
                if job.queue == queue and job.state in wanted and job.state != JobState.AVAILABLE
            ]
        later.sort(key=lambda job: (job.run_at, job.id))
        return [job.id for job in (*ready, *later)][:most]

    def carry(self, ids: Iterable[str], carrier: str) -> list[Job]:
        """Claim those of the jobs that still wait; on disk before it returns.  Raises ``StoreFull``."""
        with self.lock:
            known = (self.fold.jobs.get(id_) for id_ in ids)
            jobs = [job for job in known if job is not None and job.state in CARRIABLE]
            if not jobs:
                return []
            agent = CARRIER + carrier
            event = ev.JobsClaimed(self.clock.now(), self.fold.token + 1, agent, [job.id for job in jobs])
            pending = self.move([event])
            taken = [self.fold.jobs[job.id] for job in jobs]
        pending.settle()
        return taken

    def carried(self, carrier: str) -> list[str]:
        """Ids of the jobs that are away under this name."""
        with self.lock:
            leases = [lease for lease in self.fold.leases.values() if lease.agent == CARRIER + carrier]
            return sorted(id_ for lease in leases for id_ in lease.ids)

    def bring_home(self, all_brought: Sequence[Brought]) -> set[str]:
        """Make outcomes true; returns ids of jobs that are not away under that token (any more)."""
        late: set[str] = set()
        events: list[ev.Event] = []
        with self.lock:
            for brought in all_brought:
                job = self.fold.jobs.get(brought.id)
                lease = self.fold.leases.get(brought.token)
                if job is None or lease is None or not lease.carried or job.token != brought.token:
                    late.add(brought.id)
                else:
                    events += self._ended(job, brought, lease.agent)
            pending = self._log.append(events, reserve=True)
            self._bell.ring()
        pending.settle()
        return late

    def _ended(self, job: Job, brought: Brought, agent: str) -> list[ev.Event]:
        """The events of one job, applied."""
        made: list[ev.Event] = []
        token = brought.token
        for end in brought.ends:
            if made:
                token = self.fold.token + 1
                made.append(ev.JobsClaimed(end.started_at or end.at, token, agent, [job.id]))
                self.fold.apply(made[-1])
            attempt = self.fold.jobs[job.id].attempt
            made.append(msgspec.structs.replace(end, id=job.id, token=token, attempt=attempt, queue=job.queue))
            self.fold.apply(made[-1])
        return made

    def uncarry(self, carrier: str, reason: str = "") -> list[str]:
        """Take back what is still away under this name, as if it had never been claimed; what somebody wished to cancel
        meanwhile is cancelled.  Returns the ids."""
        ids = self.carried(carrier)
        for start in range(0, len(ids), STEP):
            with self.lock:
                at = self.clock.now()
                jobs = [self.fold.jobs[id_] for id_ in ids[start : start + STEP] if id_ in self.fold.jobs]
                events = [
                    (ev.JobCancelled if job.cancelling else ev.JobReleased)(
                        at, job.id, job.token, job.attempt, reason=reason, queue=job.queue
                    )
                    for job in jobs
                    if job.token and self.fold.leases[job.token].agent == CARRIER + carrier
                ]
                pending = self.move(events)
                self._bell.ring()
            pending.settle()
        return ids
