"""Which agent may take which job: capabilities and tenants, on every backend."""

from __future__ import annotations

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.job import JobState
from engine.storage.base import Store, Want
from tests.support.stores import EVERYTHING, end, enqueued


def put(store: Store, clock: FakeClock, **fields: object) -> str:
    return store.put([enqueued(clock, **fields)])[0].id


def taken(store: Store, *capabilities: str, tenants: tuple[str, ...] | None = None, most: int = 10) -> list[str]:
    wanted = None if tenants is None else frozenset(tenants)
    claim = store.claim(Want({"q": EVERYTHING}, "a", most, frozenset(capabilities), wanted))
    return [] if claim is None else [job.id for job in claim.jobs]


def test_a_job_that_needs_something_is_left_by_who_lacks_it(store: Store, clock: FakeClock) -> None:
    gpu = put(store, clock, needs="gpu")
    assert taken(store) == []
    assert taken(store, "ocr") == []
    assert taken(store, "gpu", "ocr") == [gpu]


def test_all_that_a_job_needs_must_be_there(store: Store, clock: FakeClock) -> None:
    both = put(store, clock, needs="gpu,ocr")
    assert taken(store, "gpu") == []
    assert taken(store, "ocr") == []
    assert taken(store, "ocr", "gpu") == [both]


def test_jobs_behind_one_that_does_not_fit_are_not_held_up(store: Store, clock: FakeClock) -> None:
    put(store, clock, needs="gpu", priority=1)
    plain = put(store, clock)
    assert taken(store) == [plain]


def test_who_has_more_takes_the_others_jobs_in_their_order(store: Store, clock: FakeClock) -> None:
    ids = [put(store, clock, needs=needs) for needs in ("", "gpu", "", "gpu", "")]
    assert set(taken(store, "gpu", most=2)) <= set(ids)
    assert len(taken(store, "gpu")) == 3


def test_priority_goes_before_needs(store: Store, clock: FakeClock) -> None:
    later = put(store, clock)
    sooner = put(store, clock, needs="gpu", priority=1)
    assert taken(store, "gpu") == [sooner, later]


def test_a_retried_job_still_needs_what_it_needed(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, needs="gpu")
    claim = store.claim(Want({"q": 1}, "a", 1, frozenset({"gpu"})))
    assert claim is not None
    store.finish([end(ev.JobReleased, claim.jobs[0], claim.token, clock)])
    assert store.get([id_])[id_].state == JobState.AVAILABLE
    assert taken(store) == []
    assert taken(store, "gpu") == [id_]


def test_an_exchange_brings_only_what_fits(store: Store, clock: FakeClock) -> None:
    put(store, clock, needs="gpu")
    assert store.exchange([], [], Want({"q": 5}, "a", 5)).claim is None
    assert store.exchange([], [], Want({"q": 5}, "a", 5, frozenset({"gpu"}))).claim is not None


def test_an_agent_of_some_tenants_takes_only_their_jobs(store: Store, clock: FakeClock) -> None:
    acme, other, nobody = (put(store, clock, tenant=tenant) for tenant in ("acme", "other", ""))
    assert taken(store, tenants=("acme",)) == [acme]
    assert taken(store, tenants=("acme",)) == []
    assert set(taken(store)) == {other, nobody}


def test_jobs_that_came_after_an_agent_of_some_tenants_find_their_place(store: Store, clock: FakeClock) -> None:
    assert taken(store, tenants=("acme",)) == []
    ids = [
        put(store, clock, tenant=tenant, needs=needs) for tenant, needs in (("acme", ""), ("b", ""), ("acme", "gpu"))
    ]
    assert taken(store, tenants=("acme",)) == ids[:1]
    assert taken(store, "gpu", tenants=("acme", "b")) in (ids[1:], ids[:0:-1])


def test_a_thousand_jobs_that_do_not_fit_do_not_stand_in_the_way(store: Store, clock: FakeClock) -> None:
    store.put([enqueued(clock, needs="gpu") for _ in range(1_000)])
    plain = put(store, clock)
    assert taken(store, most=1) == [plain]


def test_who_has_what_a_job_needs_can_be_read_from_it(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, needs="gpu,ocr")
    assert store.get([id_])[id_].needs == "gpu,ocr"
