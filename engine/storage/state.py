"""A store whose live state is in memory and whose moves are made durable by a log.

How a move happens: under ``lock`` it is checked, turned into events, applied to the fold and appended to the log — so the
order in the log is the order of the moves — and outside the lock the caller settles until it is durable.  One exception:
a *put* is applied only after its commit (``then``), so that no job runs that could still be refused; until then its keys
are reserved.  With a log that keeps nothing this is the memory backend, with the journal it is the sealed store.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence

from engine.kernel import events as ev
from engine.kernel.bell import Bell
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock
from engine.kernel.faults import reached
from engine.kernel.job import TERMINAL, Job, JobState
from engine.storage import snapshot
from engine.storage.admission import Admission
from engine.storage.base import LEASE_SECONDS, Accepted, Claim, Exchange, Log, Pending, QueueLimits, Want
from engine.storage.carrying import Carrying
from engine.storage.claiming import Claiming
from engine.storage.fold import Fold
from engine.storage.looking import Looking
from engine.storage.timers import Timers
from engine.storage.values import Values

#: jobs moved by one event batch when many are changed at once
BATCH = 500


class StateStore(Values, Looking, Carrying):
    """Implements ``engine.storage.base.Store`` except for ``open``, ``close`` and ``facts``."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        bus: Bus,
        *,
        lease_seconds: float = LEASE_SECONDS,
        result_limit: int = 100_000,
        result_ttl: float = 86_400.0,
        idempotency_ttl: float = 86_400.0,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.bus = bus
        self.fold = Fold(clock, lease_seconds, result_limit, idempotency_ttl)
        self._result_ttl = result_ttl
        self._log = log
        self._bell = Bell()
        self._claiming = Claiming(self.fold)
        self._timers = Timers(self.fold)
        self._admission = Admission(self.fold)

    # --- jobs in ---

    def put(self, jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        """See ``QueueStore.put``."""
        reached("put.before_append")
        with self.lock:
            answers, fresh = self._admission.admit(jobs)
            pending = self._append_put(fresh)
        pending.settle()
        return answers

    def _append_put(self, fresh: Sequence[ev.JobEnqueued]) -> Pending:
        def committed() -> None:
            with self.lock:
                self._admission.forget(fresh)
                for job in fresh:
                    self.fold.apply(job)
            if fresh:
                self._bell.ring()

        def refused(error: BaseException) -> None:
            with self.lock:
                self._admission.forget(fresh)

        return self._log.append(fresh, then=committed, failed=refused)

    # --- claims and their ends ---

    def claim(self, want: Want) -> Claim | None:
        """See ``QueueStore.claim``.  The claim is in the log, safe from a crash of this process, before it returns."""
        with self.lock:
            claim, event = self._claim(want)
            if event is None:
                return None
            pending = self._log.append([event], sync=False, reserve=True)
        self._settle(pending, claim)
        reached("claim.after_commit")
        return claim

    def _claim(self, want: Want) -> tuple[Claim | None, ev.JobsClaimed | None]:
        self._make_due()
        jobs = self._claiming.take(want)
        if not jobs:
            return None, None
        event = ev.JobsClaimed(self.clock.now(), self.fold.token + 1, want.agent, [job.id for job in jobs])
        self.fold.apply(event)
        self.fold.leases[event.token].deadline = math.inf  # until it is written: nobody has the jobs who could renew it
        return Claim(event.token, jobs), event

    def _settle(self, pending: Pending, claim: Claim | None) -> None:
        """Wait until all is written; the lease of ``claim`` runs from then, also where writing failed and nobody gets it."""
        try:
            pending.settle()
        finally:
            if claim is not None:
                self.renew((claim.token,))

    def renew(self, tokens: Iterable[int]) -> set[int]:
        """See ``QueueStore.renew``."""
        with self.lock:
            deadline = self.clock.monotonic() + self.fold.lease_seconds
            lost = set()
            for token in tokens:
                lease = self.fold.leases.get(token)
                if lease is None:
                    lost.add(token)
                else:
                    lease.deadline = deadline
            return lost

    def finish(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event] = ()) -> set[str]:
        """See ``QueueStore.finish``."""
        return self.exchange(ends, notes, None).stale

    def exchange(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event], want: Want | None) -> Exchange:
        """See ``QueueStore.exchange``."""
        with self.lock:
            events, stale = self._finish(ends, notes)
            claim, claimed = self._claim(want) if want is not None else (None, None)
            if claimed is not None:
                events.append(claimed)
            pending = self._log.append(events, reserve=True)
            if ends and (any(end.state not in TERMINAL for end in ends) or self._claiming.limited_wait()):
                self._bell.ring()
        self._settle(pending, claim)
        reached("finish.after_commit")
        return Exchange(stale, claim)

    def _finish(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event]) -> tuple[list[ev.Event], set[str]]:
        stale: set[str] = set()
        events: list[ev.Event] = list(notes)
        apply = self.fold.apply
        for note in notes:
            apply(note)
        for end in ends:
            job = self.fold.jobs.get(end.id)
            if job is None or not end.token or job.token != end.token:
                stale.add(end.id)
            else:
                events.append(end)
                apply(end)
        return events, stale

    # --- time ---

    def promote(self) -> float | None:
        """See ``QueueStore.promote``."""
        with self.lock:
            self._make_due()
            now = self.clock.now()
            self.fold.forget_before(now - self._result_ttl, now)
            events = self._timers.expired(now) + self._timers.rescued()
            pending = self.move(events)
            if events:
                self._bell.ring()
            delay = self._timers.next_delay()
        pending.settle()
        return delay

    def rescue_all(self) -> int:
        """Take back every claim, as after a restart: whoever held it is gone.  Returns how many jobs were held."""
        with self.lock:
            events = self._timers.rescued(everything=True)
            pending = self.move(events)
        pending.settle()
        return len(events)

    def _make_due(self) -> None:
        if self._timers.make_due():
            self._bell.ring()

    def wait(self, timeout: float) -> bool:
        """See ``QueueStore.wait``; wakes by itself when something is due."""
        with self.lock:
            delay = self._timers.next_delay()
        return self._bell.sleep(timeout if delay is None else max(0.0, min(timeout, delay)))

    def wake(self) -> None:
        """See ``QueueStore.wake``."""
        self._bell.ring()

    # --- people's wishes ---

    def cancel(self, ids: Iterable[str], by: str = "") -> dict[str, JobState]:
        """See ``QueueStore.cancel``."""
        found: dict[str, JobState] = {}
        with self.lock:
            events: list[ev.Event] = []
            at = self.clock.now()
            for job in self._known(ids):
                found[job.id] = job.state
                if job.state == JobState.RUNNING:
                    if not job.cancelling:
                        events.append(ev.CancelRequested(at, job.id, by, job.queue))
                elif job.state != JobState.DEAD:
                    events.append(ev.JobCancelled(at, job.id, 0, 0, reason=by, queue=job.queue))
            pending = self.move(events)
        pending.settle()
        return found

    def retry(self, ids: Iterable[str], by: str = "", over: float = 0.0) -> set[str]:
        """See ``QueueStore.retry``."""
        movable = (JobState.DEAD, JobState.RETRYABLE, JobState.SCHEDULED)
        with self.lock:
            jobs = [job for job in self._known(ids) if job.state in movable]
            at = self.clock.now()
            gap = over / len(jobs) if jobs else 0.0
            events = [
                ev.JobRetried(
                    at,
                    job.id,
                    by,
                    max(1, job.max_attempts),
                    at + gap * index if gap and index else 0.0,
                    job.queue,
                )
                for index, job in enumerate(jobs)
            ]
            moved = {job.id for job in jobs}
            pending = self.move(events)
            self._bell.ring()
        pending.settle()
        return moved

    def delete(self, ids: Iterable[str], by: str = "") -> set[str]:
        """See ``QueueStore.delete``.  A job that ended is deleted too, so that its history goes with it."""
        with self.lock:
            at = self.clock.now()
            wanted = list(dict.fromkeys(ids))
            running = {job.id for job in self._known(wanted) if job.state == JobState.RUNNING}
            events = [ev.JobDeleted(at, id_, by, self._queue_of(id_)) for id_ in wanted if id_ not in running]
            pending = self.move(events)
        pending.settle()
        return {event.id for event in events}

    def pause(self, queue: str, paused: bool, by: str = "") -> None:
        """See ``QueueStore.pause``."""
        kind = ev.QueuePaused if paused else ev.QueueResumed
        with self.lock:
            pending = self.move([kind(self.clock.now(), queue, by)])
            self._bell.ring()
        pending.settle()

    def configure(self, queue: str, limits: QueueLimits) -> None:
        """See ``QueueStore.configure``; limits come from settings and code at every start and are not logged."""
        with self.lock:
            self._claiming.configure(queue, limits)
            self._bell.ring()

    def record(self, events: Sequence[ev.Event]) -> None:
        """Write events that are no moves (an agent started, an entry was set aside)."""
        with self.lock:
            pending = self.move(events)
        pending.settle()

    def _queue_of(self, id_: str) -> str:
        known = self.fold.jobs.get(id_) or self.fold.ended.get(id_)
        return known.queue if known is not None else ""

    def _known(self, ids: Iterable[str]) -> list[Job]:
        return [self.fold.jobs[id_] for id_ in dict.fromkeys(ids) if id_ in self.fold.jobs]

    def move(self, events: Sequence[ev.Event], *, sync: bool = True) -> Pending:
        """Make events true that were checked to be possible; ``lock`` is held, who called settles without it."""
        for event in events:
            self.fold.apply(event)
        return self._log.append(events, sync=sync, reserve=True)

    # --- checkpoints ---

    def snapshot(self) -> Iterator[bytes]:
        """The whole state at this moment, in encoded chunks.  Call it holding ``lock`` with nothing pending in the log;
        draw the chunks without it: the lock is taken for a moment per chunk, and what changes meanwhile is captured as
        it was."""
        return snapshot.take(self.fold, self.lock)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Take over a snapshot, into a store that is empty.  ``replay`` and ``settle`` follow."""
        self.fold.replaying = True
        snapshot.load(self.fold, chunks)

    def replay(self, events: Sequence[ev.Event]) -> None:
        """Apply events that are in the log already."""
        self.fold.replaying = True
        for event in events:
            self.fold.apply(event)

    def settle(self) -> None:
        """End a replay; the order of claims is built now."""
        with self.lock:
            self.fold.settle()
