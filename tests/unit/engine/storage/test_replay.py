"""What a restart rebuilds is what was there: random moves, then a replay of their events, and a snapshot taken midway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import FakeClock
from engine.kernel.events import Event
from engine.kernel.job import Job, JobState
from engine.storage.carrying import Brought
from engine.storage.guests import GUESTS, GuestEntry, value_of
from engine.storage.memory import MemoryStore
from engine.storage.records import CARRIER
from tests.support.stores import claim, end, enqueued

QUEUES = ("q", "r")


def picture(store: MemoryStore) -> dict[str, Any]:
    """All of the state that must survive.  A job that became due by time alone counts as waiting for its time."""
    jobs = {}
    for job in store.fold.jobs.values():
        fields = msgspec.structs.asdict(job)
        due = (JobState.SCHEDULED, JobState.RETRYABLE)
        fields["state"] = JobState.AVAILABLE if job.state in due and job.run_at <= store.clock.now() else job.state
        jobs[job.id] = fields
    return {
        "jobs": jobs,
        "ended": {id_: ended.state for id_, ended in store.fold.ended.items()},
        "requests": dict(store.fold.requests),
        "unique": dict(store.fold.unique),
        "values": store.values(),
        "paused": store.paused(),
        "token": store.fold.token,
        "held": {token: set(lease.ids) for token, lease in store.fold.leases.items() if lease.ids},
        "away": {lease.agent: set(lease.ids) for lease in store.fold.leases.values() if lease.carried},
        "carried": {name: queue.carried for name, queue in store.fold.queues.items() if queue.carried},
        "guests": (dict(store.fold.guests.by_id), store.fold.guests.number, store.fold.guests.tally(f"{GUESTS}b")),
    }


class Moves(RuleBasedStateMachine):
    """Random moves on a memory store whose events are kept."""

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.log: list[Event] = []
        bus = Bus()
        bus.subscribe(self.keep)
        self.store = MemoryStore(self.clock, bus)
        self.held: list[tuple[Job, int]] = []
        self.away: list[tuple[str, int]] = []
        self.snapshot: tuple[list[bytes], int] | None = None

    def keep(self, events: Sequence[Event]) -> None:
        self.log.extend(events)

    @rule(
        queue=st.sampled_from(QUEUES),
        delay=st.sampled_from([0, 0, 5, 50]),
        key=st.sampled_from(["", "", "k1", "k2"]),
        unique=st.sampled_from(["", "", "u"]),
        tenant=st.sampled_from(["", "acme"]),
        expires=st.sampled_from([0, 0, 20]),
    )
    def put(self, queue: str, delay: float, key: str, unique: str, tenant: str, expires: float) -> None:
        now = self.clock.now()
        job = enqueued(
            self.clock, queue=queue, run_at=now + delay if delay else 0.0, idempotency_key=key, unique=unique,
            tenant=tenant, expires_at=now + expires if expires else 0.0,
        )  # fmt: skip
        self.store.put([job])

    @rule(queue=st.sampled_from(QUEUES), most=st.integers(1, 4))
    def take(self, queue: str, most: int) -> None:
        taken = claim(self.store, most, queue)
        if taken is not None:
            self.held += [(job, taken.token) for job in taken.jobs]

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        kind=st.sampled_from(
            [ev.JobCompleted, ev.JobDied, ev.JobCancelled, ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased]
        ),
    )
    def finish(self, data: st.DataObject, kind: type[ev.AttemptEnded]) -> None:
        job, token = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        ended = end(kind, job, token, self.clock, run_at=self.clock.now() + 7)
        self.store.finish([ended], [ev.JobStarted(self.clock.now(), job.id, token, job.attempt, "a/1")])

    @rule(data=st.data(), wish=st.sampled_from(["cancel", "retry", "delete"]))
    def wish(self, data: st.DataObject, wish: str) -> None:
        ids = sorted(self.store.fold.jobs)
        if ids:
            getattr(self.store, wish)([data.draw(st.sampled_from(ids))], "someone")

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        self.store.pause(queue, paused)

    @rule(key=st.sampled_from(["a", "b"]), value=st.sampled_from([b"1", b"2", None]))
    def write(self, key: str, value: bytes | None) -> None:
        self.store.swap(key, self.store.value(key), value)

    @rule(seconds=st.sampled_from([1, 6, 30]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.store.promote()

    @rule(queue=st.sampled_from(QUEUES), most=st.integers(1, 3))
    def carry_away(self, queue: str, most: int) -> None:
        jobs = self.store.carry(self.store.carriable(queue, most=most), f"b{self.store.fold.token}")
        self.away += [(job.id, job.token) for job in jobs]

    @precondition(lambda self: self.away)
    @rule(data=st.data(), kinds=st.lists(st.sampled_from([ev.JobRetryScheduled, ev.JobReleased]), max_size=2))
    def bring_home(self, data: st.DataObject, kinds: list[type[ev.AttemptEnded]]) -> None:
        id_, token = data.draw(st.sampled_from(self.away))
        at = self.clock.now()
        ends = tuple(kind(at, id_, 9, 1, started_at=at, run_at=at + 7) for kind in [*kinds, ev.JobCompleted])
        self.store.bring_home([Brought(id_, token, ends)])

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        leases = sorted(lease.agent for lease in self.store.fold.leases.values() if lease.carried)
        if leases:
            self.store.uncarry(data.draw(st.sampled_from(leases)).removeprefix(CARRIER))

    @rule(data=st.data())
    def owe(self, data: st.DataObject) -> None:
        ids = sorted(self.store.fold.jobs)
        named = data.draw(st.lists(st.sampled_from(ids), max_size=3, unique=True)) if ids else []
        self.store.set_value(f"{GUESTS}b", value_of([GuestEntry(id_, 1) for id_ in named]))

    @rule()
    def crash(self) -> None:
        self.store.rescue_all()

    @rule()
    def photograph(self) -> None:
        with self.store.lock:
            chunks = self.store.snapshot()
            at = len(self.log)
        self.snapshot = (list(chunks), at)

    def rebuilt(self, chunks: list[bytes], events: Sequence[Event]) -> MemoryStore:
        store = MemoryStore(self.clock)
        store.restore(chunks)
        store.replay(events)
        store.settle()
        return store

    @invariant()
    def a_replay_gives_the_same_state(self) -> None:
        expected = picture(self.store)
        assert picture(self.rebuilt([], self.log)) == expected
        if self.snapshot is not None:
            chunks, at = self.snapshot
            assert picture(self.rebuilt(chunks, self.log[at:])) == expected

    @invariant()
    def counts_are_what_is_there(self) -> None:
        for name, queue in self.store.fold.queues.items():
            for state in JobState:
                there = sum(job.queue == name and job.state == state for job in self.store.fold.jobs.values())
                assert queue.counts[state] == there, (name, state)

    @invariant()
    def every_available_job_can_be_claimed(self) -> None:
        for name, queue in self.store.fold.queues.items():
            there = {j.id for j in self.store.fold.jobs.values() if j.queue == name and j.state == JobState.AVAILABLE}
            assert there == {job.id for job in queue.order}

    @invariant()
    def a_running_job_is_leased_once_and_a_leased_job_runs(self) -> None:
        leased = [id_ for lease in self.store.fold.leases.values() for id_ in lease.ids]
        running = {job.id for job in self.store.fold.jobs.values() if job.state == JobState.RUNNING}
        assert sorted(leased) == sorted(running)


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_snapshot_is_the_state_at_its_beginning_whatever_changes_while_it_is_drawn() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    store.put([enqueued(clock) for _ in range(1_700)])
    with store.lock:
        before = picture(store)
        chunks = store.snapshot()
    drawn = [next(chunks), next(chunks)]
    taken = claim(store, 1_000)
    assert taken is not None
    store.finish([end(ev.JobCompleted, job, taken.token, clock) for job in taken.jobs[:900]])
    store.put([enqueued(clock) for _ in range(50)])
    drawn += list(chunks)
    again = MemoryStore(clock)
    again.restore(drawn)
    again.settle()
    assert picture(again) == before


def test_outcomes_of_guests_are_counted_on_after_a_restart_though_none_is_left() -> None:
    store = MemoryStore(FakeClock())
    store.put([job := enqueued(store.clock)])
    store.set_value(f"{GUESTS}b", value_of([GuestEntry(job.id, 1)]))
    store.cancel([job.id])
    store.swap(f"{GUESTS}b", store.value(f"{GUESTS}b"), None)
    with store.lock:
        chunks = store.snapshot()
    again = MemoryStore(store.clock)
    again.restore(chunks)
    assert (again.fold.guests.by_id, again.fold.guests.number) == ({}, 1)
