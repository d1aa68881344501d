"""The link against a real Redis behind a network that fails in every way: it is lost, whatever hangs, and comes back.

How soon is said where time is a number: see ``tests/unit/airgap/test_link.py``.  Here calls may hang for as long as they
like, so that only who watches the time can find the loss.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest

from airgap import failover
from airgap.failover import LinkMemory
from airgap.link import Link
from airgap.view import AIRGAPPED, CONNECTED, RECOVERING
from engine.kernel.clock import SystemClock
from engine.kernel.errors import StoreFull
from engine.kernel.events import LinkChanged
from engine.storage.lanes import Pulse
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore
from tests.support.partition import Partition
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until

#: seconds that a loss or a return may take on a busy machine, and those that Redis may take to answer
PATIENCE, ANSWER = 60.0, 60.0


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that a busy machine keeps from answering for some seconds is not lost by it: where no loss is meant."""
    monkeypatch.setattr(failover, "SILENCE", PATIENCE)


class Counted(RedisStore):
    """Counts the probes that it sends."""

    probes = 0

    def probe(self, node: str) -> Pulse:
        self.probes += 1
        return super().probe(node)


class Linked:
    """A link at work, with what it told; a resync is through at once."""

    def __init__(self, url: str, mode: str = "automatic", memory: LinkMemory | None = None) -> None:
        self.clock = SystemClock()
        self.client = Client(target_of(url, timeout=ANSWER), self.clock)
        self.store = Counted(self.client, self.clock, fleet="link")
        self.changes: list[LinkChanged] = []
        self.at_once = True
        self.link = Link(self.store, self.clock, mode, node=secrets.token_hex(4), on_change=self.note, memory=memory)

    def note(self, change: LinkChanged) -> None:
        self.changes.append(change)
        if change.state == RECOVERING and self.at_once:
            self.link.recovered(self.link.round)

    def states(self) -> list[str]:
        return [change.state for change in self.changes]

    def reaches(self, state: str) -> None:
        until(lambda: self.link.state == state, PATIENCE, f"{state} after {self.changes}")

    def hears(self, word: str) -> None:
        until(lambda: any(word in change.reason for change in self.changes), PATIENCE, f"{word} in {self.changes}")


@contextmanager
def linked(url: str, mode: str = "automatic", memory: LinkMemory | None = None) -> Iterator[Linked]:
    made = Linked(url, mode, memory)
    made.store.open()
    made.link.start()
    threads = list(made.link._threads)
    try:
        yield made
    finally:
        made.link.stop()
        made.store.close()
        until(lambda: not any(thread.is_alive() for thread in threads), what="its threads end")


@pytest.fixture(scope="module")
def host() -> Iterator[RedisHost]:
    with redis_host() as made:
        yield made


FAULTS: dict[str, Callable[[Partition], object]] = {
    "reset": lambda wire: wire.reset(),
    "refused": lambda wire: wire.refuse(),
    "swallowed": lambda wire: wire.drop(),
    "half open": lambda wire: wire.half_open(),
    "answers lost": lambda wire: wire.one_way("up"),
    "requests lost": lambda wire: wire.one_way("down"),
}


def test_whatever_the_network_does_and_whatever_hangs_it_is_lost_and_back_when_healed(host: RedisHost) -> None:
    with ExitStack() as stack:
        wires = {fault: stack.enter_context(Partition(host.port)) for fault in FAULTS}
        nodes = {fault: stack.enter_context(linked(wire.url)) for fault, wire in wires.items()}
        for node in nodes.values():
            node.reaches(CONNECTED)
        for fault, wire in wires.items():
            FAULTS[fault](wire)
        nodes["half open"].client.disconnect()  # what is connected stays so
        for fault, node in nodes.items():
            node.reaches(AIRGAPPED)
            assert node.link.failovers and node.link.suspect and node.link.reason, fault
        for wire in wires.values():
            wire.heal()
        for fault, node in nodes.items():
            node.reaches(CONNECTED)
            losses = [RECOVERING, CONNECTED, AIRGAPPED] * node.link.failovers
            assert node.states() == [*losses, RECOVERING, CONNECTED], fault
            until(lambda node=node: not node.link.suspect, what="a probe was good")  # type: ignore[misc]
            assert node.link.latency and node.link.probed_at


@pytest.mark.usefixtures("steady")
def test_a_short_hiccup_is_no_loss(host: RedisHost) -> None:
    with Partition(host.port) as wire, linked(wire.url) as node:
        node.reaches(CONNECTED)
        node.client.disconnect()
        node.link.failed(ConnectionError("reset"))
        until(lambda: not node.link.suspect, PATIENCE, "a probe was good")
        assert node.states() == [RECOVERING, CONNECTED]


def test_a_redis_that_dies_is_lost_and_one_that_lost_its_data_is_resynced() -> None:
    with redis_host() as host, linked(host.url) as node:
        node.reaches(CONNECTED)
        host.kill()
        node.reaches(AIRGAPPED)
        host.start()
        node.link.sync_now("amy")
        node.reaches(CONNECTED)
        before = node.link.round
        host.flush()
        node.hears("emptied or exchanged")
        until(lambda: node.link.round > before and node.link.state == CONNECTED, PATIENCE, "resynced")


def test_a_redis_set_back_to_an_old_snapshot_is_noticed() -> None:
    with redis_host() as host, linked(host.url) as node:
        node.reaches(CONNECTED)
        snapshot = host.save()
        probes = node.store.probes
        until(lambda: node.store.probes > probes + 2, PATIENCE, "some more probes")
        host.restore(snapshot)
        until(lambda: node.link.round > 1 and node.link.state == CONNECTED, PATIENCE, "resynced")


@pytest.mark.usefixtures("steady")
def test_a_full_redis_is_not_a_lost_one() -> None:
    with redis_host(maxmemory_policy="noeviction") as host, linked(host.url) as node:
        node.reaches(CONNECTED)
        host.cli("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(StoreFull):
            node.store.set_value("k", b"v" * 4096)
        probes = node.store.probes
        until(lambda: node.store.probes > probes + 5, PATIENCE, "it is asked on")
        assert node.states() == [RECOVERING, CONNECTED] and not node.link.suspect


@pytest.mark.usefixtures("steady")
def test_nothing_is_sent_while_it_is_held_by_hand_also_after_a_restart(host: RedisHost) -> None:
    with linked(host.url) as node:
        node.reaches(CONNECTED)
        node.link.force("amy", "cable work")
        assert (node.link.state, node.changes[-1].by, node.changes[-1].reason) == (AIRGAPPED, "amy", "cable work")
        memory = node.link.memory()
    with Partition(host.port) as wire, linked(wire.url, memory=memory) as node:
        node.link.failed(ConnectionError("a call that was under way"))
        node.link.watch_once()
        assert node.link.probe_once() > 0 and node.store.probes == 0
        assert (node.link.state, node.link.forced, node.link.reason) == (AIRGAPPED, True, "cable work")
        node.link.release("amy")
        node.reaches(CONNECTED)


def test_airgap_safe_sends_nothing_before_it_is_released(host: RedisHost) -> None:
    with linked(host.url, "airgap-safe") as node:
        for _ in range(3):
            node.link.probe_once()
        assert node.store.probes == 0 and node.link.silent
        node.link.release("amy")
        node.reaches(CONNECTED)


@pytest.mark.usefixtures("steady")
def test_changes_are_told_in_order_and_one_at_a_time_whoever_causes_them(host: RedisHost) -> None:
    with linked(host.url) as node:
        node.reaches(CONNECTED)
        inside, told = threading.Lock(), []

        def slow(change: LinkChanged) -> None:
            assert inside.acquire(blocking=False), "told two changes at a time"
            told.append((change.state, change.forced))
            node.link.failed(ConnectionError("from inside"))
            if change.state == RECOVERING:
                node.link.recovered(node.link.round)
            inside.release()

        node.link._on_change = slow
        for _ in range(20):
            threads = [threading.Thread(target=act, args=("amy",)) for act in (node.link.force, node.link.release)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        node.link.release("amy")
        node.reaches(CONNECTED)
        until(lambda: told[-1] == (CONNECTED, False), PATIENCE, "the last is told last")
        assert all(before != after or not after[1] for before, after in pairwise(told))
