"""A home that has worked alone is given a Redis: what is live goes along, what is over stays at home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airgap.storage import JournalStore
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.job import Failure, JobState, new_id
from engine.kernel.settings import Settings
from engine.storage.base import Want
from tests.support.nodes import ROOM, node
from tests.support.redis_hosts import RedisHost

CLOCK = SystemClock()
pytestmark = pytest.mark.usefixtures("steady")


def alone(home: Path) -> JournalStore:
    """The store of a home without a Redis."""
    store = JournalStore(Settings(home=home), CLOCK, Bus())
    store.open()
    return store


def put(store: JournalStore, **fields: Any) -> str:
    made: dict[str, Any] = {"at": CLOCK.now(), "id": new_id(), "queue": "q", "task": "t", "payload": b"{}"}
    return store.put([ev.JobEnqueued(**(made | fields))])[0].id


def end(store: JournalStore, kind: type[ev.AttemptEnded], **fields: Any) -> str:
    """Claim the first job and end it; its id.  The end does not say its queue, as those of old versions did not."""
    claim = store.claim(Want(ROOM, "a", 1))
    assert claim is not None
    job = claim.jobs[0]
    store.finish([kind(CLOCK.now(), job.id, claim.token, job.attempt, "a/1", CLOCK.now(), 0.1, **fields)])
    return job.id


def test_what_is_live_becomes_the_fleets_and_what_is_over_is_not_run_again(tmp_path: Path, redis: RedisHost) -> None:
    store = alone(tmp_path / "home")
    for _ in range(2):
        put(store)
    done = end(store, ev.JobCompleted, result=b"1")
    dead = end(store, ev.JobDied, failure=Failure("ValueError", "no"), reason="attempts exhausted")
    waiting, ahead = put(store, idempotency_key="k"), put(store, run_at=CLOCK.now() + 3_600)
    store.keeper.checkpoint()
    store.close()
    with node(tmp_path / "home", redis.url) as linked:
        linked.level()
        claim = linked.claim_some()
        assert [job.id for job in claim.jobs] == [waiting]
        remote = linked.store.remote.get([done, dead, ahead])
        assert {id_: view.state for id_, view in remote.items()} == {
            dead: JobState.DEAD,
            ahead: JobState.SCHEDULED,
        }
        assert remote[dead].failure == Failure("ValueError", "no")
        assert linked.put(idempotency_key="k") == waiting
        assert linked.store.retry([dead]) == {dead}
        assert [job.id for job in linked.claim_some().jobs] == [dead]


def test_jobs_whose_segments_are_long_gone_go_along_too(tmp_path: Path, redis: RedisHost) -> None:
    store = alone(tmp_path / "home")
    ids = {put(store) for _ in range(20)}
    store.keeper.checkpoint()
    while store.keeper.trim(CLOCK.now() + 1e9):
        pass
    assert store.facts()["segments"] == 0
    store.close()
    with node(tmp_path / "home", redis.url) as linked:
        linked.level()
        assert {job.id for job in linked.claim_some().jobs} == ids


def test_a_home_that_goes_back_to_working_alone_keeps_what_redis_lacks(tmp_path: Path, redis: RedisHost) -> None:
    with node(tmp_path / "home", redis.url) as linked:
        linked.store.force("test")
        held = linked.put()
    store = alone(tmp_path / "home")
    more = put(store)
    store.close()
    with node(tmp_path / "home", redis.url) as again:
        again.store.release("test")
        again.level()
        assert {job.id for job in again.claim_some().jobs} == {held, more}
