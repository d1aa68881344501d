"""The store of a node that has a Redis: the fleet's while connected, its own while cut off.  Huey and the engine see one.

Which side a call goes to
- Connected, a job of a queue with durability ``power`` or ``process`` is written to the journal as *offered*, then
  shipped; ends of jobs that Redis leased likewise.  A queue with durability ``redis`` goes to Redis alone.
- Cut off, everything goes to the journal: new jobs are the node's own until they are handed over; ends of leased jobs
  wait there.  So does what a call was about that Redis did not answer: it is accepted, and sent again by its id.
- Tokens tell whose lease it is: those of Redis are at least ``REMOTE_TOKENS``.
A job that was offered is in no local order; a job of the node's own never is available in Redis.  Both hold at all times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from airgap.linklife import LinkLife
from airgap.view import AIRGAPPED
from engine.kernel import events as ev
from engine.kernel.errors import Unreachable
from engine.kernel.job import TERMINAL, JobState, JobView
from engine.storage.base import Accepted, Claim, Exchange, QueueLimits, Want
from engine.storage.lanes import REMOTE_TOKENS

#: seconds that a waiter rests when Redis does not answer
REST = 0.2


class Words(NamedTuple):
    """What workers said: ends of attempts, and all else."""

    ends: list[ev.AttemptEnded]
    notes: list[ev.Event]

    def __bool__(self) -> bool:
        return bool(self.ends or self.notes)


#: what every console of a fleet wants to know, and no lane carries
_FOR_ALL = (ev.AgentStarted, ev.AgentStopped, ev.ConflictResolved)


class LinkedStore(LinkLife):
    """Implements ``engine.storage.base.Store``, and ``airgap.view.Air`` by ``LinkLife``."""

    #: whether any queue goes to Redis alone
    _any_direct = False

    # --- jobs in ---

    def put(self, jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        """See ``QueueStore.put``.  Never refused because Redis is away."""
        if not self.sending:
            return self.local.put(jobs)
        direct = [job for job in jobs if self._direct(job.queue)]
        if not direct:
            return self._put_offered(jobs)
        answers = {job.id: answer for job, answer in zip(direct, self._put_direct(direct), strict=True)}
        others = [job for job in jobs if job.id not in answers]
        answers |= {job.id: answer for job, answer in zip(others, self._put_offered(others), strict=True)}
        return [answers[job.id] for job in jobs]

    def _put_direct(self, jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        try:
            answers = self.remote.put(jobs)
            self.answered()
            return answers
        except Unreachable as error:
            self.unanswered(error)
            return self._put_offered(jobs)

    def _put_offered(self, jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        """Write down that the jobs are Redis', then send them; if that fails they are sent later."""
        if not jobs:
            return []
        answers = self.local.put([_offered(job) for job in jobs])
        if not self.ship():
            return answers
        firsts = self.arrivals.firsts(answer.id for answer in answers if answer.new)
        if not firsts:
            return answers
        # without their queue, so that they stay here: after a rewind this job may be the one that Redis takes
        at = self.clock.now()
        self.write([ev.JobDeleted(at, id_, f"the same request as {first}") for id_, first in firsts.items()])
        return [Accepted(firsts[answer.id], False) if answer.id in firsts else answer for answer in answers]

    # --- claims and their ends ---

    def claim(self, want: Want) -> Claim | None:
        """See ``QueueStore.claim``."""
        if self.connected:
            try:
                claim = self.held.took(self.remote.claim(want))
                self.answered()
                return claim
            except Unreachable as error:
                self.held.lost(error)
                self.unanswered(error)
                return None
        mine = self._local_want(want)
        return self.local.claim(mine) if mine is not None else None

    def _local_want(self, want: Want | None) -> Want | None:
        """What of a wish may be had while cut off."""
        if want is None or not self.may_run_local:
            return None
        away = self.state == AIRGAPPED
        room = {
            queue: room
            for queue, room in want.room.items()
            if not (away and queue in self.limits and self.limits[queue].airgap == "wait")
        }
        return Want(room, want.agent, want.most, want.capabilities, want.tenants) if room else None

    def finish(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event] = ()) -> set[str]:
        """See ``QueueStore.finish``."""
        return self.exchange(ends, notes, None).stale

    def exchange(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event], want: Want | None) -> Exchange:
        """See ``QueueStore.exchange``."""
        own, written, direct = self._sorted(ends, notes)
        if not self.connected:
            self._write_ends([*written.ends, *direct.ends], [*written.notes, *direct.notes])
            return self.local.exchange(own.ends, own.notes, self._local_want(want))
        stale = self._finish_own(own) if own else set()
        if written:
            stale |= self._finish_leased(written)
        if direct:
            exchange = self._exchange_direct(direct, want)
            return Exchange(stale | exchange.stale, exchange.claim)
        return Exchange(stale, self.claim(want) if want is not None else None)

    def _sorted(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event]) -> tuple[Words, Words, Words]:
        """What is about the node's own jobs, about leased jobs by way of the journal, and about such that go to Redis alone."""
        own, written, direct = Words([], []), Words([], []), Words([], [])
        for end in ends:
            self._side(end.token, end.queue, own, written, direct).ends.append(end)
        for note in notes:
            side = self._side(getattr(note, "token", 0), getattr(note, "queue", ""), own, written, direct)
            side.notes.append(note)
        return own, written, direct

    def _side(self, token: int, queue: str, own: Words, written: Words, direct: Words) -> Words:
        if token < REMOTE_TOKENS:
            return own
        return direct if self._any_direct and self._direct(queue) else written

    def _exchange_direct(self, said: Words, want: Want | None) -> Exchange:
        try:
            exchange = self.remote.exchange(said.ends, said.notes, want)
            self.answered()
            self.held.ended(said.ends)
            return Exchange(exchange.stale, self.held.took(exchange.claim))
        except Unreachable as error:
            self.held.lost(error)
            self.unanswered(error)
            self._write_ends(said.ends, said.notes)
            return Exchange(set(), None)

    def _finish_own(self, said: Words) -> set[str]:
        """End jobs that the node began while it was cut off; Redis is told at once, for who waits for them elsewhere."""
        stale = self.local.finish(said.ends, said.notes)
        if said.ends:
            self.ship()
        self._tell_fleet(said.notes)
        return stale

    def _finish_leased(self, said: Words) -> set[str]:
        """Write ends of leased jobs down, then send them."""
        self._write_ends(said.ends, said.notes)
        return self.arrivals.stale(end.id for end in said.ends) if self.ship() else set()

    def _write_ends(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event]) -> None:
        self.write([*notes, *ends])
        self.held.ended(ends)

    def renew(self, tokens: Iterable[int]) -> set[int]:
        """See ``QueueStore.renew``.  Cut off, leases of Redis are not known to be lost."""
        tokens = list(tokens)
        lost = self.local.renew(token for token in tokens if token < REMOTE_TOKENS)
        leased = [token for token in tokens if token >= REMOTE_TOKENS]
        if leased and self.connected:
            lost |= self._asked(lambda: self.remote.renew(leased), set[int]())
        return lost

    def promote(self) -> float | None:
        """See ``QueueStore.promote``."""
        delay = self.local.promote()
        if not self.connected:
            return delay
        there = self._asked(self.remote.promote, None)
        return min((seconds for seconds in (delay, there) if seconds is not None), default=None)

    # --- waiting ---

    def wait(self, timeout: float) -> bool:
        """See ``QueueStore.wait``."""
        if not self.connected:
            return self.local.wait(timeout)
        try:
            return self.remote.wait(timeout)
        except Unreachable as error:
            self.unanswered(error)
            return self.local.wait(min(timeout, REST))

    def wake(self) -> None:
        """See ``QueueStore.wake``."""
        self.local.wake()
        if self.connected:
            self._asked(self.remote.wake, None)

    # --- people's wishes ---

    def cancel(self, ids: Iterable[str], by: str = "") -> dict[str, JobState]:
        """See ``QueueStore.cancel``.  Cut off, only the node's own jobs can be cancelled."""
        ids = list(ids)
        found = self.local.cancel(ids, by)
        return found | self._elsewhere(ids, found, lambda rest: self.remote.cancel(rest, by), dict[str, JobState]())

    def retry(self, ids: Iterable[str], by: str = "", over: float = 0.0) -> set[str]:
        """See ``QueueStore.retry``."""
        ids = list(ids)
        moved = self.local.retry(ids, by, over)
        return moved | self._elsewhere(ids, moved, lambda rest: self.remote.retry(rest, by, over), set[str]())

    def delete(self, ids: Iterable[str], by: str = "") -> set[str]:
        """See ``QueueStore.delete``."""
        ids = list(ids)
        own = [id_ for id_ in ids if self.is_local(id_)]
        gone = self.local.delete(own if self.connected else ids, by)
        return gone | self._elsewhere(ids, own, lambda rest: self.remote.delete(rest, by), set[str]())

    def pause(self, queue: str, paused: bool, by: str = "") -> None:
        """See ``QueueStore.pause``.  Cut off, it holds here at once, and for the fleet when the link is back."""
        self.local.pause(queue, paused, by)
        self.ship()

    def configure(self, queue: str, limits: QueueLimits) -> None:
        """See ``QueueStore.configure``."""
        self.limits[queue] = limits
        self._any_direct = any(self._direct(name) for name in self.limits)
        self.local.configure(queue, limits)
        if self.connected:
            self._asked(lambda: self.remote.configure(queue, limits), None)

    def record(self, events: Sequence[ev.Event]) -> None:
        """See ``QueueStore.record``.  Agents that come and go, and decided conflicts, are told to the fleet too."""
        self.local.record(events)
        self._tell_fleet(events)

    def _tell_fleet(self, events: Sequence[ev.Event]) -> None:
        told = [event for event in events if isinstance(event, _FOR_ALL)]
        if told and self.connected:
            self._asked(lambda: self.remote.record(told), None)

    # --- looking ---

    def get(self, ids: Iterable[str]) -> dict[str, JobView]:
        """See ``QueueStore.get``.  Cut off, jobs that are Redis' are unknown, unless they ended here."""
        ids = list(ids)
        mine = self.local.get(ids)
        # what the node's own job came to stands, also while Redis has not heard of it; of a leased one Redis has the last word
        done = [id_ for id_, view in mine.items() if view.task and (view.state in TERMINAL or self.is_local(id_))]
        return mine | self._elsewhere(ids, done, self.remote.get, dict[str, JobView]())

    def counts(self) -> dict[str, dict[str, int]]:
        """See ``QueueStore.counts``."""
        counts = self.local.counts()
        for queue, states in self._there(self.remote.counts, dict[str, dict[str, int]]()).items():
            mine = counts.setdefault(queue, {})
            for state, count in states.items():
                mine[state] = mine.get(state, 0) + count
        return counts

    def peek(self, queue: str, limit: int, state: JobState = JobState.AVAILABLE) -> list[JobView]:
        """See ``QueueStore.peek``."""
        mine = self.local.peek(queue, limit, state)
        return (mine + self._there(lambda: self.remote.peek(queue, limit, state), list[JobView]()))[:limit]

    def paused(self) -> set[str]:
        """See ``QueueStore.paused``."""
        return self._there(self.remote.paused, None) or self.local.paused()

    def held_by_rate(self, queue: str) -> bool:
        """See ``QueueStore.held_by_rate``."""
        return self._there(lambda: self.remote.held_by_rate(queue), None) or self.local.held_by_rate(queue)

    # --- how it is decided ---

    def _direct(self, queue: str) -> bool:
        limits = self.limits.get(queue)
        return ((limits.durability if limits else None) or self.settings.durability) == "redis"


def _offered(job: ev.JobEnqueued) -> ev.JobEnqueued:
    return msgspec.structs.replace(job, offered=True)
