"""A tenant's token sees and moves that tenant's jobs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.console.api.test_jobs import is_problem, make
from tests.support.consoles import Running


@pytest.fixture(scope="module")
def tokens(console: Running) -> dict[str, str]:
    return {name: console.console.access.tokens.create(f"of-{name}", "operator", name) for name in ("acme", "zenith")}


@pytest.fixture
def acme(console: Running, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    with console.http(tokens["acme"]) as client:
        yield client


@pytest.fixture
def zenith(console: Running, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    with console.http(tokens["zenith"]) as client:
        yield client


def test_a_tenant_s_job_carries_its_name_whether_given_or_not(acme: httpx.Client, http: httpx.Client) -> None:
    assert http.get(f"/v1/jobs/{make(acme)['id']}").json()["tenant"] == "acme"
    assert http.get(f"/v1/jobs/{make(acme, tenant='acme')['id']}").json()["tenant"] == "acme"
    is_problem(acme.post("/v1/jobs", json={"task": "echo", "tenant": "zenith"}), 403)
    lines = acme.post("/v1/jobs/bulk", json={"jobs": [{"task": "echo", "tenant": "zenith"}, {"task": "echo"}]}).json()[
        "jobs"
    ]
    assert lines[0]["problem"]["status"] == 403 and lines[1]["id"]


def test_another_tenant_s_job_is_as_if_there_were_none(
    console: Running, acme: httpx.Client, zenith: httpx.Client
) -> None:
    id = make(acme, "echo", delay=3600)["id"]
    for _ in range(2):
        is_problem(zenith.get(f"/v1/jobs/{id}"), 404)
        is_problem(zenith.get(f"/v1/jobs/{id}/events"), 404)
        is_problem(zenith.post(f"/v1/jobs/{id}/cancel"), 404)
        is_problem(zenith.post(f"/v1/jobs/{id}/retry"), 404)
        is_problem(zenith.delete(f"/v1/jobs/{id}"), 404)
        console.recorded()
    assert acme.get(f"/v1/jobs/{id}").json()["state"] == "scheduled"
    assert acme.post(f"/v1/jobs/{id}/cancel").status_code == 200


def test_lists_actions_and_statistics_stay_within_the_tenant(
    console: Running, acme: httpx.Client, zenith: httpx.Client
) -> None:
    for client in (acme, zenith, zenith):
        console.ended(make(client, "fail", queue="shared", args={"message": "of a tenant"})["id"])
    console.recorded()
    assert {job["tenant"] for job in acme.get("/v1/jobs").json()["jobs"]} == {"acme"}
    is_problem(acme.get("/v1/jobs", params={"tenant": "zenith"}), 403)
    assert acme.get("/v1/jobs", params={"q": "tenant:zenith"}).json()["jobs"] == []
    shared = next(queue for queue in acme.get("/v1/queues").json()["queues"] if queue["name"] == "shared")
    assert shared["counts"].get("dead") == 1
    groups = acme.get("/v1/stats/failures").json()["groups"]
    assert sum(group["n"] for group in groups if group["queues"] == ["shared"]) == 1
    assert acme.get("/v1/stats/jobs").json()["totals"]["failed"] == 1
    moved = acme.post("/v1/jobs/actions", json={"action": "delete", "filter": "queue:shared state:dead"}).json()
    assert moved["done"] == 1
    assert len(zenith.get("/v1/jobs", params={"queue": "shared"}).json()["jobs"]) == 2


def test_what_all_tenants_share_is_not_a_tenant_s_to_change(acme: httpx.Client) -> None:
    is_problem(acme.post("/v1/queues/default/pause"), 403)
    is_problem(acme.get("/metrics"), 403)
    is_problem(acme.get("/v1/tokens"), 403)


def test_a_tenant_s_token_does_not_open_the_console(console: Running, tokens: dict[str, str]) -> None:
    with console.http(None) as browser:
        answer = browser.post("/login", data={"token": tokens["acme"]})
        assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_the_same_idempotency_key_of_two_tenants_names_two_jobs(acme: httpx.Client, zenith: httpx.Client) -> None:
    body = {"task": "echo", "delay": 3600, "idempotency_key": "invoice-1"}
    first, other = acme.post("/v1/jobs", json=body), zenith.post("/v1/jobs", json=body)
    assert first.status_code == other.status_code == 202 and first.json()["id"] != other.json()["id"]
