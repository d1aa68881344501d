"""The fleet on a Cluster of three, and who is woken for which job."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing

import pytest

from engine.fleet.base import Notice
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.storage.base import Want
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore
from tests.integration.fleet.conftest import ANSWER, Join
from tests.support.redis_hosts import RedisCluster, RedisHost
from tests.support.stores import enqueued
from tests.support.waiting import until

Kind = tuple[frozenset[str], frozenset[str] | None]


@pytest.mark.usefixtures("unhurried")
def test_agents_on_a_cluster_see_each_other_obey_and_hear(join: Join, redis_cluster: RedisCluster) -> None:
    one, other = join(at=redis_cluster.url), join(at=redis_cluster.url)
    until(lambda: len(one.fleet.agents()) == 2, what="both are listed")
    heard: list[Notice] = []
    other.fleet.subscribe(heard.append)
    assert one.fleet.command(other.agent, "pause").delivered == 1
    assert one.fleet.broadcast("hello").delivered == 2
    until(lambda: other.paused and heard, what="it heard")
    assert one.fleet.command(other.agent, "ping").latency is not None


@pytest.mark.parametrize(
    ("plain", "fit", "job"),
    [
        ((frozenset(), None), (frozenset({"gpu"}), None), {"needs": "gpu"}),
        ((frozenset(), frozenset({"acme"})), (frozenset(), None), {"tenant": "other"}),
        ((frozenset(), frozenset({"acme"})), (frozenset(), frozenset({"other"})), {"tenant": "other"}),
    ],
)
def test_who_may_run_a_job_is_woken_for_it_though_others_wait_longer(
    redis_server: RedisHost, fleet: str, plain: Kind, fit: Kind, job: dict[str, str]
) -> None:
    clock = SystemClock()
    with ExitStack() as stack:

        def waiting(name: str, kind: Kind) -> tuple[RedisStore, threading.Thread]:
            store = RedisStore(Client(target_of(redis_server.url, timeout=ANSWER)), clock, Bus(), fleet=fleet)
            store.open()
            stack.enter_context(closing(store))
            store.claim(Want({"q": 10}, name, 10, *kind))
            thread = threading.Thread(target=lambda: store.wait(120) and woken.append(name), name=name)
            thread.start()
            return store, thread

        woken: list[str] = []
        others, first = waiting("plain", plain)
        store, second = waiting("fit", fit)
        until(lambda: blocked(redis_server) == 2, what="both listen")
        others.put([enqueued(clock, **job)])
        until(lambda: "fit" in woken, what="it is woken")
        assert store.claim(Want({"q": 10}, "fit", 10, *fit)) is not None
        others.wake()
        for thread in (first, second):
            thread.join(120)


def blocked(server: RedisHost) -> int:
    """Clients that wait for a list."""
    told = server.cli("INFO", "clients").decode()
    return int(next(line for line in told.splitlines() if line.startswith("blocked_clients")).split(":")[1])
