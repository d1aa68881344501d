"""Two nodes and a Redis of their own, that may be hurt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap import failover
from tests.support.nodes import PATIENCE, Node, node
from tests.support.redis_hosts import RedisHost, redis_host


@pytest.fixture(scope="module")
def host() -> Iterator[RedisHost]:
    with redis_host() as host:
        yield host


@pytest.fixture
def redis(host: RedisHost) -> Iterator[RedisHost]:
    """Empty, and running; whatever a test did to it is mended."""
    host.flush()
    yield host
    if host.process is None:
        host.start()
    host.thaw()


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that a busy machine keeps from answering for some seconds is not lost by it: where no loss is meant."""
    monkeypatch.setattr(failover, "SILENCE", PATIENCE)


@pytest.fixture
def here(tmp_path: Path, redis: RedisHost, steady: None) -> Iterator[Node]:
    with node(tmp_path / "here", redis.url) as made:
        yield made.joined()


@pytest.fixture
def there(tmp_path: Path, redis: RedisHost, steady: None) -> Iterator[Node]:
    with node(tmp_path / "there", redis.url) as made:
        yield made.joined()
