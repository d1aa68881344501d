"""Nodes that share a Redis, lose it and find it again: what was accepted runs, once where that can be, and is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airgap import linkkeeper
from engine.fleet.identity import known_id
from engine.kernel import events as ev
from engine.kernel.job import JobState
from engine.storage.base import LEASE_SECONDS, Want
from engine.storage.lanes import REMOTE_TOKENS
from tests.support.nodes import ANSWER, PATIENCE, ROOM, Node, node
from tests.support.redis_hosts import RedisHost
from tests.support.waiting import until


def test_a_job_that_one_node_accepts_another_may_run(here: Node, there: Node) -> None:
    id_ = here.put()
    claim = there.claim_some()
    assert [job.id for job in claim.jobs] == [id_]
    assert claim.token >= REMOTE_TOKENS
    assert there.complete(claim) == set()
    until(lambda: here.state(id_) == there.state(id_) == JobState.COMPLETED, what="both know that it ended")
    offered = [event for event in here.found(ev.JobEnqueued) if event.id == id_]
    assert [event.offered for event in offered] == [True], "it was written down as offered before it was sent"


def test_a_request_that_another_node_accepted_is_known(here: Node, there: Node) -> None:
    first = here.put(idempotency_key="once")
    here.level()
    assert there.put(idempotency_key="once") == first
    assert len(there.claim_some().jobs) == 1


@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_a_redis_that_goes_away_refuses_nothing_and_gets_everything(tmp_path: Path, redis: RedisHost, how: str) -> None:
    with node(tmp_path / "here", redis.url) as here:
        here.joined()
        before = [here.put() for _ in range(5)]
        held = here.claim_some(2)
        getattr(redis, how)()
        during = [here.put() for _ in range(3)]
        here.is_("airgapped")
        proved = here.store.air().last_proof
        during += [here.put() for _ in range(3)]
        assert here.complete(held) == set()
        own = here.claim(2)
        assert own is not None
        assert own.token < REMOTE_TOKENS
        here.complete(own)
        redis.thaw() if how == "freeze" else redis.start()
        here.level()
        ids = before + during
        here.work_off(ids)
        until(lambda: here.store.air().last_proof != proved, what="both sides are compared")
        proof = here.store.air().last_proof
        assert proof is not None
        assert proof.equal
        assert not here.found(ev.ConflictFound)


def test_what_was_accepted_while_cut_off_runs_on_any_node_afterwards(here: Node, there: Node) -> None:
    here.store.force("test")
    ids = [here.put() for _ in range(20)]
    assert there.claim() is None
    here.store.release("test")
    here.level()
    claim = there.claim_some(20)
    assert {job.id for job in claim.jobs} == set(ids)


def test_jobs_that_the_node_began_travel_as_its_own_and_no_other_gets_them(here: Node, there: Node) -> None:
    here.store.force("test")
    id_ = here.put()
    claim = here.claim_some()
    here.store.release("test")
    here.is_("connected")
    assert there.claim() is None, "it runs here"
    here.complete(claim)
    until(lambda: there.state(id_) == JobState.COMPLETED)


def test_a_redis_that_was_emptied_is_given_everything_again(here: Node, there: Node, redis: RedisHost) -> None:
    ids = [here.put() for _ in range(10)]
    done = here.claim_some(3)
    here.complete(done)
    redis.flush()
    until(lambda: here.in_redis(ids) == 10, PATIENCE, "all jobs are back")
    here.level()
    finished = {job.id for job in done.jobs}
    claim = there.claim_some()
    assert {job.id for job in claim.jobs} == set(ids) - finished, "what ended is not run again"


def test_a_redis_that_went_back_to_an_old_snapshot_loses_nothing(here: Node, redis: RedisHost) -> None:
    early = [here.put() for _ in range(5)]
    snapshot = redis.save()
    late = [here.put() for _ in range(5)]
    here.complete(here.claim_some(3))
    redis.restore(snapshot)
    until(lambda: here.in_redis(early + late) == 10 and here.store.connected, PATIENCE, "all jobs are back")
    here.level()
    here.work_off(early + late)


def test_a_node_that_dies_while_cut_off_goes_on_where_it_was(tmp_path: Path, redis: RedisHost) -> None:
    with node(tmp_path / "home", redis.url) as first:
        first.joined()
        redis.freeze()
        first.is_("airgapped")
        ids = [first.put() for _ in range(4)]
    with node(tmp_path / "home", redis.url) as again:
        assert again.store.air().state == "airgapped"
        assert again.state(ids[0]) == JobState.AVAILABLE
        redis.thaw()
        again.level()
        until(lambda: again.states(ids) == {JobState.AVAILABLE} and again.in_redis(ids) == 4)


@pytest.mark.usefixtures("steady")
def test_forced_apart_stays_apart_over_a_restart(tmp_path: Path, redis: RedisHost) -> None:
    with node(tmp_path / "home", redis.url) as first:
        first.store.force("ops", "the cable is being replaced")
    with node(tmp_path / "home", redis.url) as again:
        air = again.store.air()
        assert (air.state, air.forced, air.reason) == ("airgapped", True, "the cable is being replaced")
        again.store.release("ops")
        again.is_("connected")


def test_the_same_request_on_both_sides_becomes_one_job_and_a_conflict(here: Node, there: Node) -> None:
    here.store.force("test")
    late = here.put(idempotency_key="k")
    first = there.put(idempotency_key="k")
    there.level()
    assert late != first
    here.store.release("test")
    here.level()
    claim = there.claim_some()
    assert [job.id for job in claim.jobs] == [first]
    conflicts = here.found(ev.ConflictFound)
    assert [(c.kind, c.first, c.later) for c in conflicts] == [("request", first, late)]
    until(lambda: here.state(late) == JobState.CANCELLED)


def test_an_end_that_comes_after_another_node_took_over_is_a_conflict(here: Node, there: Node) -> None:
    id_ = here.put()
    held = here.claim_some()
    here.store.force("test")
    taken = until(
        lambda: (there.store.promote(), there.claim())[1], PATIENCE, "the lease ran out and the job was taken over"
    )
    assert taken is not None
    there.complete(taken, b'"theirs"')
    there.level()
    here.complete(held, b'"ours"')
    here.store.release("test")
    here.level()
    conflicts = here.found(ev.ConflictFound)
    assert [(c.job, c.kind) for c in conflicts] == [(id_, "result")]
    view = here.store.get([id_])[id_]
    assert view.result == b'"theirs"', "the first end stands"


def test_a_queue_that_holds_its_jobs_gives_them_to_nobody_else(here: Node, there: Node) -> None:
    for each in (here, there):
        each.limits(reclaim="hold")
    here.put()
    held = here.claim_some()
    here.store.force("test")
    over = there.clock.monotonic() + LEASE_SECONDS + 1
    while there.clock.monotonic() < over:
        there.store.promote()
        assert there.claim() is None
        there.store.wait(1.0)
    here.store.release("test")
    here.is_("connected")
    assert here.complete(held) == set()


@pytest.mark.usefixtures("steady")
def test_a_claim_that_reached_redis_too_late_is_given_back_in_a_queue_that_holds(
    tmp_path: Path, redis: RedisHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linkkeeper, "RELEASE", 1e9)
    monkeypatch.setattr(linkkeeper, "STRAYED", 0.5 - 2 * ANSWER)
    with node(tmp_path / "home", redis.url) as here:
        here.joined()
        here.limits(reclaim="hold")
        want = Want(ROOM, known_id(tmp_path / "home"), 1)
        lost, kept = here.put(), here.put()
        stray = here.store.remote.claim(want)  # as a claim that waited in the network while the link was lost and back
        held = here.store.claim(want)
        assert stray is not None
        assert held is not None
        assert [job.id for job in (*stray.jobs, *held.jobs)] == [lost, kept]
        monkeypatch.setattr(linkkeeper, "RELEASE", 0.0)
        again = here.claim_some()
        assert [job.id for job in again.jobs] == [lost], "what is known to be held stays"
        assert here.complete(again) == here.complete(held) == set()


def test_a_queue_that_waits_runs_nothing_while_cut_off(here: Node) -> None:
    here.limits(airgap="wait")
    here.store.force("test")
    here.put()
    assert here.claim() is None
    here.store.release("test")
    here.level()
    assert here.claim_some()


def test_limits_and_values_reach_both_sides(here: Node, there: Node) -> None:
    here.store.set_value("queue-limits:q", b'{"concurrency":1}')
    assert there.store.value("queue-limits:q") == b'{"concurrency":1}'
    here.store.force("test")
    assert here.store.value("queue-limits:q") == b'{"concurrency":1}'
    here.store.set_value("later", b"1")
    here.store.release("test")
    here.level()
    assert there.store.value("later") == b"1"


def test_a_pause_while_cut_off_holds_for_the_fleet_afterwards(here: Node, there: Node) -> None:
    here.store.force("test")
    here.store.pause("q", True, "ops")
    here.store.release("test")
    here.level()
    until(lambda: there.store.paused() == {"q"})
    there.put()
    assert there.claim() is None


@pytest.mark.usefixtures("steady")
def test_a_home_that_was_set_back_gives_everything_under_a_new_name(tmp_path: Path, redis: RedisHost) -> None:
    home = tmp_path / "home"
    with node(home, redis.url) as first:
        first.joined()
        early = [first.put() for _ in range(3)]
    shutil.copytree(home, tmp_path / "copy")
    with node(home, redis.url) as second:
        second.joined()
        name = second.store.resync.node
        late = [second.put() for _ in range(3)]
        second.level()
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "copy", home)
    with node(home, redis.url) as again:
        again.level()
        assert again.store.resync.node != name
        fresh = again.put()
        again.level()
        claim = again.claim_some()
        assert {job.id for job in claim.jobs} == {*early, *late, fresh}, "nothing is lost, and nothing is there twice"


@pytest.mark.usefixtures("steady")
def test_a_copy_of_a_home_fences_the_first_and_only_one_goes_on(tmp_path: Path, redis: RedisHost) -> None:
    with node(tmp_path / "home", redis.url) as first:
        first.joined().put()
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    with node(tmp_path / "home", redis.url) as first, node(tmp_path / "copy", redis.url) as second:
        first.is_("connected")
        second.is_("connected")
        second.put()
        first.put()
        until(lambda: first.store.air().stopped or second.store.air().stopped, PATIENCE, "one of them is told to stop")


@pytest.mark.usefixtures("steady")
def test_a_journal_with_another_history_stops_until_somebody_releases_it(tmp_path: Path, redis: RedisHost) -> None:
    home = tmp_path / "home"
    with node(home, redis.url) as first:
        first.joined().put()
    shutil.copytree(home, tmp_path / "copy")
    with node(home, redis.url) as second:
        second.joined()
        theirs = [second.put() for _ in range(2)]
        second.level()
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "copy", home)
    redis.freeze()
    with node(home, redis.url) as again:
        ours = [again.put() for _ in range(30)]
        redis.thaw()
        until(lambda: again.store.air().stopped, PATIENCE, "the resync stands still")
        assert "another history" in again.store.air().stopped
        again.is_("airgapped")
        again.store.release("ops")
        again.store.sync("ops")
        again.level()
        claim = again.claim_some()
        assert {*theirs, *ours} <= {job.id for job in claim.jobs}


@pytest.mark.usefixtures("steady")
def test_jobs_that_a_home_held_before_it_was_set_back_are_the_fleets(tmp_path: Path, redis: RedisHost) -> None:
    home = tmp_path / "home"
    with node(home, redis.url) as first:
        first.joined().put()
    shutil.copytree(home, tmp_path / "copy")
    with node(home, redis.url) as second:
        second.store.force("test")
        held = [second.put() for _ in range(3)]
        assert second.claim_some(2)
        second.store.release("test")
        second.is_("connected")
        until(lambda: second.in_redis(held) == 3, PATIENCE, "Redis has them")
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "copy", home)
    with node(home, redis.url) as again:
        again.level()
        again.put()
        again.level()
        assert set(held) <= {job.id for job in again.claim_some().jobs}
