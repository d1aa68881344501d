"""A Redis that forgot something while a node is connected: nothing is let go of before it has everything again."""

from __future__ import annotations

from contextlib import suppress

import pytest

from airgap.shipping import Regressed
from engine.kernel.errors import Unreachable
from tests.support.nodes import PATIENCE, Node
from tests.support.redis_hosts import RedisHost


def stop_keeper(node: Node) -> None:
    """Let nothing be done but what the test does."""
    node.store._keeper.stop()
    node.store._keeper._thread.join(PATIENCE)


def test_a_look_after_a_failed_shipment_finds_that_redis_was_emptied(here: Node, redis: RedisHost) -> None:
    here.put()
    here.level()
    stop_keeper(here)
    redis.flush()
    here.put()  # finds a gap; where Redis stands is not known from now on
    with pytest.raises(Regressed):
        here.store.resync.look()


def test_events_that_redis_had_and_lost_are_not_passed_over_after_a_call_that_was_not_answered(
    here: Node, redis: RedisHost
) -> None:
    here.put()
    here.level()
    snapshot = redis.save()
    here.put()
    stop_keeper(here)
    redis.restore(snapshot)
    here.store.resync._theirs = None  # as an unanswered call leaves it
    here.put()
    with pytest.raises(Regressed, match="stands at event"):
        while True:
            with suppress(Unreachable):
                here.store.resync.ship()
