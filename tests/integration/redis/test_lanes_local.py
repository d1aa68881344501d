"""What a node did with its own jobs, told to Redis in a lane, leaves Redis knowing of each job what the node knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import FakeClock
from engine.kernel.job import TERMINAL, JobState
from engine.storage.lanes import JOBS, Lane
from engine.storage.memory import MemoryStore
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from tests.support.lanes import Ledger
from tests.support.redis_hosts import RedisHost
from tests.support.stores import claim, end, enqueued, redis_store

ENDS = (
    ev.JobCompleted, ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased, ev.JobRescued, ev.JobCancelled, ev.JobDied,
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from([0, 7])),
        st.tuples(st.just("run"), st.sampled_from(ENDS), st.booleans()),
        st.tuples(st.just("lose"), st.integers(1, 2)),
        st.tuples(st.sampled_from(["wait", "cancel", "retry", "delete"])),
    ),
    min_size=3,
    max_size=25,
)


@pytest.fixture(scope="module")
def client(redis_server: RedisHost) -> Iterator[Client]:
    found = Client(target_of(redis_server.url))
    yield found
    found.close()


class Local:
    """A node that works by itself and writes down what happens."""

    def __init__(self) -> None:
        self.clock, bus = FakeClock(), Bus()
        self.ledger = Ledger()
        bus.subscribe(lambda events: self.ledger.write(*events))
        self.store = MemoryStore(self.clock, bus)
        self.ids: list[str] = []

    def put(self, delay: float) -> None:
        job = enqueued(self.clock, run_at=self.clock.now() + delay if delay else 0.0, max_attempts=2)
        self.ids.append(job.id)
        self.store.put([job])

    def run(self, kind: type[ev.AttemptEnded], started: bool) -> None:
        held = claim(self.store)
        if held is not None:
            due = {"run_at": self.clock.now() + 3} if kind in (ev.JobRetryScheduled, ev.JobSnoozed) else {}
            ended = end(kind, held.jobs[0], held.token, self.clock, queue="q", **due)
            self.store.finish([ended if started else _unstarted(ended)])

    def lose(self, jobs: int) -> None:
        """Claim, and never come back."""
        claim(self.store, jobs)
        self.clock.advance(5)
        self.store.promote()

    def wait(self) -> None:
        self.clock.advance(8)
        self.store.promote()

    def cancel(self) -> None:
        self.store.cancel(self.ids[-1:])

    def retry(self) -> None:
        self.store.retry(self.ids)

    def delete(self) -> None:
        self.store.delete(self.ids[:1])


def _unstarted(ended: ev.AttemptEnded) -> ev.AttemptEnded:
    return type(ended)(
        ended.at, ended.id, ended.token, ended.attempt, ended.worker, 0.0, run_at=ended.run_at, queue=ended.queue
    )


@examples(max_examples=100)
@given(steps)
def test_redis_knows_of_owned_jobs_what_their_node_knows(redis_server: RedisHost, client: Client, steps: list) -> None:  # type: ignore[type-arg]
    local = Local()
    for name, *args in steps:
        getattr(local, name)(*args)
    remote = redis_store(redis_server.url, local.clock)
    remote.client.close()
    remote.client = client
    here = local.store.get(local.ids)
    waiting = [id_ for id_, view in here.items() if view.state not in TERMINAL]
    local.ledger.write(ev.JobsOffered(local.clock.now(), "q", waiting))
    (receipt,) = remote.apply("n1", 1, [local.ledger.shipment(Lane("q", JOBS))])
    assert (receipt.status, receipt.stale, list(receipt.conflicts)) == ("applied", frozenset(), [])
    there = remote.get(local.ids)
    assert there.keys() == here.keys()
    for id_, ours in here.items():
        theirs = there[id_]
        for field in ("state", "attempt", "crashes", "result", "failure"):
            assert getattr(theirs, field) == getattr(ours, field), field
        if ours.state in (JobState.DEAD, *set(JobState) - TERMINAL):
            assert theirs.max_attempts == ours.max_attempts
