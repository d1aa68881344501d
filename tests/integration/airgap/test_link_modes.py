"""What the modes promise, on whole engines: nothing is sent before a release, and nothing is run before a person said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap import failover
from airgap.view import AIRGAPPED, CONNECTED, AirView, air_of, link_of
from engine import Engine, Settings
from engine.kernel.errors import Conflict, ResultTimeout
from tests.console.api import works
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _a_busy_machine_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "SILENCE", PATIENCE)


def node(home: Path, host: RedisHost, failover: str) -> Engine:
    return Engine(Settings(home=home, redis=host.url, durability="process", failover=failover), tasks=[works.__name__])


def reaches(engine: Engine, state: str) -> AirView:
    until(lambda: air_of(engine.store).state == state, PATIENCE, state)
    return air_of(engine.store)


def connections(host: RedisHost) -> int:
    """Connections that the server has seen, without this one."""
    lines = host.cli("INFO", "stats").splitlines()
    host.seen = getattr(host, "seen", 0) + 1  # type: ignore[attr-defined]
    total = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"total_connections_received"))
    return total - host.seen  # type: ignore[attr-defined]


def test_airgap_safe_works_and_sends_nothing_until_it_is_released_also_after_a_restart(tmp_path: Path) -> None:
    with redis_host() as host:
        start = connections(host)
        for number in range(2):
            with node(tmp_path, host, "airgap-safe") as engine:
                assert engine.enqueue("echo", {"number": number}).result(timeout=PATIENCE)["number"] == number
                engine.fleet.agents()
                link = link_of(engine.store)
                assert link is not None and air_of(engine.store).unsynced_events > 0
                with pytest.raises(Conflict, match="release it first"):
                    link.sync("amy")
                assert connections(host) == start
                if number:
                    link.release("amy")
                    told = reaches(engine, CONNECTED)
                    until(lambda: air_of(engine.store).unsynced_events == 0, PATIENCE, "all is sent")
                    assert told.failovers == 0 and connections(host) > start


def test_manual_accepts_and_runs_nothing_until_forced_and_returns_only_when_released(tmp_path: Path) -> None:
    with redis_host() as host, node(tmp_path, host, "manual") as engine:
        link = link_of(engine.store)
        assert link is not None
        reaches(engine, CONNECTED)
        host.kill()
        reaches(engine, AIRGAPPED)
        job = engine.enqueue("echo", {"number": 7})
        with pytest.raises(ResultTimeout):
            job.result(timeout=0.3)
        link.force("amy", "it is a failure, not a split")
        assert job.result(timeout=PATIENCE)["number"] == 7
        host.start()
        told = air_of(engine.store)
        assert (told.state, told.forced, told.reason) == (AIRGAPPED, True, "it is a failure, not a split")
        link.release("amy")
        reaches(engine, CONNECTED)
        assert job.result(timeout=PATIENCE)["number"] == 7


def test_what_was_forced_is_still_cut_after_a_restart(tmp_path: Path) -> None:
    with redis_host() as host:
        with node(tmp_path, host, "automatic") as engine:
            reaches(engine, CONNECTED)
            link = link_of(engine.store)
            assert link is not None
            link.force("amy", "cable work")
        with node(tmp_path, host, "automatic") as engine:
            told = air_of(engine.store)
            assert (told.state, told.forced, told.reason) == (AIRGAPPED, True, "cable work")
            assert engine.enqueue("echo", {"number": 1}).result(timeout=PATIENCE)["number"] == 1
            link = link_of(engine.store)
            assert link is not None
            link.release("amy")
            reaches(engine, CONNECTED)
