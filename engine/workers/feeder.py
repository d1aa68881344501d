"""Brings claimed jobs to the workers of a process.

The workers share one batch: whoever finds it empty claims the next under one lease, so a claim costs one commit for
many jobs; while work flows the finisher brings the next batch along with the ends it writes, before this one is used up.
A batch is bound by time, not by count: about ``BATCH_SECONDS`` of work, since a hoard is what a crash repeats.  Of the
idle workers one waits at the store, the others are parked; whoever comes away with work calls the next to the post.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from engine.kernel.bell import Bell
from engine.kernel.job import Job
from engine.storage.base import Claim, QueueStore, Want

#: seconds of work that one claim takes
BATCH_SECONDS = 0.1
#: most jobs of one claim
BATCH_MOST = 500
#: jobs in ``BATCH_SECONDS`` from which on the next batch is brought along
FLOWING = 50
#: seconds that the mean run time forgets the past by, per job
SMOOTHING = 0.1
#: seconds that an idle worker waits before it looks around again
IDLE_WAIT = 1.0
#: seconds that the end waits for a claim that is under way: a full disk may hold it up for ever
CLOSE_WAIT = 1.0

Held = tuple[Job, int]


class Feeder:
    """The claimed batch, and the post at the store's door."""

    def __init__(
        self,
        store: QueueStore,
        agent: str,
        *,
        capabilities: Iterable[str] = (),
        tenants: Iterable[str] = (),
        serve: Iterable[str] = (),
    ) -> None:
        self._store = store
        self.agent = agent
        self._capabilities = frozenset(capabilities)
        self._tenants = frozenset(tenants) or None
        self._serve = frozenset(serve)
        self._claiming = threading.Lock()
        self._post = threading.Lock()
        self._mean = BATCH_SECONDS
        self._stopping = False
        #: whether nothing is to be claimed for the time being
        self.halted = False
        #: someone came to claim while someone else did
        self._missed = False
        #: queues to take from, and how many at most
        self.room: dict[str, int] = {}
        #: claimed jobs that no worker has begun
        self.ready: deque[Held] = deque()
        #: bells of idle workers that don't stand at the door
        self.parked: deque[Bell] = deque()
        #: rung when there is a batch to pace
        self.pace = Bell()
        #: whether the pacer decides who is awake
        self.paced = False
        #: jobs handed out so far
        self.taken = 0

    def serve(self, queue: str) -> None:
        """Take jobs from this queue too, unless this agent is bound to others."""
        if not self._serve or queue in self._serve:
            self.room[queue] = BATCH_MOST

    def next(self) -> Held | None:
        """The next job to run; ``None`` if there is none or someone else is just claiming."""
        try:
            held = self.ready.popleft()
        except IndexError:
            return self._claim()
        self.taken += 1
        return held

    def _claim(self) -> Held | None:
        if self._rests() or not self._may_claim():
            return None
        try:
            if self._rests():  # only now it is certain: who wants rest waits for a claim that is under way
                return None
            if not self.ready:
                claim = self._store.claim(self._want(self._most()))
                if claim is None:
                    return None
                self.ready.extend([(job, claim.token) for job in claim.jobs])
            held = self.ready.popleft() if self.ready else None
        finally:
            self._done_claiming()
        if self.ready:
            self.pace.ring()
        if not self.paced:
            self.call_one()
        self.taken += held is not None
        return held

    def _rests(self) -> bool:
        return self._stopping or self.halted

    def _want(self, most: int) -> Want:
        return Want(self.room, self.agent, most, self._capabilities, self._tenants)

    def _most(self) -> int:
        return max(1, min(BATCH_MOST, int(BATCH_SECONDS / max(self._mean, 1e-6))))

    def want(self) -> Want | None:
        """What the finisher should bring along; ``None`` if the batch is still full, or no work flows."""
        most = self._most()
        idle = self._rests() or most < FLOWING
        if idle or len(self.ready) > most or not self._claiming.acquire(False):
            return None
        if self._rests():  # as in ``_claim``
            self._done_claiming()
            return None
        return self._want(most)

    def brought(self, claim: Claim | None) -> None:
        """What came of ``want``, also if nothing came."""
        if claim is not None:
            self.ready.extend([(job, claim.token) for job in claim.jobs])
            self._missed = True
        self._done_claiming()
        if claim is not None:
            self.pace.ring()

    def _may_claim(self) -> bool:
        """Whether nobody else claims now; who is refused is woken when the other is done."""
        if self._claiming.acquire(blocking=False):
            return True
        self._missed = True
        # the other may have been done just before the line above, and has not seen it
        return self._claiming.acquire(blocking=False)

    def _done_claiming(self) -> None:
        """Let others claim; whoever came meanwhile and lay down looks again, for a job may have come after our look."""
        self._claiming.release()
        if self._missed:
            self._missed = False
            self._store.wake()

    def took(self, seconds: float) -> None:
        """Learn how long a job ran."""
        self._mean += (seconds - self._mean) * SMOOTHING

    def idle(self, bell: Bell) -> None:
        """Wait for work: at the store's door if nobody stands there, else parked until called."""
        if not self.halted and self._post.acquire(blocking=False):
            try:
                self._stand_at_door()
            finally:
                self._post.release()
        else:
            self.park(bell)

    def _stand_at_door(self) -> None:
        if not self._stopping and self._store.wait(IDLE_WAIT) and self.halted:
            self._store.wake()  # halted while it stood there: the call was for who may claim

    def park(self, bell: Bell) -> None:
        """Sleep until called."""
        self.parked.append(bell)
        if self._stopping or not bell.sleep(IDLE_WAIT):
            try:
                self.parked.remove(bell)
            except ValueError:  # called in the same moment
                bell.sleep(0)

    def call_one(self) -> bool:
        """Wake a parked worker; whether there was one."""
        try:
            self.parked.pop().ring()
        except IndexError:
            return False
        return True

    def close(self) -> list[Held]:
        """Claim no more; everybody wakes.  Returns the jobs that were claimed and not begun."""
        self._stopping = True
        left = self._empty()
        self._store.wake()
        while self.call_one():
            pass
        self.pace.ring()
        return left

    def halt(self) -> list[Held]:
        """Claim no more until ``go_on``.  Returns the jobs that were claimed and not begun."""
        self.halted = True
        return self._empty()

    def go_on(self) -> None:
        """Claim again."""
        self.halted = False
        self._store.wake()
        self.call_one()

    def _empty(self) -> list[Held]:
        """What is in the batch once a claim that is under way has come."""
        quiet = self._claiming.acquire(timeout=CLOSE_WAIT)
        left = self.hand_back()
        if quiet:
            self._claiming.release()
        return left

    def hand_back(self) -> list[Held]:
        """All claimed jobs that no worker has begun, taken out of the batch."""
        left: list[Held] = []
        while self.ready:
            try:
                left.append(self.ready.popleft())
            except IndexError:
                break
        return left
