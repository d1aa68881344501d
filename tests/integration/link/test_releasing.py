"""Old segments go once Redis has what is in them; what only Redis still holds is written once more before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from airgap import linkkeeper, releasing
from airgap.releasing import SPARE, Releasing
from airgap.shipping import Ledger
from engine.kernel.job import JobState
from tests.support.nodes import PATIENCE, Node, node
from tests.support.redis_hosts import RedisHost
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("steady")


def floor(node: Node) -> int:
    """Number of the last event before what is kept for a rewind."""
    kept = node.store.local.value("link:floor")
    return msgspec.msgpack.decode(kept, type=Ledger).event if kept else 0


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are looked at all the time, and each is worth it."""
    monkeypatch.setattr(linkkeeper, "RELEASE", 0.0)
    monkeypatch.setattr(releasing, "SPARE", 0)


@pytest.mark.usefixtures("eager")
def test_a_job_far_ahead_outlives_its_segment_and_an_emptied_redis(tmp_path: Path, redis: RedisHost) -> None:
    with node(tmp_path / "home", redis.url, journal_retention=0.0) as here:
        here.joined()
        ahead = here.put(run_at=here.clock.now() + 3_600)
        done = here.put()
        written = here.store.local.journal.standing.event
        here.complete(here.claim_some())
        until(lambda: floor(here) > written, PATIENCE, "the segments of both jobs were released")
        redis.flush()
        until(lambda: here.state(ahead) == JobState.SCHEDULED, PATIENCE, "the job is back")
        here.level()
        assert here.claim() is None, "what was done is not done again"
        assert here.state(done) in (None, JobState.COMPLETED)


@pytest.mark.usefixtures("eager")
def test_nothing_is_released_that_redis_has_not_got(tmp_path: Path, redis: RedisHost) -> None:
    with node(tmp_path / "home", redis.url, journal_retention=0.0) as here:
        here.joined().put()
        here.store.force("test")
        before = here.store.resync.ledger.event
        ids = [here.put() for _ in range(20)]
        assert floor(here) <= before
        here.store.release("test")
        here.level()
        assert set(ids) <= {job.id for job in here.claim_some().jobs}


def test_a_home_at_rest_writes_nothing_however_much_waits(
    tmp_path: Path, redis: RedisHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linkkeeper, "RELEASE", 0.0)
    looks = count_calls(monkeypatch, Releasing, "step")
    with node(tmp_path / "home", redis.url, journal_retention=0.0) as here:
        for _ in range(SPARE + 1):
            here.put(run_at=here.clock.now() + 3_600)
        written = here.store.local.journal.standing.event
        until(lambda: floor(here) >= written, PATIENCE, "the segments were released")
        here.level()

        def rests() -> bool:
            before, looked = here.store.local.journal.standing.event, len(looks)
            until(lambda: len(looks) > looked + 8, PATIENCE, "it was looked at the segments again")
            return here.store.local.journal.standing.event == before

        until(rests, 2 * PATIENCE, "nothing more is written")


def count_calls(monkeypatch: pytest.MonkeyPatch, of: type, name: str) -> list[str]:
    """A list that grows with each call of a method from now on."""
    calls: list[str] = []
    real = getattr(of, name)

    def counted(*args: Any, **more: Any) -> Any:
        calls.append(name)
        return real(*args, **more)

    monkeypatch.setattr(of, name, counted)
    return calls
