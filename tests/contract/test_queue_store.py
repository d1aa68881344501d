"""The storage contract, on every backend: what is promised about jobs."""

from __future__ import annotations

import threading

import pytest

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.job import JobState
from engine.storage.base import CRASH_CAP, LEASE_SECONDS, QueueLimits, Store, Want
from tests.support.stores import EVERYTHING, claim, claimed_ids, end, enqueued


def put(store: Store, clock: FakeClock, **fields: object) -> str:
    return store.put([enqueued(clock, **fields)])[0].id


def state(store: Store, id_: str) -> JobState:
    return store.get([id_])[id_].state


# --- put ---


def test_a_job_that_was_put_is_available_and_has_all_it_was_given(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, payload=b"\x00\xff", priority=3, tenant="acme", max_attempts=7, timeout=1.5)
    view = store.get([id_])[id_]
    assert (view.payload, view.priority, view.tenant, view.max_attempts, view.timeout) == (
        b"\x00\xff",
        3,
        "acme",
        7,
        1.5,
    )
    assert view.state == JobState.AVAILABLE
    assert store.counts()["q"]["available"] == 1


def test_the_same_id_again_changes_nothing(store: Store, clock: FakeClock) -> None:
    job = enqueued(clock, payload=b"first")
    assert store.put([job])[0].new
    again = store.put([enqueued(clock, id=job.id, payload=b"second")])[0]
    assert (again.id, again.new) == (job.id, False)
    assert store.get([job.id])[job.id].payload == b"first"


def test_the_same_id_twice_in_one_put_is_one_job(store: Store, clock: FakeClock) -> None:
    job = enqueued(clock)
    answers = store.put([job, job])
    assert [answer.new for answer in answers] == [True, False]
    assert claimed_ids(store, 10) == [job.id]


def test_an_idempotency_key_names_the_first_job_also_after_it_ended(store: Store, clock: FakeClock) -> None:
    first = put(store, clock, idempotency_key="k")
    taken = claim(store)
    assert taken is not None
    store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock)])
    answer = store.put([enqueued(clock, idempotency_key="k")])[0]
    assert (answer.id, answer.new) == (first, False)


def test_an_idempotency_key_is_forgotten_after_its_time(store: Store, clock: FakeClock) -> None:
    put(store, clock, idempotency_key="k")
    taken = claim(store)
    assert taken is not None
    store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock)])
    clock.advance(90_000)
    store.promote()
    assert store.put([enqueued(clock, idempotency_key="k")])[0].new


def test_a_unique_key_is_held_while_the_job_waits_or_runs_and_free_afterwards(store: Store, clock: FakeClock) -> None:
    first = put(store, clock, unique="u")
    assert not store.put([enqueued(clock, unique="u")])[0].new
    taken = claim(store)
    assert taken is not None
    assert store.put([enqueued(clock, unique="u")])[0].id == first
    store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock)])
    assert store.put([enqueued(clock, unique="u")])[0].new


def test_a_unique_key_belongs_to_its_queue(store: Store, clock: FakeClock) -> None:
    put(store, clock, unique="u")
    assert store.put([enqueued(clock, unique="u", queue="other")])[0].new


def test_two_threads_with_one_key_make_one_job(store: Store, clock: FakeClock) -> None:
    answers = []
    barrier = threading.Barrier(8)

    def race() -> None:
        barrier.wait()
        answers.append(store.put([enqueued(clock, idempotency_key="k", unique="u")])[0])

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer.new for answer in answers) == 1
    assert len({answer.id for answer in answers}) == 1


# --- claim and finish ---


def test_a_claimed_job_runs_under_a_token_and_is_claimed_once(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    taken = claim(store)
    assert taken is not None
    assert [job.id for job in taken.jobs] == [id_]
    assert taken.jobs[0].attempt == 1
    assert state(store, id_) == JobState.RUNNING
    assert claim(store) is None


def test_a_claim_takes_no_more_than_asked_of_all_and_of_each_queue(store: Store, clock: FakeClock) -> None:
    store.put([enqueued(clock, queue=name) for name in ("a", "b") for _ in range(5)])
    most = store.claim(Want({"a": 1, "b": EVERYTHING}, "agent", 3))
    assert most is not None
    assert len(most.jobs) == 3
    rest = store.claim(Want({"a": 1, "b": EVERYTHING}, "agent", 9))
    assert rest is not None
    assert [job.queue for job in rest.jobs].count("a") <= 1


def test_a_queue_that_is_not_named_is_not_claimed_from(store: Store, clock: FakeClock) -> None:
    put(store, clock, queue="elsewhere")
    assert claim(store) is None


@pytest.mark.parametrize(
    ("kind", "becomes"),
    [
        (ev.JobCompleted, JobState.COMPLETED),
        (ev.JobCancelled, JobState.CANCELLED),
        (ev.JobDied, JobState.DEAD),
        (ev.JobRetryScheduled, JobState.RETRYABLE),
        (ev.JobSnoozed, JobState.SCHEDULED),
        (ev.JobReleased, JobState.AVAILABLE),
        (ev.JobRescued, JobState.AVAILABLE),
    ],
)
def test_each_end_moves_the_job_to_its_state(
    store: Store, clock: FakeClock, kind: type[ev.AttemptEnded], becomes: JobState
) -> None:
    id_ = put(store, clock)
    taken = claim(store)
    assert taken is not None
    assert store.finish([end(kind, taken.jobs[0], taken.token, clock, run_at=clock.now() + 60)]) == set()
    assert state(store, id_) == becomes


def test_the_result_of_a_completed_job_is_kept(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    taken = claim(store)
    assert taken is not None
    store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock, result=b'"250 ok"')])
    assert store.get([id_])[id_].result == b'"250 ok"'
    clock.advance(8 * 86_400)
    store.promote()
    assert store.get([id_]) == {}


def test_an_end_with_another_token_writes_nothing(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    taken = claim(store)
    assert taken is not None
    assert store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token + 1, clock)]) == {id_}
    assert state(store, id_) == JobState.RUNNING


def test_the_same_end_twice_counts_once(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    taken = claim(store)
    assert taken is not None
    done = end(ev.JobCompleted, taken.jobs[0], taken.token, clock)
    assert store.finish([done, done]) == {id_}
    assert store.finish([done]) == {id_}


def test_an_exchange_ends_attempts_and_claims_the_next(store: Store, clock: FakeClock) -> None:
    first, second = put(store, clock), put(store, clock)
    taken = claim(store)
    assert taken is not None
    done = end(ev.JobCompleted, taken.jobs[0], taken.token, clock)
    exchange = store.exchange([done], [], Want({"q": 5}, "a", 5))
    assert state(store, first) == JobState.COMPLETED
    assert exchange.claim is not None
    assert [job.id for job in exchange.claim.jobs] == [second]


def test_a_released_job_uses_up_no_attempt_and_goes_to_the_front(store: Store, clock: FakeClock) -> None:
    first, second = put(store, clock), put(store, clock)
    taken = claim(store)
    assert taken is not None
    store.finish([ev.JobReleased(clock.now(), first, taken.token, 0, queue="q")])
    again = claim(store, 2)
    assert again is not None
    assert [(job.id, job.attempt) for job in again.jobs] == [(first, 1), (second, 1)]


# --- order ---


def test_higher_priority_goes_first_and_equals_go_in_order(store: Store, clock: FakeClock) -> None:
    low, first, second, urgent = (put(store, clock, priority=band) for band in (8, 5, 5, 1))
    assert claimed_ids(store, 4) == [urgent, first, second, low]


def test_a_burst_of_one_tenant_does_not_keep_another_waiting(store: Store, clock: FakeClock) -> None:
    store.put([enqueued(clock, tenant="burst") for _ in range(10_000)])
    other = put(store, clock, tenant="other")
    assert other in claimed_ids(store, 3)


def test_tenants_share_by_weight(store: Store, clock: FakeClock) -> None:
    store.configure("q", QueueLimits(weights=(("gold", 3.0), ("iron", 1.0))))
    store.put([enqueued(clock, tenant=tenant) for _ in range(200) for tenant in ("gold", "iron")])
    taken = claim(store, 100)
    assert taken is not None
    gold = sum(job.tenant == "gold" for job in taken.jobs)
    assert 73 <= gold <= 77


def test_no_job_starves_behind_a_stream_of_urgent_ones(store: Store, clock: FakeClock) -> None:
    patient = put(store, clock, priority=10)
    clock.advance(1)
    store.put([enqueued(clock, priority=1) for _ in range(100)])
    assert patient in claimed_ids(store, 40)


def test_queues_of_higher_rank_go_first(store: Store, clock: FakeClock) -> None:
    store.configure("back", QueueLimits(priority=9))
    store.configure("front", QueueLimits(priority=1))
    later = put(store, clock, queue="back")
    sooner = put(store, clock, queue="front")
    taken = store.claim(Want({"back": 9, "front": 9}, "a", 2))
    assert taken is not None
    assert [job.id for job in taken.jobs] == [sooner, later]


def test_peek_shows_the_order_without_changing_it(store: Store, clock: FakeClock) -> None:
    ids = [put(store, clock, priority=band) for band in (5, 1, 3)]
    expected = [ids[1], ids[2], ids[0]]
    assert [view.id for view in store.peek("q", 10)] == expected
    assert claimed_ids(store, 10) == expected


# --- limits ---


def test_a_queue_runs_no_more_jobs_at_once_than_its_concurrency(store: Store, clock: FakeClock) -> None:
    store.configure("q", QueueLimits(concurrency=2))
    store.put([enqueued(clock) for _ in range(5)])
    taken = claim(store, 5)
    assert taken is not None
    assert len(taken.jobs) == 2
    assert claim(store, 5) is None
    store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock)])
    assert len(claimed_ids(store, 5)) == 1


def test_a_rate_limit_lets_its_number_go_and_then_one_by_one(store: Store, clock: FakeClock) -> None:
    store.configure("q", QueueLimits(rate=(3, 60)))
    store.put([enqueued(clock) for _ in range(10)])
    assert len(claimed_ids(store, 10)) == 3
    assert store.held_by_rate("q")
    clock.advance(20)
    assert len(claimed_ids(store, 10)) == 1
    clock.advance(600)
    assert len(claimed_ids(store, 10)) == 3


# --- time ---


def test_a_scheduled_job_is_claimed_when_it_is_due_and_not_before(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, run_at=clock.now() + 30)
    assert state(store, id_) == JobState.SCHEDULED
    assert claim(store) is None
    clock.advance(29.9)
    assert claim(store) is None
    clock.advance(0.2)
    assert claimed_ids(store) == [id_]


def test_promote_says_when_the_next_thing_is_due(store: Store, clock: FakeClock) -> None:
    assert store.promote() is None
    put(store, clock, run_at=clock.now() + 30)
    assert store.promote() == pytest.approx(30)


def test_a_failed_job_waits_for_its_backoff(store: Store, clock: FakeClock) -> None:
    put(store, clock)
    taken = claim(store)
    assert taken is not None
    store.finish([end(ev.JobRetryScheduled, taken.jobs[0], taken.token, clock, run_at=clock.now() + 5)])
    assert claim(store) is None
    clock.advance(5.1)
    again = claim(store)
    assert again is not None
    assert again.jobs[0].attempt == 2


def test_a_jump_of_the_wall_clock_releases_no_storm_of_retries(store: Store, clock: FakeClock) -> None:
    store.put([enqueued(clock) for _ in range(100)])
    taken = claim(store, 100)
    assert taken is not None
    store.finish([end(ev.JobRetryScheduled, j, taken.token, clock, run_at=clock.now() + 50) for j in taken.jobs])
    clock.jump(3_600)
    assert claim(store, 100) is None
    clock.jump(-7_200)
    clock.advance(51)
    assert len(claimed_ids(store, 100)) == 100


def test_a_job_that_was_not_started_in_time_is_cancelled(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, expires_at=clock.now() + 10)
    clock.advance(11)
    store.promote()
    assert state(store, id_) == JobState.CANCELLED
    assert "expired" in store.get([id_])[id_].reason


def test_a_job_that_started_in_time_does_not_expire(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, expires_at=clock.now() + 10)
    taken = claim(store)
    assert taken is not None
    store.finish([end(ev.JobRetryScheduled, taken.jobs[0], taken.token, clock, run_at=clock.now() + 1)])
    clock.advance(11)
    store.promote()
    assert state(store, id_) == JobState.AVAILABLE


# --- leases ---


def test_a_lease_that_is_renewed_is_kept(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    taken = claim(store)
    assert taken is not None
    for _ in range(5):
        clock.advance(LEASE_SECONDS * 0.9)
        assert store.renew([taken.token]) == set()
        store.promote()
    assert state(store, id_) == JobState.RUNNING


def test_a_lease_that_ran_out_gives_the_job_to_others_and_fences_its_holder(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    first = claim(store)
    assert first is not None
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    second = claim(store)
    assert second is not None
    assert second.token > first.token
    assert store.renew([first.token]) == {first.token}
    late = end(ev.JobCompleted, first.jobs[0], first.token, clock)
    assert store.finish([late]) == {id_}
    assert state(store, id_) == JobState.RUNNING


def test_a_rescue_uses_up_no_attempt_against_the_maximum(store: Store, clock: FakeClock) -> None:
    put(store, clock, max_attempts=1)
    assert claim(store) is not None
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    again = claim(store)
    assert again is not None
    assert (again.jobs[0].attempt, again.jobs[0].counted) == (2, 1)


def test_a_job_that_was_asked_to_stop_does_not_run_again_when_its_holder_dies(store: Store, clock: FakeClock) -> None:
    unwanted, other = put(store, clock), put(store, clock)
    taken = claim(store, 2)
    assert taken is not None
    store.cancel([unwanted])
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    view = store.get([unwanted])[unwanted]
    assert (view.state, view.reason) == (JobState.CANCELLED, ev.GIVEN_UP)
    assert claimed_ids(store) == [other]
    job = next(job for job in taken.jobs if job.id == unwanted)
    assert store.finish([end(ev.JobCompleted, job, taken.token, clock)]) == {unwanted}


def test_a_job_that_kills_its_worker_three_times_is_dead(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, max_attempts=100)
    for _ in range(CRASH_CAP):
        assert claimed_ids(store) == [id_]
        clock.advance(LEASE_SECONDS + 0.1)
        store.promote()
    view = store.get([id_])[id_]
    assert view.state == JobState.DEAD
    assert "poison" in view.reason
    assert claim(store) is None


def test_jobs_that_shared_a_claim_with_a_killer_are_not_blamed(store: Store, clock: FakeClock) -> None:
    ids = {put(store, clock) for _ in range(5)}
    shared = claim(store, 5)
    assert shared is not None
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    for _ in range(5):
        alone = claim(store, 5)
        assert alone is not None
        assert len(alone.jobs) == 1
        assert alone.jobs[0].crashes == 0
        ids.discard(alone.jobs[0].id)
        store.finish([end(ev.JobCompleted, alone.jobs[0], alone.token, clock)])
    assert not ids


def test_a_rescued_job_is_not_kept_waiting_by_busier_queues(store: Store, clock: FakeClock) -> None:
    store.configure("busy", QueueLimits(priority=1))
    store.configure("calm", QueueLimits(priority=9))
    rescued, behind = put(store, clock, queue="calm"), put(store, clock, queue="calm")
    assert claimed_ids(store, 1, "calm") == [rescued]
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    seen: list[str] = []
    for _ in range(4):
        put(store, clock, queue="busy")
        taken = store.claim(Want({"busy": 9, "calm": 9}, "a", 9))
        assert taken is not None
        seen += [job.id for job in taken.jobs]
    assert {rescued, behind} <= set(seen)


def test_a_job_known_to_have_started_is_counted_as_crashed_even_from_a_shared_claim(
    store: Store, clock: FakeClock
) -> None:
    started, waiting = put(store, clock), put(store, clock)
    shared = claim(store, 2)
    assert shared is not None
    store.finish([], [ev.JobStarted(clock.now(), started, shared.token, 1, "a/1")])
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    views = store.get([started, waiting])
    assert (views[started].crashes, views[waiting].crashes) == (1, 0)


# --- wishes ---


def test_cancelling_a_waiting_job_ends_it(store: Store, clock: FakeClock) -> None:
    available, later = put(store, clock), put(store, clock, run_at=clock.now() + 99)
    found = store.cancel([available, later, "unknown"])
    assert found == {available: JobState.AVAILABLE, later: JobState.SCHEDULED}
    assert state(store, available) == state(store, later) == JobState.CANCELLED
    clock.advance(100)
    assert claim(store) is None


def test_cancelling_a_running_job_asks_it_to_stop(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    claim(store)
    assert store.cancel([id_]) == {id_: JobState.RUNNING}
    view = store.get([id_])[id_]
    assert (view.state, view.cancelling) == (JobState.RUNNING, True)


def test_a_dead_job_sent_back_gets_its_attempts_again(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock, max_attempts=2)
    taken = claim(store)
    assert taken is not None
    store.finish([end(ev.JobDied, taken.jobs[0], taken.token, clock)])
    assert store.retry([id_]) == {id_}
    again = claim(store)
    assert again is not None
    job = again.jobs[0]
    assert job.max_attempts + job.extra - job.counted == 1


def test_dead_jobs_sent_back_over_a_time_are_spread(store: Store, clock: FakeClock) -> None:
    ids = [put(store, clock) for _ in range(10)]
    taken = claim(store, 10)
    assert taken is not None
    store.finish([end(ev.JobDied, job, taken.token, clock) for job in taken.jobs])
    store.retry(ids, over=100)
    assert len(claimed_ids(store, 10)) == 1
    clock.advance(51)
    assert 4 <= len(claimed_ids(store, 10)) <= 6


def test_retry_makes_waiting_jobs_due_now_and_leaves_others_alone(store: Store, clock: FakeClock) -> None:
    later, running = put(store, clock, run_at=clock.now() + 99), put(store, clock)
    assert claimed_ids(store) == [running]
    assert store.retry([later, running]) == {later}
    assert claimed_ids(store) == [later]


def test_a_deleted_job_is_gone_and_a_running_one_stays(store: Store, clock: FakeClock) -> None:
    waiting, running = put(store, clock, priority=9), put(store, clock, priority=1)
    assert claimed_ids(store) == [running]
    assert store.delete([waiting, running]) == {waiting}
    assert waiting not in store.get([waiting])
    assert claim(store) is None
    assert state(store, running) == JobState.RUNNING


def test_a_paused_queue_gives_nothing_until_it_is_resumed(store: Store, clock: FakeClock) -> None:
    id_ = put(store, clock)
    store.pause("q", True)
    assert store.paused() == {"q"}
    assert claim(store) is None
    store.pause("q", False)
    assert claimed_ids(store) == [id_]


# --- waiting ---


def test_a_waiter_is_woken_by_a_put(store: Store, clock: FakeClock) -> None:
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(store.wait(60)))
    thread.start()
    put(store, clock)
    thread.join(30)
    assert woken == [True]


def test_a_waiter_can_be_let_go(store: Store) -> None:
    thread = threading.Thread(target=lambda: store.wait(60))
    thread.start()
    store.wake()
    thread.join(30)
    assert not thread.is_alive()


def test_counts_follow_every_move(store: Store, clock: FakeClock) -> None:
    put(store, clock)
    put(store, clock, run_at=clock.now() + 9)
    assert store.counts()["q"] | {} == store.counts()["q"]
    taken = claim(store)
    assert taken is not None
    counts = store.counts()["q"]
    assert (counts["available"], counts["scheduled"], counts["running"]) == (0, 1, 1)
    store.finish([end(ev.JobDied, taken.jobs[0], taken.token, clock)])
    counts = store.counts()["q"]
    assert (counts["running"], counts["dead"]) == (0, 1)
