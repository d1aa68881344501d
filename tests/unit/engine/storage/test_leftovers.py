"""What a job leaves in heaps and orders when it goes before its time came."""

from __future__ import annotations

import pytest

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.storage import order
from engine.storage.memory import MemoryStore
from engine.storage.table import SWEEP
from tests.support.stores import claim, end, enqueued

YEAR = 365 * 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock, result_limit=10)


@pytest.mark.parametrize("away", ["cancel", "delete"])
def test_scheduled_jobs_that_are_called_off_don_t_stay_until_they_are_due(
    store: MemoryStore, clock: FakeClock, away: str
) -> None:
    kept = store.put([enqueued(clock, run_at=clock.now() + YEAR)])[0].id
    for _ in range(8):
        ids = [job.id for job in store.put([enqueued(clock, run_at=clock.now() + YEAR) for _ in range(SWEEP)])]
        getattr(store, away)(ids)
    assert len(store.fold.scheduled) <= 4 * SWEEP
    clock.advance(YEAR + 1)
    taken = claim(store, 5)
    assert taken is not None and [job.id for job in taken.jobs] == [kept]


def test_jobs_that_are_done_don_t_stay_until_they_would_have_expired(store: MemoryStore, clock: FakeClock) -> None:
    late = store.put([enqueued(clock, queue="other", expires_at=clock.now() + 60)])[0].id
    for _ in range(60):
        store.put([enqueued(clock, expires_at=clock.now() + YEAR) for _ in range(SWEEP // 10)])
        taken = claim(store, SWEEP)
        assert taken is not None
        store.finish([end(ev.JobCompleted, job, taken.token, clock) for job in taken.jobs])
    assert len(store.fold.expiring) <= 3 * SWEEP
    clock.advance(61)
    store.promote()
    assert store.get([late])[late].state == "cancelled"


def test_a_paused_queue_that_is_filled_and_emptied_does_not_grow(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "LEFTOVERS", 100)
    store.pause("q", True)
    kept = [job.id for job in store.put([enqueued(clock) for _ in range(3)])]
    for _ in range(20):
        store.cancel([job.id for job in store.put([enqueued(clock) for _ in range(100)])])
    assert len(store.fold.queue("q").order) < 400
    store.pause("q", False)
    taken = claim(store, 10)
    assert taken is not None and [job.id for job in taken.jobs] == kept


def test_a_crowd_of_tenants_is_served_in_turn_and_forgotten_when_idle(store: MemoryStore, clock: FakeClock) -> None:
    tenants = [f"t{number}" for number in range(3_000)]
    store.put([enqueued(clock, tenant=tenant) for tenant in tenants for _ in range(2)])
    taken = claim(store, 3_000)
    assert taken is not None and len({job.tenant for job in taken.jobs}) == 3_000
    claim(store, 3_000)
    store.put([enqueued(clock, tenant=f"new{number}") for number in range(9_000)])
    [band] = store.fold.queue("q").order._sorted
    assert len(band.tags) <= 12_000
