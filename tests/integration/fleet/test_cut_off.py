"""An agent whose cable to Redis is pulled."""

from __future__ import annotations

import pytest

from engine.fleet import remote
from engine.kernel.errors import Unreachable
from tests.integration.fleet.conftest import ANSWER, Join
from tests.integration.fleet.test_fleet import presence
from tests.support.partition import Partition
from tests.support.redis_hosts import RedisHost
from tests.support.waiting import until


def test_an_agent_goes_on_without_redis_and_comes_back_by_itself(join: Join, redis_server: RedisHost) -> None:
    with Partition(redis_server.port) as cable:
        one, far = join(), join(at=cable.url, timeout=1.0)
        until(lambda: presence(one, far.agent) == "online", what="it is there")
        until(lambda: len(far.fleet.agents()) == 2, what="it sees both")
        cable.drop()
        until(lambda: presence(one, far.agent) in ("late", "lost"), what="it is missed")
        listed = {view.id: view.presence for view in far.fleet.agents()}
        assert listed[far.agent] == "online" and one.agent in listed
        with pytest.raises(Unreachable):
            far.fleet.command(one.agent, "pause")
        one.fleet.command(far.agent, "pause")
        assert not far.paused
        cable.heal()
        until(lambda: far.paused, what="it hears what was said meanwhile")
        until(lambda: presence(one, far.agent) == "online", what="it is back")


def test_it_stops_in_less_than_a_second_when_redis_does_not_answer(
    join: Join, redis_server: RedisHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote.STOP_SECONDS < 1.0
    monkeypatch.setattr(remote, "BEAT_TIMEOUT", 6 * ANSWER)
    with Partition(redis_server.port) as cable:
        far = join(at=cable.url)
        until(lambda: far.fleet.agents(), what="it is listed")
        cable.drop()
        until(lambda: far.store.client.stats().in_use > 1, what="a heartbeat waits, beside the ear")  # type: ignore[attr-defined]
        began = far.clock.monotonic()
        far.fleet.stop()
        assert far.clock.monotonic() - began < 3 * ANSWER, "it does not wait for the heartbeat"
        cable.heal()
