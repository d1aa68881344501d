"""Jobs that another site runs: nobody claims, rescues or counts them here, and their outcomes come home once."""

from __future__ import annotations

import pytest

from engine.kernel import events as ev
from engine.kernel.job import Failure, JobState
from engine.storage.base import QueueLimits
from engine.storage.carrying import Brought
from engine.storage.guests import GUESTS, GuestEntry, entries_of, value_of
from engine.storage.memory import MemoryStore
from tests.support.stores import claim, claimed_ids, enqueued, fake_clock


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(fake_clock())


def restarted(store: MemoryStore) -> MemoryStore:
    """The store as a checkpoint brings it back, with what was claimed taken back."""
    with store.lock:
        chunks = store.snapshot()
    fresh = MemoryStore(store.clock)
    fresh.restore(chunks)
    fresh.settle()
    fresh.rescue_all()
    return fresh


def put(store: MemoryStore, count: int = 1, **fields: object) -> list[str]:
    return [accepted.id for accepted in store.put([enqueued(store.clock, **fields) for _ in range(count)])]


def token_of(store: MemoryStore, id: str) -> int:
    return store.fold.jobs[id].token


def done(
    store: MemoryStore, id: str, kind: type[ev.AttemptEnded] = ev.JobCompleted, **fields: object
) -> ev.AttemptEnded:
    return kind(store.clock.now(), id, 7, 1, "far/1", store.clock.now() - 1, 1.0, **fields)  # type: ignore[arg-type]


def test_a_carried_job_is_nobodys_until_it_comes_home_and_stays_so_over_restarts(store: MemoryStore) -> None:
    first, second = put(store, 2)
    store.carry([first], "b1")
    store = restarted(store)
    store.clock.advance(1_000_000)  # type: ignore[attr-defined]
    store.promote()
    assert store.get([first])[first].state == JobState.RUNNING
    assert store.carried("b1") == [first] and claimed_ids(store, 10) == [second]
    assert store.bring_home([Brought(first, token_of(store, first), (done(store, first, result=b"1"),))]) == set()
    assert (store.get([first])[first].state, store.get([first])[first].result) == (JobState.COMPLETED, b"1")
    assert not store.carried("b1")


@pytest.mark.parametrize("fields", [{}, {"run_at": 1_700_000_500.0}], ids=["available", "scheduled"])
def test_a_released_job_goes_on_where_it_was_and_is_claimed_once(store: MemoryStore, fields: dict[str, float]) -> None:
    (id_,) = put(store, **fields)
    for round in range(3):
        assert [job.id for job in store.carry([id_], f"b{round}")] == [id_]
        assert store.uncarry(f"b{round}", "taken back") == [id_]
    taken = claim(store, 10)
    assert taken is not None and [(job.id, job.attempt, job.crashes) for job in taken.jobs] == [(id_, 1, 0)]
    assert claim(store, 10) is None


def test_a_wish_to_cancel_what_is_away_is_fulfilled_when_it_is_taken_back(store: MemoryStore) -> None:
    unwanted, wanted = put(store, 2)
    store.carry([unwanted, wanted], "b1")
    assert store.cancel([unwanted], "ann") == {unwanted: JobState.RUNNING}
    store.uncarry("b1", "ann took it back")
    assert store.get([unwanted])[unwanted].state == JobState.CANCELLED
    assert claimed_ids(store, 5) == [wanted]


def test_outcomes_that_come_late_or_twice_change_nothing(store: MemoryStore) -> None:
    (id_,) = put(store)
    token = store.carry([id_], "b1")[0].token
    outcome = Brought(id_, token, (done(store, id_),))
    store.uncarry("b1")
    assert store.bring_home([outcome]) == {id_}
    held = claim(store)
    assert held is not None and store.bring_home([Brought(id_, held.token, (done(store, id_),))]) == {id_}
    store.finish([done(store, id_)])
    assert store.get([id_])[id_].state == JobState.RUNNING


def test_a_second_outcome_does_not_end_a_job_that_was_sent_back_while_others_are_still_away(store: MemoryStore) -> None:
    dead, _ = put(store, 2)
    token = store.carry(store.carriable("q"), "b1")[0].token
    assert store.bring_home([Brought(dead, token, (done(store, dead, ev.JobDied),))]) == set()
    store.retry([dead])
    held = claim(store)
    assert held is not None and held.jobs[0].id == dead
    assert store.bring_home([Brought(dead, token, (done(store, dead),))]) == {dead}
    assert store.get([dead])[dead].state == JobState.RUNNING


def test_attempts_made_elsewhere_are_counted_like_attempts_made_here(store: MemoryStore) -> None:
    seen: list[ev.Event] = []
    store.bus.subscribe(seen.extend)
    (id_,) = put(store, queue="q", max_attempts=3)
    token = store.carry([id_], "b1")[0].token
    failed = done(store, id_, ev.JobRetryScheduled, failure=Failure("ValueError", "no"), run_at=store.clock.now() + 50)
    store.bring_home([Brought(id_, token, (failed, done(store, id_, ev.JobSnoozed), done(store, id_)))])
    assert [type(event).__name__ for event in seen[2:]] == [
        "JobRetryScheduled", "JobsClaimed", "JobSnoozed", "JobsClaimed", "JobCompleted",
    ]  # fmt: skip
    assert store.get([id_])[id_].attempt == 3
    store.clock.advance(100)  # type: ignore[attr-defined]
    assert claim(store) is None


def test_carried_jobs_take_no_slot_of_their_queue(store: MemoryStore) -> None:
    store.configure("q", QueueLimits(concurrency=1))
    away, first, _ = put(store, 3)
    store.carry([away], "b1")
    assert claimed_ids(store, 5) == [first]
    assert claimed_ids(store, 5) == []
    store.bring_home([Brought(away, token_of(store, away), (done(store, away),))])
    assert claimed_ids(store, 5) == []


def test_only_waiting_jobs_are_carried_in_the_order_of_claims(store: MemoryStore) -> None:
    later = put(store, run_at=store.clock.now() + 60)
    normal, urgent = put(store, priority=5), put(store, priority=1)
    running = claimed_ids(store)
    assert running == urgent
    assert store.carriable("q") == normal + later
    assert store.carriable("q", [JobState.SCHEDULED], 5) == later
    assert store.carriable("q", most=1) == normal
    assert store.carry([*urgent, "unknown"], "b1") == []


def test_the_ends_of_guests_are_kept_until_nobody_is_owed_them(store: MemoryStore) -> None:
    ids = put(store, 3)
    key = f"{GUESTS}b9|0"
    store.set_value(key, value_of([GuestEntry(id_, 40 + n) for n, id_ in enumerate(ids)]))
    held = claim(store, 1)
    assert held is not None
    job = held.jobs[0]
    store.finish([ev.JobRetryScheduled(1.0, job.id, held.token, 1, started_at=1.0)])
    store.retry([job.id])
    again = claim(store, 3)
    assert again is not None
    store.finish([ev.JobCompleted(2.0, id_.id, again.token, id_.attempt, started_at=1.0) for id_ in again.jobs])
    store.clock.advance(10 * 86_400)  # type: ignore[attr-defined]
    store.promote()
    assert store.get(ids) == {}
    store = restarted(store)
    guests = store.fold.guests
    assert guests.tally(key) == (3, 3) and guests.number == 3
    assert [type(end).__name__ for end in guests.by_id[job.id].ends] == ["JobRetryScheduled", "JobCompleted"]
    left = [entry for entry in entries_of(store.value(key) or b"") if entry.id != job.id]
    store.set_value(key, value_of(left))
    assert guests.tally(key) == (2, 2) and job.id not in guests.by_id
    store.drop(key)
    assert not guests and guests.tally(key) == (0, 0)


def test_a_guest_that_is_deleted_or_was_there_under_another_id_has_an_outcome_too(store: MemoryStore) -> None:
    (id_,) = put(store)
    same = ev.JobCancelled(5.0, "other", 0, 0, reason="the same request as another")
    store.set_value(f"{GUESTS}b9|0", value_of([GuestEntry(id_, 1), GuestEntry("other", 2, same)]))
    store.delete([id_], "ann")
    guests = store.fold.guests
    assert guests.by_id["other"].ends == (same,) and guests.by_id[id_].done == 2
    assert guests.by_id[id_].ends[0].reason == "deleted by ann"  # type: ignore[union-attr]
