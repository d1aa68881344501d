"""Every test of the contract runs on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.kernel.clock import FakeClock
from engine.storage.base import Store
from tests.support.stores import BACKENDS, REMOTE, open_store, redis_store

#: backend -> fixture of the server that it needs
SERVERS = {"redis": "redis_server", "redis-cluster": "redis_cluster"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    if request.param in REMOTE:
        host = request.getfixturevalue(SERVERS[request.param])
        opened: Store = redis_store(host.url, clock)
    else:
        opened = open_store(request.param, tmp_path / "home", clock)
    yield opened
    opened.close()
