"""``/v1/airgap`` without a Redis: it answers all the same, and what needs a link is refused with the mend."""

from __future__ import annotations

import httpx
import pytest

from data import audit
from tests.console.api.test_jobs import is_problem
from tests.support.consoles import Running


def test_a_node_without_redis_says_so_in_the_same_words_as_all_others(console: Running, http: httpx.Client) -> None:
    job = http.post("/v1/jobs", json={"task": "echo", "delay": 3600}).json()
    told = http.get("/v1/airgap").json()
    assert (told["state"], told["reason"]) == ("standalone", "no Redis is configured")
    assert told["since"].endswith("Z") and not told["forced"] and told["local_jobs"] >= 1
    assert (told["unsynced_events"], told["oldest_unsynced_at"], told["progress"]) == (0, None, None)
    assert (told["conflicts"], told["last_proof"], told["stopped"]) == (0, None, "")
    assert told["quota"]["limit"] == console.console.settings.store_limit > told["quota"]["used"] > 0
    http.post(f"/v1/jobs/{job['id']}/cancel")


@pytest.mark.parametrize("call", ["force", "release", "sync"])
def test_what_needs_a_link_is_refused_with_the_mend(console: Running, http: httpx.Client, call: str) -> None:
    answer = http.post(f"/v1/airgap/{call}")
    is_problem(answer, 409)
    assert "start it with --redis" in answer.json()["detail"]
    assert not audit.page(console.database, action=f"airgap.{call}")


def test_only_an_admin_of_all_tenants_may_cut_the_link(console: Running) -> None:
    create = console.console.access.tokens.create
    for token, status in {
        create("vera", "viewer"): 200,
        create("otto", "operator"): 200,
        create("amy", "admin", "acme"): 403,
    }.items():
        with console.http(token) as http:
            assert http.get("/v1/airgap").status_code == status
            for call in ("force", "release", "sync"):
                is_problem(http.post(f"/v1/airgap/{call}"), 403)
    with console.http(None) as http:
        is_problem(http.get("/v1/airgap"), 401)


def test_a_wrong_body_names_its_field(http: httpx.Client) -> None:
    answer = http.post("/v1/airgap/force", json={"reson": "cable"})
    is_problem(answer, 422)
    assert "reson" in answer.json()["detail"]


def test_the_metrics_of_the_link_are_there_without_a_redis(http: httpx.Client) -> None:
    text = http.get("/metrics").text
    for line in ("airgap_state 0.0", "airgap_local_jobs ", "airgap_synced_total 0.0", "redis_failover_total 0.0",
                 "redis_pool_connections_total 0.0", "redis_pool_connections_active 0.0"):  # fmt: skip
        assert f"\n{line}" in text, line
