"""Engines that share a Redis only to be a fleet; their jobs stay in their own memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine import Engine, Settings
from engine.fleet import remote, roster
from engine.fleet.remote import RemoteFleet
from engine.kernel.clock import SystemClock
from engine.storage.memory import MemoryStore
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from tests.support.redis_hosts import RedisHost

Join = Callable[..., Engine]
#: seconds that Redis, and a farewell, may take: more than a busy machine keeps anyone standing still
ANSWER = 20.0


class FleetStore(MemoryStore):
    """A store in memory that knows a Redis, so that its engine joins a fleet."""

    silent = False

    def __init__(self, client: Client, fleet: str) -> None:
        super().__init__(SystemClock())
        self.client = client
        self.fleet_name = fleet

    def close(self) -> None:
        """Let go of Redis."""
        self.client.close()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat, a look, a farewell or an answer to a ping that a busy machine delays is not given up."""
    for name in ("BEAT_TIMEOUT", "GOODBYE_TIMEOUT", "STOP_SECONDS", "PING_SECONDS"):
        monkeypatch.setattr(remote, name, ANSWER)
    monkeypatch.setattr(roster, "LIST_TIMEOUT", ANSWER)


@pytest.fixture
def fleet() -> str:
    """A fleet of this test's own."""
    return f"f{secrets.token_hex(4)}"


@pytest.fixture
def url(redis_server: RedisHost) -> str:
    """The Redis of the fleet."""
    return redis_server.url


@pytest.fixture
def join(url: str, fleet: str) -> Iterator[Join]:
    """Makes agents; ``id`` makes one that was there before, ``timeout`` is how long its Redis may take."""
    made: list[Engine] = []

    def join(
        *, start: bool = True, id: str = "", at: str = "", name: str = "", timeout: float = ANSWER, **settings: Any
    ) -> Engine:
        store = FleetStore(Client(target_of(at or url, timeout=timeout)), name or fleet)
        engine = Engine(Settings(fleet=name or fleet, **({"workers": 2} | settings)), store=store)
        if id:
            engine.agent = id
            engine.fleet = RemoteFleet(engine, store.client, store.fleet_name)
        made.append(engine)
        if start:
            engine.start()
        return engine

    yield join
    for engine in made:
        engine.stop(timeout=0.5)
