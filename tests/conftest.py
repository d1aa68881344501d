"""What every test stands on: an environment without the developer's own settings."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

from engine.kernel import faults
from engine.kernel.sources import OTHERS, PREFIX
from tests.support import redis_hosts

# how long one example takes says more about the machine's load than about the code
hypothesis.settings.register_profile(
    "search", deadline=None, derandomize=False, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# the same examples each time; new ones are looked for with --hypothesis-profile=search, and what they find becomes a test
hypothesis.settings.register_profile("holdfast", hypothesis.settings.get_profile("search"), derandomize=True)
hypothesis.settings.load_profile("holdfast")


@pytest.fixture(autouse=True)
def _settings_come_from_tests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX) not in OTHERS - {"TOKEN", "URL"}:
            monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def _no_fault_outlives_its_test() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[redis_hosts.RedisHost]:
    """One Redis for all; a test that needs it empty flushes it."""
    with redis_hosts.redis_host() as host:
        yield host


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[redis_hosts.RedisCluster]:
    """One Cluster of three for all."""
    with redis_hosts.redis_cluster() as hosts:
        yield hosts


@pytest.fixture(scope="session")
def redis_sentinels() -> Iterator[redis_hosts.Sentinels]:
    """One watched primary for all; who fails it over mends it."""
    with redis_hosts.sentinels() as hosts:
        yield hosts
