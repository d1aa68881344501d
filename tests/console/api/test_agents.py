"""``/v1/agents`` on a console alone, which is a fleet of one: reading, telling, messages, rights, audit, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from console.cli.main import main as command_line
from data import audit
from tests.console.api.test_jobs import is_problem
from tests.support.consoles import ADMIN, Running
from tests.support.waiting import until


@pytest.fixture
def own(http: httpx.Client) -> str:
    """The id of the only agent."""
    [agent] = http.get("/v1/agents").json()["agents"]
    return str(agent["id"])


@pytest.fixture(autouse=True)
def _it_goes_on_afterwards(console: Running) -> Iterator[None]:
    yield
    fleet = console.console.engine.fleet
    fleet.command(fleet.agents()[0].id, "resume")


def test_a_console_alone_is_a_fleet_of_one(http: httpx.Client, own: str) -> None:
    answer = http.get("/v1/agents").json()
    assert answer["fleet"] == "main"
    agent = http.get(f"/v1/agents/{own}").json()
    assert (agent["presence"], agent["paused"], agent["link"]) == ("online", False, "standalone")
    assert agent["started_at"].endswith("Z") and agent["concurrency"] > 0 and agent["current"] == []
    is_problem(http.get("/v1/agents/nobody"), 404)


def test_it_is_told_to_pause_drain_scale_and_resume(http: httpx.Client, own: str) -> None:
    def told(command: str, **body: int) -> dict[str, object]:
        answer = http.post(f"/v1/agents/{own}/{command}", json=body or None)
        assert answer.status_code == 200, answer.text
        assert answer.json()["delivered"] == 1
        agent: dict[str, object] = http.get(f"/v1/agents/{own}").json()
        return agent

    assert told("pause")["paused"]
    assert told("drain")["presence"] == "draining"
    before = http.get(f"/v1/agents/{own}").json()["concurrency"]
    assert told("scale", concurrency=3)["concurrency"] == 3
    assert told("scale", concurrency=before)["concurrency"] == before
    assert (told("resume")["paused"], told("resume")["presence"]) == (False, "online")
    assert http.post(f"/v1/agents/{own}/ping").json()["latency"] is not None


def test_a_paused_agent_starts_no_job_and_goes_on_when_resumed(http: httpx.Client, own: str) -> None:
    http.post(f"/v1/agents/{own}/pause")
    id_ = http.post("/v1/jobs", json={"task": "echo"}).json()["id"]
    assert http.get(f"/v1/jobs/{id_}").json()["state"] == "available"
    http.post(f"/v1/agents/{own}/resume")
    until(lambda: http.get(f"/v1/jobs/{id_}").json()["state"] == "completed", what="it ran")


def test_messages_reach_it_and_are_counted(console: Running, http: httpx.Client, own: str) -> None:
    heard = []
    stop = console.console.engine.fleet.subscribe(heard.append)
    body = {"text": "shift ends", "priority": 2, "data": {"hour": 22}}
    assert http.post(f"/v1/agents/{own}/notify", json=body).json()["delivered"] == 1
    assert http.post("/v1/agents/broadcast", json={"text": "all"}).json()["delivered"] == 1
    assert http.post("/v1/agents/broadcast", json={"text": "able", "capability": "gpu"}).json()["delivered"] == 0
    stop()
    assert [(notice.text, notice.priority, notice.data) for notice in heard] == [
        ("shift ends", 2, {"hour": 22}),
        ("all", 5, {}),
    ]
    metrics = http.get("/metrics").text
    assert 'fleet_agents_online{fleet="main"} 1.0' in metrics
    assert "fleet_notifications_sent_total 2.0" in metrics


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("notify", {"text": ""}, "text"),
        ("notify", {"text": "x", "priority": 11}, "priority"),
        ("notify", {"text": "x", "ttl": 0}, "ttl"),
        ("notify", {"text": "x", "data": {"ttl": 1}}, "data.ttl"),
        ("notify", {"text": "x", "extra": 1}, "extra"),
        ("scale", {"concurrency": 0}, "concurrency"),
        ("scale", {"concurrency": 257}, "concurrency"),
        ("scale", {}, "concurrency"),
    ],
)
def test_what_is_wrong_is_named(http: httpx.Client, own: str, path: str, body: dict[str, object], field: str) -> None:
    answer = http.post(f"/v1/agents/{own}/{path}", json=body)
    is_problem(answer, 422, field)


def test_who_is_there_cannot_be_forgotten(http: httpx.Client, own: str) -> None:
    is_problem(http.delete(f"/v1/agents/{own}"), 409)
    is_problem(http.delete("/v1/agents/nobody"), 404)


def test_roles_and_tenants_are_kept_apart(console: Running, own: str) -> None:
    made = console.console.access.tokens.create
    with console.http(made("looks", "viewer", None)) as viewer:
        assert viewer.get("/v1/agents").status_code == 200
        is_problem(viewer.post(f"/v1/agents/{own}/pause"), 403)
    with console.http(made("works", "operator", None)) as operator:
        assert operator.post(f"/v1/agents/{own}/ping").status_code == 200
        is_problem(operator.post(f"/v1/agents/{own}/stop"), 403)
        is_problem(operator.post(f"/v1/agents/{own}/scale", json={"concurrency": 2}), 403)
    with console.http(made("rents", "admin", "acme")) as tenant:
        is_problem(tenant.get("/v1/agents"), 403)


def test_what_was_done_is_in_the_audit(console: Running, http: httpx.Client, own: str) -> None:
    http.post(f"/v1/agents/{own}/pause")
    http.post("/v1/agents/broadcast", json={"text": "hello"})
    [paused, *_] = audit.page(console.database, action="agent.pause")
    [sent, *_] = audit.page(console.database, action="agent.broadcast")
    assert (paused.actor, paused.target) == ("admin (api)", own)
    assert sent.target == "main"


def test_the_command_line_says_the_same(
    console: Running, own: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*argv: str) -> tuple[int, str]:
        code = command_line(["agents", *argv, "--url", console.url], lambda settings: 3)
        return code, capsys.readouterr().out

    monkeypatch.setenv("HOLDFAST_TOKEN", ADMIN)
    assert own in run("list")[1]
    assert json.loads(run("list", "--json")[1])["agents"][0]["id"] == own
    assert "presence" in run("show", own)[1]
    assert run("pause", own) == (0, f"{own} was told to pause: 1 there\n")
    assert "paused" in run("list")[1]
    assert run("resume", own)[0] == 0
    assert "answered in" in run("ping", own)[1]
    assert run("broadcast", "hello") == (0, "sent: 1 there\n")
    assert run("broadcast", "hello", "--capability", "gpu") == (0, "sent: nobody is there\n")
    assert run("notify", own, "hello", "--priority", "1")[0] == 0
    assert run("pause", "nobody")[0] == 1
    assert run("forget", own)[0] == 1
