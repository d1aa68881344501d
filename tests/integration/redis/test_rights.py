"""The ACL user that docs/redis.md names has all the rights that a node needs, and no more than its own keys."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from airgap.view import CONNECTED, air_of
from engine import Engine, Settings
from engine.kernel.errors import Unreachable
from engine.kernel.values import Secret
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from tests.support.redis_hosts import redis_host
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "a-password-of-tests"


def documented() -> list[str]:
    """The words of the ACL SETUSER line of the guide."""
    found = re.search(r"ACL SETUSER (holdfast .*)", (ROOT / "docs/redis.md").read_text("utf-8"))
    assert found
    return found[1].replace("a-long-random-text", PASSWORD).split()


@pytest.mark.parametrize("durability", ["redis", "power"])
def test_a_node_works_with_the_rights_that_the_guide_gives_it(
    tmp_path: Path, durability: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_host() as host:
        host.cli("ACL", "SETUSER", *documented())
        settings = Settings(
            home=tmp_path, redis=host.url, redis_username="holdfast", redis_password=Secret(PASSWORD),
            tasks=("tests.bench.work",), durability=durability,
        )  # fmt: skip
        engine = Engine(settings)
        engine.start()
        try:
            until(lambda: air_of(engine.store).state == CONNECTED, 60)
            jobs = [engine.enqueue("tests.bench.work.noop", {"n": n, "text": ""}) for n in range(20)]
            later = engine.enqueue("tests.bench.work.noop", {"n": 99, "text": ""}, delay=3600)
            for job in jobs:
                job.result(timeout=120)
            engine.cancel([later.id])
            engine.pause("bench")
            engine.fleet.broadcast("hello")
            until(lambda: [agent.presence for agent in engine.fleet.agents()] == ["online"], 60)
        finally:
            engine.stop()
        assert host.cli("ACL", "LOG") == []
        with (
            closing(Client(target_of(host.url, username="holdfast", password=Secret(PASSWORD)))) as client,
            pytest.raises(Unreachable, match="does not let this user"),
        ):
            client.command("SET", "another", "1")
    assert "does not let this user" not in caplog.text
