"""Nodes of a fleet for tests: linked stores on homes of their own, and short ways to make them work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airgap.linked import LinkedStore
from airgap.opening import open_store
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.errors import Unreachable
from engine.kernel.job import Job, JobState, new_id
from engine.kernel.settings import Settings
from engine.storage.base import Claim, QueueLimits, Want
from tests.support.waiting import until

ROOM = {"q": 1_000}
#: seconds that a link may take: on a busy machine it is lost now and then, and each return takes longer than the last
PATIENCE = 60.0
#: seconds that Redis may take: more than a busy machine keeps it standing still; that it is gone is found out sooner
ANSWER = 10.0


class Node:
    """One linked store."""

    def __init__(self, home: Path, url: str, **settings: Any) -> None:
        self.clock = SystemClock()
        self.bus = Bus()
        self.events: list[ev.Event] = []
        self.bus.subscribe(self.events.extend)
        made = dataclasses.replace(Settings(home=home, redis=url, redis_timeout=ANSWER), **settings)
        store = open_store(made, self.clock, self.bus)
        assert isinstance(store, LinkedStore)
        self.store = store

    def open(self) -> Node:
        self.store.open()
        return self

    def put(self, **fields: Any) -> str:
        """Enqueue one job; its id, or that of the job that was there first."""
        made: dict[str, Any] = {"at": self.clock.now(), "id": new_id(), "queue": "q", "task": "t", "payload": b"{}"}
        return self.store.put([ev.JobEnqueued(**(made | {"max_attempts": 3} | fields))])[0].id

    def claim(self, most: int = 100) -> Claim | None:
        return self.store.claim(Want(ROOM, "agent", most))

    def claim_some(self, most: int = 100) -> Claim:
        """A claim, waited for."""
        return until(lambda: self.claim(most), PATIENCE, "there is a job to claim")

    def complete(self, claim: Claim, result: bytes = b'"done"') -> set[str]:
        """End all jobs of a claim; the ids of those whose end came too late."""
        return self.store.finish([self.end(job, claim.token, result) for job in claim.jobs])

    def work_off(self, ids: Sequence[str]) -> None:
        """Claim and complete, also over a moment in which the link is not there, until all these jobs are completed."""
        until(lambda: (self._work_some_off(), self.completed(ids))[1], PATIENCE, "all jobs are completed")

    def _work_some_off(self) -> None:
        while (claim := self.claim()) is not None:
            self.complete(claim)

    def completed(self, ids: Sequence[str]) -> bool:
        """Whether it sees all these jobs, and all are completed."""
        views = self.store.get(ids)
        return len(views) == len(ids) and {view.state for view in views.values()} == {JobState.COMPLETED}

    def in_redis(self, ids: Sequence[str]) -> int:
        """How many of these jobs Redis knows; 0 while it does not answer."""
        with suppress(Unreachable):
            return len(self.store.remote.get(ids))
        return 0

    def end(self, job: Job, token: int, result: bytes = b'"done"') -> ev.JobCompleted:
        now = self.clock.now()
        return ev.JobCompleted(now, job.id, token, job.attempt, "agent/1", now, 0.01, result=result, queue=job.queue)

    def state(self, id_: str) -> JobState | None:
        view = self.store.get([id_]).get(id_)
        return None if view is None else view.state

    def states(self, ids: Sequence[str]) -> set[JobState]:
        return {view.state for view in self.store.get(ids).values()}

    def is_(self, state: str) -> None:
        """Wait until the link is in a state."""
        until(lambda: self.store.air().state == state, PATIENCE, f"the link is {state}, not {self.store.air()}")

    def joined(self) -> Node:
        """Wait until what is put goes to Redis."""
        until(lambda: self.store.sending, PATIENCE, "it is connected")
        return self

    def level(self) -> None:
        """Wait until it is connected and has nothing that Redis lacks and nothing of its own."""
        until(self._is_level, PATIENCE, "it is connected and all is handed over")

    def _is_level(self) -> bool:
        # in this order: what left the table is written, and what is written was sent
        store = self.store
        handed = not store.air().local_jobs and store.local.journal.clear and not store.air().unsynced_events
        return handed and store.sending

    def limits(self, **fields: Any) -> None:
        self.store.configure("q", QueueLimits(**fields))

    def found(self, kind: type[ev.Event]) -> list[Any]:
        """Events of a kind that this node told of."""
        return [event for event in self.events if type(event) is kind]


@contextmanager
def node(home: Path, url: str, **settings: Any) -> Iterator[Node]:
    """A node for as long as the block runs."""
    made = Node(home, url, **settings).open()
    try:
        yield made
    finally:
        made.store.close()
