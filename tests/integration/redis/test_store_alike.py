"""Whatever is done to it, the Redis store says of each job what the memory store says.

Every queue has at most one live job, so that the order of claims, which differs in ties, plays no part.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.job import TERMINAL, JobState, JobView
from engine.storage.base import Claim, Store, Want
from engine.storage.memory import MemoryStore
from engine.storage.redis.store import RedisStore
from tests.support.redis_hosts import RedisHost
from tests.support.stores import enqueued, redis_store

QUEUES = ("q0", "q1", "q2")
KINDS = (
    ev.JobCompleted, ev.JobCancelled, ev.JobDied, ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased, ev.JobRescued,
)  # fmt: skip

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(QUEUES), st.sampled_from(["", "u"]), st.sampled_from([0, 7]),
                  st.sampled_from([0, 5, 30])),
        st.tuples(st.just("claim"), st.sampled_from(QUEUES)),
        st.tuples(st.just("start"), st.sampled_from(QUEUES)),
        st.tuples(st.just("end"), st.sampled_from(QUEUES), st.sampled_from(KINDS), st.booleans()),
        st.tuples(st.just("pass"), st.sampled_from([1, 3, 6, 40])),
        st.tuples(st.sampled_from(["renew", "say"]), st.sampled_from(QUEUES)),
        st.tuples(st.just("wish"), st.sampled_from(["cancel", "retry", "delete"]), st.sampled_from(QUEUES)),
        st.tuples(st.just("pause"), st.sampled_from(QUEUES), st.booleans()),
    ),
    max_size=30,
)  # fmt: skip


class Both:
    """The two stores under one clock, and what was claimed from each."""

    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore(self.clock)
        self.redis: RedisStore = redis_store(url, self.clock)
        self.jobs: dict[str, str] = {}
        self.claims: dict[str, tuple[Claim | None, Claim | None]] = {}

    def stores(self) -> tuple[Store, Store]:
        return self.memory, self.redis

    def put(self, queue: str, unique: str, delay: int, life: int) -> None:
        live = self.jobs.get(queue)
        fresh = live is None or self.memory.get([live]).get(live) is None
        if not fresh and not unique:
            return
        now = self.clock.now()
        job = enqueued(
            self.clock, queue=queue, unique=unique, run_at=now + delay if delay else 0.0,
            expires_at=now + life if life else 0.0,
        )  # fmt: skip
        here, there = (store.put([job])[0] for store in self.stores())
        assert here == there
        self.jobs[queue] = here.id

    def claim(self, queue: str) -> None:
        here, there = (store.claim(Want({queue: 9}, "a", 9)) for store in self.stores())
        assert [told(job) for job in (here.jobs if here else [])] == [
            told(job) for job in (there.jobs if there else [])
        ]
        if here is not None:
            self.claims[queue] = (here, there)

    def start(self, queue: str) -> None:
        for store, held in zip(self.stores(), self.claims.get(queue, ()), strict=False):
            assert held is not None
            job = held.jobs[0]
            store.finish([], [ev.JobStarted(self.clock.now(), job.id, held.token, job.attempt, "a/1", queue)])

    def end(self, queue: str, kind: type[ev.AttemptEnded], began: bool) -> None:
        now = self.clock.now()
        stale = []
        for store, held in zip(self.stores(), self.claims.get(queue, ()), strict=False):
            assert held is not None
            job = held.jobs[0]
            result = b"1" if kind is ev.JobCompleted else None
            reason = ev.CRASHED if kind is ev.JobRescued else "why"
            end = kind(
                now, job.id, held.token, job.attempt, "a/1", now if began else 0.0, result=result, run_at=now + 4,
                reason=reason, queue=queue,
            )  # fmt: skip
            stale.append(store.finish([end]))
        # an end of a job that was taken back and that nobody claimed since still counts in Redis
        if stale and stale[0] != stale[1]:
            raise Parted

    def renew(self, queue: str) -> None:
        held = self.claims.get(queue, ())
        lost = [bool(store.renew([claim.token])) for store, claim in zip(self.stores(), held, strict=False) if claim]
        assert len(set(lost)) <= 1

    def say(self, queue: str) -> None:
        word = ev.JobProgressed(self.clock.now(), self.jobs.get(queue, "unknown"), 1, 0.5, "half", queue)
        for store in self.stores():
            store.finish([], [word])

    def pause(self, queue: str, paused: bool) -> None:
        for store in self.stores():
            store.pause(queue, paused)

    def wish(self, what: str, queue: str) -> None:
        here, there = (getattr(store, what)([self.jobs.get(queue, "unknown")]) for store in self.stores())
        assert here == there

    def step(self, name: str, *args: Any) -> None:
        if name == "pass":
            self.clock.advance(args[0])
            for store in self.stores():
                store.promote()
        else:
            getattr(self, name)(*args)

    def compare(self) -> None:
        ids = list(self.jobs.values())
        here, there = (store.get(ids) for store in self.stores())
        assert {id_: said(view) for id_, view in here.items()} == {id_: said(view) for id_, view in there.items()}
        here_counts, there_counts = (store.counts() for store in self.stores())
        for queue in here_counts:
            waiting = {state: n for state, n in here_counts[queue].items() if state not in TERMINAL or state == "dead"}
            assert {s: n for s, n in waiting.items() if n} == {s: n for s, n in there_counts[queue].items() if n}
            self.check_order(queue)

    def check_order(self, queue: str) -> None:
        """The order holds all available jobs, and the times all that wait."""
        tag, ask = self.redis.tag(queue), self.redis.client.command
        records = ask("HGETALL", f"{tag}m")
        states = dict(zip(records[::2], (record[:1] for record in records[1::2]), strict=True))
        available = {id_ for id_, state in states.items() if state == b"A"}
        assert available <= set(ask("LRANGE", f"{tag}q:5:\0", 0, -1))
        for letter, key in ((b"S", "s"), (b"Y", "y"), (b"D", "d")):
            assert {id_ for id_, state in states.items() if state == letter} == set(ask("ZRANGE", f"{tag}{key}", 0, -1))
        held = sum(state == b"R" for state in states.values())
        assert held == sum(map(int, ask("HVALS", f"{tag}xn")))
        assert set(ask("ZRANGE", f"{tag}x", 0, -1)) == set(ask("HKEYS", f"{tag}xn")) == set(ask("HKEYS", f"{tag}xl"))


class Parted(Exception):
    """The stores may differ from here on."""


def told(job: Any) -> tuple[Any, ...]:
    return job.id, job.attempt, job.counted, job.crashes, job.rescues, job.extra, job.max_attempts


def said(view: JobView) -> tuple[Any, ...]:
    waits = view.state in (JobState.SCHEDULED, JobState.RETRYABLE)
    return (
        view.state, view.attempt, view.crashes, view.max_attempts, view.cancelling, view.result, view.expires_at,
        round(view.run_at, 3) if waits else 0, view.started_at if view.state == JobState.RUNNING else 0,
        view.finished_at, view.progress, view.payload,
    )  # fmt: skip


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps)
def test_the_redis_store_says_of_each_job_what_the_memory_store_says(
    redis_server: RedisHost, what: list[tuple[Any, ...]]
) -> None:
    both = Both(redis_server.url)
    try:
        for name, *args in what:
            both.step(name, *args)
            both.compare()
    except Parted:
        pass
    finally:
        both.redis.close()
