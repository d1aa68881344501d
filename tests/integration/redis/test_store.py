"""What the Redis store promises beyond the contract: many processes, conflicts, a full or forgetful server, the stream."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock, FakeClock, SystemClock
from engine.kernel.errors import StoreFull
from engine.kernel.job import JobState, new_id
from engine.storage.base import CRASH_CAP, LEASE_SECONDS, QueueLimits, Want
from engine.storage.lanes import REMOTE_TOKENS
from engine.storage.redis.store import RedisStore
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.stores import EVERYTHING, claim, claimed_ids, end, enqueued, redis_store
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
Make = Callable[..., RedisStore]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(redis_server: RedisHost, clock: FakeClock) -> Iterator[Make]:
    """Makes stores of one fleet, each as another process would have."""
    fleet, made = new_id(), []

    def one(bus: Bus | None = None, own: Clock | None = None) -> RedisStore:
        made.append(redis_store(redis_server.url, own or clock, bus, fleet=fleet))
        return made[-1]

    yield one
    for store in made:
        store.close()


@pytest.fixture
def store(make: Make) -> RedisStore:
    return make()


def entries(store: RedisStore, queue: str = "q") -> list[dict[bytes, bytes]]:
    found = store.client.command("XRANGE", f"{store.tag(queue)}ev", "-", "+")
    return [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in found]


def streamed(store: RedisStore) -> list[ev.Event]:
    """The events of the queue's stream, as a reader makes them again."""
    events: list[ev.Event] = []
    for entry in entries(store):
        left_out = set(msgspec.msgpack.decode(entry.get(b"x", b"\x90")))
        its = store.events(int(entry.get(b"n", 0)), entry.get(b"b", b""))
        events += [event for index, event in enumerate(its, 1) if index not in left_out]
        events += store.events(int(entry.get(b"tn", 0)), entry.get(b"t", b""))
    return events


def conflicts(store: RedisStore) -> list[str]:
    return [kind for entry in entries(store) if b"cf" in entry for _, kind, _ in msgspec.msgpack.decode(entry[b"cf"])]


# --- who may take what ---


def test_a_job_goes_only_to_who_has_all_that_it_needs(store: RedisStore, clock: FakeClock) -> None:
    plain, gpu, both = (enqueued(clock, needs=needs) for needs in ("", "gpu", "gpu,ocr"))
    store.put([both, gpu, plain])
    assert claimed_ids(store, 9) == [plain.id]
    able = store.claim(Want({"q": 9}, "a", 9, frozenset({"gpu"})))
    assert able is not None
    assert [(job.id, job.needs) for job in able.jobs] == [(gpu.id, "gpu")]
    most = store.claim(Want({"q": 9}, "a", 9, frozenset({"ocr", "gpu", "arm"})))
    assert most is not None
    assert [job.id for job in most.jobs] == [both.id]


def test_who_works_for_some_tenants_takes_no_jobs_of_others(store: RedisStore, clock: FakeClock) -> None:
    ours, theirs = enqueued(clock, tenant="ours"), enqueued(clock, tenant="theirs")
    store.put([theirs, ours])
    taken = store.claim(Want({"q": 9}, "a", 9, tenants=frozenset({"ours"})))
    assert taken is not None
    assert [job.id for job in taken.jobs] == [ours.id]
    assert claimed_ids(store, 9) == [theirs.id]


def test_a_job_that_fits_is_found_behind_hundreds_of_lanes_that_do_not(store: RedisStore, clock: FakeClock) -> None:
    store.put([enqueued(clock, tenant=f"t{n}", needs="gpu") for n in range(250)])
    mine = enqueued(clock, tenant="z")
    store.put([mine])
    assert claimed_ids(store, 9) == [mine.id]


def test_tokens_are_those_of_redis_and_grow(store: RedisStore, clock: FakeClock) -> None:
    store.put([enqueued(clock) for _ in range(3)])
    tokens = [taken.token for _ in range(3) if (taken := claim(store)) is not None]
    assert tokens == sorted(set(tokens))
    assert tokens[0] >= REMOTE_TOKENS


def test_one_claim_over_several_queues_has_one_token_and_blames_nobody_alone(
    store: RedisStore, clock: FakeClock
) -> None:
    jobs = [enqueued(clock, queue=queue) for queue in ("a", "b")]
    store.put(jobs)
    taken = store.claim(Want({"a": 9, "b": 9}, "agent", 9))
    assert taken is not None
    assert {job.token for job in taken.jobs} == {taken.token}
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    assert [view.crashes for view in store.get([job.id for job in jobs]).values()] == [0, 0]
    assert store.renew([taken.token]) == {taken.token}


# --- leases ---


def test_a_queue_that_holds_its_leases_gives_them_back_only_when_told_to(store: RedisStore, clock: FakeClock) -> None:
    store.configure("q", QueueLimits(reclaim="hold"))
    job = enqueued(clock)
    store.put([job])
    taken = claim(store)
    assert taken is not None
    clock.advance(3_600)
    store.promote()
    assert store.get([job.id])[job.id].state == JobState.RUNNING
    assert store.finish([end(ev.JobRetryScheduled, taken.jobs[0], taken.token, clock, run_at=clock.now())]) == set()
    again = claim(store)
    assert again is not None
    assert store.take_back("q", [again.token]) == 1
    assert store.get([job.id])[job.id].state == JobState.AVAILABLE


def test_a_late_end_counts_while_nobody_has_claimed_the_job_since(store: RedisStore, clock: FakeClock) -> None:
    job = enqueued(clock)
    store.put([job])
    taken = claim(store)
    assert taken is not None
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    assert store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock, result=b"1", queue="q")]) == set()
    assert store.get([job.id])[job.id].result == b"1"
    assert claim(store) is None
    assert conflicts(store) == []


def test_a_second_outcome_is_refused_and_written_down(store: RedisStore, clock: FakeClock) -> None:
    job = enqueued(clock)
    store.put([job])
    first = claim(store)
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    second = claim(store)
    assert first is not None
    assert second is not None
    late = end(ev.JobCompleted, first.jobs[0], first.token, clock, result=b'"late"', queue="q")
    assert store.finish([late]) == {job.id}
    assert conflicts(store) == ["late"]
    won = end(ev.JobCompleted, second.jobs[0], second.token, clock, result=b'"won"', queue="q")
    assert store.finish([won]) == set()
    assert store.finish([late]) == {job.id}
    assert conflicts(store) == ["late", "result"]
    assert store.get([job.id])[job.id].result == b'"won"'
    assert store.finish([won]) == {job.id}
    assert conflicts(store) == ["late", "result"]


@pytest.mark.parametrize("kind", [ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased, ev.JobDied, ev.JobRescued])
def test_an_end_that_is_sent_again_after_a_lost_answer_changes_nothing(
    store: RedisStore, clock: FakeClock, kind: type[ev.AttemptEnded]
) -> None:
    job = enqueued(clock)
    store.put([job])
    taken = claim(store)
    assert taken is not None
    done = end(kind, taken.jobs[0], taken.token, clock, run_at=clock.now() + 9, queue="q")
    store.finish([done])
    before = store.get([job.id])
    assert store.finish([done]) == {job.id}
    assert store.get([job.id]) == before
    assert conflicts(store) == []


def test_poison_is_dead_and_its_holder_is_told_that_it_came_too_late(store: RedisStore, clock: FakeClock) -> None:
    job = enqueued(clock, max_attempts=100)
    store.put([job])
    for _ in range(CRASH_CAP):
        taken = claim(store)
        assert taken is not None
        clock.advance(LEASE_SECONDS + 0.1)
        store.promote()
    view = store.get([job.id])[job.id]
    assert (view.state, view.crashes, view.payload) == (JobState.DEAD, CRASH_CAP, b"{}")
    late = end(ev.JobCompleted, taken.jobs[0], taken.token, clock, queue="q")
    assert store.finish([late]) == {job.id}
    assert conflicts(store) == ["result"]


def test_whoever_runs_a_job_hears_that_it_shall_stop_when_it_renews(make: Make, clock: FakeClock) -> None:
    heard: list[ev.Event] = []
    bus = Bus()
    holder, operator = make(bus), make()
    job = enqueued(clock)
    operator.put([job])
    taken = claim(holder)
    assert taken is not None
    bus.subscribe(heard.extend)
    assert operator.cancel([job.id], by="ann") == {job.id: JobState.RUNNING}
    for _ in range(3):
        assert holder.renew([taken.token]) == set()
    assert [event.id for event in heard if isinstance(event, ev.CancelRequested)] == [job.id]


# --- news ---


def test_a_put_elsewhere_wakes_one_who_waits(make: Make) -> None:
    here, there, clock = make(own=SystemClock()), make(own=SystemClock()), SystemClock()
    here.register(["q"])
    assert here.claim(Want({"q": 9}, "a", 9)) is None
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(here.wait(120)))
    thread.start()
    there.put([enqueued(clock)])
    thread.join(120)
    assert woken == [True]


def test_who_waits_wakes_when_a_scheduled_job_is_due(make: Make) -> None:
    store, clock = make(own=SystemClock()), SystemClock()
    for delay in (0.3, 3.0, 30.0):  # again, if the machine stood still until it was due
        store.put([enqueued(clock, run_at=clock.now() + delay)])
        if claim(store) is None:
            break
    before = clock.monotonic()
    store.wait(600)
    assert clock.monotonic() - before < 300
    until(lambda: claim(store))


def test_a_result_is_heard_of_where_the_job_did_not_run(make: Make) -> None:
    asking, working = (Engine(store=make(own=SystemClock())) for _ in range(2))

    def double(n: int) -> int:
        return 2 * n

    task = asking.queue("q").task(name="double")(double)
    working.queue("q").task(name="double")(double)
    with working:
        assert [task.enqueue(n=n).result(timeout=120) for n in range(5)] == [0, 2, 4, 6, 8]
    asking.stop()


def test_a_job_that_was_claimed_and_has_not_begun_hears_of_its_cancellation_elsewhere(make: Make) -> None:
    asking, working = (Engine(store=make(own=SystemClock())) for _ in range(2))
    working.settings = Settings(workers=1)
    going, go = threading.Event(), threading.Event()
    ran: list[int] = []

    def work(n: int) -> None:
        ran.append(n)
        going.set()
        assert go.wait(60)

    task = asking.queue("q").task(name="work")(work)
    working.queue("q").task(name="work")(work)
    for _ in range(300):
        working._feeder.took(0.0)  # jobs are claimed many at a time
    long, unwanted = asking.enqueue_many([task.job(n=n) for n in range(2)])
    with working:
        assert going.wait(60)
        unwanted.cancel()
        until(lambda: unwanted.state == "cancelled")
        go.set()
        long.result(timeout=60)
    assert ran == [0]
    asking.stop()


# --- the stream ---


def test_the_stream_says_what_the_bus_was_told(make: Make, clock: FakeClock) -> None:
    bus, told = Bus(), []
    store = make(bus)
    bus.subscribe(told.extend)
    jobs = [enqueued(clock, max_attempts=2) for _ in range(6)]
    store.put([*jobs, jobs[0]])
    taken = claim(store, 5)
    assert taken is not None
    kinds = (ev.JobCompleted, ev.JobDied, ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased)
    notes = [ev.JobStarted(clock.now(), taken.jobs[0].id, taken.token, 1, "a/1", "q")]
    later = clock.now() + 99
    ends = [end(k, j, taken.token, clock, run_at=later, queue="q") for k, j in zip(kinds, taken.jobs, strict=True)]
    store.exchange([*ends, ends[0]], notes, Want({"q": 1}, "b", 1))
    store.cancel([jobs[5].id, jobs[4].id], by="ann")
    store.retry([jobs[1].id])
    store.delete([jobs[3].id])
    store.pause("q", True)
    clock.advance(LEASE_SECONDS + 1)
    store.promote()
    assert streamed(store) == told
    assert {type(event) for event in told} >= {*kinds, ev.JobEnqueued, ev.JobsClaimed, ev.JobStarted, ev.JobRetried}


def test_a_stream_is_cut_by_its_bytes(store: RedisStore, clock: FakeClock) -> None:
    for _ in range(50):
        store.put([enqueued(clock, payload=b"x" * 1_000_000)])
    assert store.client.command("MEMORY", "USAGE", f"{store.tag('q')}ev") < 60_000_000
    assert entries(store)


def test_the_oldest_results_go_when_there_are_too_many(redis_server: RedisHost, clock: FakeClock) -> None:
    store = redis_store(redis_server.url, clock, result_limit=10, result_ttl=6_400)
    ids = []
    for _ in range(60):
        clock.advance(150)
        job = enqueued(clock)
        store.put([job])
        taken = claim(store)
        assert taken is not None
        store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock, result=b"1", queue="q")])
        ids.append(job.id)
    kept = store.get(ids)
    assert list(kept) == ids[-len(kept) :]
    assert 1 <= len(kept) <= 11
    store.close()


# --- a server in trouble ---


def test_a_full_redis_refuses_new_jobs_and_takes_ends(clock: FakeClock) -> None:
    with redis_host(maxmemory="20mb", maxmemory_policy="noeviction") as host:
        store = redis_store(host.url, clock)
        store.put([enqueued(clock) for _ in range(50)])
        with pytest.raises(StoreFull):
            for _ in range(1_000):
                store.put([enqueued(clock, payload=b"x" * 100_000)])
        host.cli("CONFIG", "SET", "maxmemory", "2mb")
        kinds = (ev.JobCompleted, ev.JobDied, ev.JobRetryScheduled, ev.JobReleased)
        for kind in kinds:
            taken = claim(store)
            assert taken is not None
            assert store.finish([end(kind, taken.jobs[0], taken.token, clock, run_at=clock.now() + 9)]) == set()
        store.promote()
        store.close()


def test_a_redis_that_forgot_its_scripts_is_told_them_again(
    store: RedisStore, clock: FakeClock, redis_server: RedisHost
) -> None:
    store.put([enqueued(clock) for _ in range(2)])
    redis_server.cli("SCRIPT", "FLUSH")
    taken = claim(store)
    assert taken is not None
    redis_server.cli("SCRIPT", "FLUSH")
    assert store.finish([end(ev.JobCompleted, taken.jobs[0], taken.token, clock)]) == set()


def test_a_redis_that_forgot_everything_is_a_new_one(clock: FakeClock) -> None:
    with redis_host() as host:
        store = redis_store(host.url, clock)
        job = enqueued(clock)
        store.put([job])
        host.flush()
        assert store.put([job])[0].new
        assert store.counts()["q"]["available"] == 1
        store.close()


# --- a process that dies ---

HOLDER = """
import sys
from engine.kernel.clock import SystemClock
from engine.storage.base import Want
from tests.support.stores import redis_store
store = redis_store(sys.argv[1], SystemClock(), fleet=sys.argv[2])
claim = store.claim(Want({"q": 50}, "doomed", 50))
print(len(claim.jobs), flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_held_runs_elsewhere_when_its_lease_is_over(redis_server: RedisHost) -> None:
    fleet, clock = new_id(), SystemClock()
    store = redis_store(redis_server.url, clock, fleet=fleet)
    jobs = [enqueued(clock) for _ in range(50)]
    store.put(jobs)
    command = [sys.executable, "-c", HOLDER, redis_server.url, fleet]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as doomed:
        assert doomed.stdout is not None
        assert doomed.stdout.readline() == b"50\n"
        os.kill(doomed.pid, signal.SIGKILL)
    (ends,) = store.client.command("ZRANGE", f"{store.tag('q')}x", 0, -1, "WITHSCORES")[1::2]
    assert float(ends) <= clock.now() + LEASE_SECONDS
    found = set[str]()

    def again() -> bool:
        store.promote()
        taken = store.claim(Want({"q": EVERYTHING}, "heir", 50))
        if taken is not None:
            found.update(job.id for job in taken.jobs)
            store.finish([end(ev.JobCompleted, job, taken.token, clock, queue="q") for job in taken.jobs])
        return len(found) == len(jobs)

    until(again, 60)
    assert clock.now() >= float(ends)
    assert found == {job.id for job in jobs}
    store.close()
