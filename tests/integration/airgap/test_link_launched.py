"""The whole product, as ``run.py`` starts it: what is kept airgapped sends nothing, from no process and no thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.support.launched import launched
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until


def clients(host: RedisHost) -> int:
    """Connections that are open, without the one that asks."""
    return len(host.cli("CLIENT", "LIST").splitlines()) - 1


def received(host: RedisHost) -> int:
    """Connections that were ever made, with the one that asks."""
    lines = host.cli("INFO", "stats").splitlines()
    return next(int(line.split(b":")[1]) for line in lines if line.startswith(b"total_connections_received"))


def state(http: httpx.Client) -> Any:
    return http.get("/v1/airgap").json()["state"]


def test_nothing_is_sent_before_a_release_and_nothing_after_a_force(tmp_path: Path) -> None:
    with redis_host() as host:
        before = received(host)
        with launched(tmp_path / "home", "--redis", host.url, "--failover", "airgap-safe") as node, node.client as http:
            node.recorder()
            job = http.post("/v1/jobs", json={"task": "documents.extract", "args": {"path": "sample.pdf"}}).json()["id"]
            until(lambda: http.get(f"/v1/jobs/{job}").json()["state"] == "completed", 60, "it runs here")
            assert received(host) == before + 1
            told = http.get("/v1/airgap").json()
            assert (told["state"], told["reason"]) == ("airgapped", "waits for somebody to release it")
            http.post("/v1/airgap/release")
            until(lambda: state(http) == "connected", 60, "connected")
            until(lambda: clients(host) >= 2, 60, "the recorder follows the fleet")
            http.post("/v1/airgap/force", json={"reason": "cable work"})
            until(lambda: clients(host) == 0, 60, "all connections are closed")
            after = received(host)
            assert http.get("/v1/agents").status_code == 200 and state(http) == "airgapped"
            until(lambda: http.get("/readyz").status_code == 200, 60, "it is ready all the same")
            assert received(host) == after + 1
            assert node.stop() == 0
            assert received(host) == after + 2
