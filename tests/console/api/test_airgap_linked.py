"""``/v1/airgap`` of a node with a Redis: cutting and releasing, proofs, conflicts, jobs of an agent that is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from console.cli.main import main
from data import audit
from engine.kernel.clock import SystemClock
from engine.kernel.events import ConflictFound
from engine.storage.base import Want
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore
from tests.console.api import works
from tests.console.api.test_jobs import is_problem
from tests.support.consoles import ADMIN, Running, running
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until


@pytest.fixture(scope="module")
def host() -> Iterator[RedisHost]:
    with redis_host() as made:
        yield made


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, host: RedisHost) -> Iterator[Running]:
    held = {"payments": {"reclaim": "hold"}}
    with running(tmp_path_factory.mktemp("home"), [works.__name__], redis=host.url, queues=held) as made:
        with made.http() as http:
            reaches(http, "connected")
        yield made
        works.gate.set()


def reaches(http: httpx.Client, state: str) -> dict[str, object]:
    def look() -> dict[str, object] | None:
        told = http.get("/v1/airgap").json()
        return told if told["state"] == state else None

    return until(look, 60, state)


def conflict(console: Running, job: str, kind: str = "result", later: object = "the later", **other: str) -> str:
    """A conflict about a job, as a resync finds one, once it is in history."""
    body = msgspec.json.encode(later)
    id = f"n:ends:{hashlib.sha256(job.encode() + kind.encode() + body).hexdigest()[:8]}"
    hashes = {"first": "ab" * 32, "later": hashlib.sha256(body).hexdigest()} | other
    console.engine.store.record([ConflictFound(1.0, id, job, "default", kind, "n", **hashes, body=body)])
    console.recorded()
    return id


def test_a_link_that_is_forced_stays_cut_until_it_is_released_and_then_proves_itself(console: Running) -> None:
    with console.http() as http:
        told = http.get("/v1/airgap").json()
        assert (told["mode"], told["forced"]) == ("automatic", False)
        assert told["address"].startswith("redis://127.0.0.1:") and told["latency"] > 0 and told["probed_at"]
        forced = http.post("/v1/airgap/force", json={"reason": "cable work"}).json()
        assert (forced["state"], forced["reason"], forced["forced"]) == ("airgapped", "cable work", True)
        is_problem(http.post("/v1/airgap/sync"), 409)
        job = http.post("/v1/jobs", json={"task": "echo", "args": {"text": "alone"}}).json()
        assert console.ended(job["id"])["result"]["text"] == "alone"
        assert http.get("/v1/airgap").json()["unsynced_events"] > 0
        assert "\nairgap_state 2.0" in http.get("/metrics").text
        assert http.post("/v1/airgap/release").status_code == 200
        told = reaches(http, "connected")
        until(lambda: http.get("/v1/airgap").json()["unsynced_events"] == 0, 60, "all is sent")
        text = until(lambda: (text := http.get("/metrics").text) and "\nairgap_state 1.0" in text and text)
        assert "\nairgap_synced_total 0.0" not in text
        assert http.post("/v1/airgap/sync").status_code == 200
    told_by = {row.action: (row.actor, row.target) for row in audit.page(console.database, search="airgap")}
    assert told_by["airgap.force"] == told_by["airgap.release"] == ("admin (api)", "link")


def test_every_change_and_every_proof_is_in_history(console: Running) -> None:
    with console.http() as http:
        before = len(http.get("/v1/airgap/proofs").json()["proofs"])
        http.post("/v1/airgap/force", json={"reason": "once more"})
        http.post("/v1/airgap/release")

        def since() -> list[dict[str, object]] | None:
            """The changes from the cut on, oldest first, once the last of them is that all is well."""
            rows = http.get("/v1/airgap/history", params={"limit": 50}).json()["changes"]
            cut = next((n for n, row in enumerate(rows) if row["reason"] == "once more"), -1)
            return rows[cut::-1] if cut > 0 and rows[0]["state"] == "connected" else None

        cut, released, recovering, *_ = until(since, 60, "history has the changes")
        assert (cut["state"], cut["forced"], cut["by"]) == ("airgapped", True, "admin")
        assert (released["state"], released["forced"], recovering["state"]) == ("airgapped", False, "recovering")
        newest = http.get("/v1/airgap/history", params={"limit": 4}).json()
        assert str(cut["at"]).endswith("Z") and len(newest["changes"]) == 4 and newest["next_cursor"]
        older = http.get("/v1/airgap/history", params={"cursor": newest["next_cursor"]}).json()["changes"]
        assert older and older[0] not in newest["changes"]

        def proved() -> list[dict[str, Any]] | None:
            found = http.get("/v1/airgap/proofs").json()["proofs"]
            return found if len(found) > before >= 1 else None

        proofs = until(proved, 60, "history has the proof")
        assert all(proof["equal"] for proof in proofs)
        (lane,) = [lane for lane in proofs[0]["lanes"] if (lane["queue"], lane["lane"]) == ("default", "jobs")]
        assert lane["equal"] and lane["here"] == lane["there"] and len(lane["here"]["chain"]) == 64


def test_a_later_result_can_be_taken_once(console: Running) -> None:
    with console.http() as http:
        job = http.post("/v1/jobs", json={"task": "echo", "args": {"text": "first"}}).json()["id"]
        console.ended(job)
        id = conflict(console, job, later={"text": "later", "number": 1})
        assert http.get("/v1/airgap").json()["conflicts"] >= 1
        (row,) = [row for row in http.get("/v1/airgap/conflicts?open=true").json()["conflicts"] if row["id"] == id]
        assert (row["job"], row["kind"], row["open"]) == (job, "result", True)
        assert (row["body"], row["result"]["text"]) == ({"text": "later", "number": 1}, "first")
        answer = http.post(f"/v1/airgap/conflicts/{id}/resolve", json={"choice": "take"})
        assert answer.json() == {"id": id, "choice": "take"}
        assert console.engine.job(job).result(timeout=60) == {"text": "later", "number": 1}
        console.recorded()
        assert http.get(f"/v1/jobs/{job}").json()["result"] == {"text": "later", "number": 1}
        is_problem(http.post(f"/v1/airgap/conflicts/{id}/resolve", json={"choice": "keep"}), 409)
        (row,) = [row for row in http.get("/v1/airgap/conflicts").json()["conflicts"] if row["id"] == id]
        assert (row["open"], row["choice"], row["by"]) == (False, "take", "admin")
        assert id not in http.get("/v1/airgap/conflicts?open=true").text


def test_what_cannot_be_taken_is_refused_and_can_be_kept(console: Running) -> None:
    with console.http() as http:
        job = http.post("/v1/jobs", json={"task": "echo"}).json()["id"]
        console.ended(job)
        ids = {
            conflict(console, job, kind="request", later="x"): "keep what stands",
            conflict(console, job, later={"state": "dead", "type": "E", "message": "m"}): "is no result",
            conflict(console, job, later={"password": "hunter2"}): "masked or cut",
        }
        assert "hunter2" not in http.get("/v1/airgap/conflicts").text
        for id, words in ids.items():
            answer = http.post(f"/v1/airgap/conflicts/{id}/resolve", json={"choice": "take"})
            is_problem(answer, 409)
            assert words in answer.json()["detail"]
            assert http.post(f"/v1/airgap/conflicts/{id}/resolve", json={"choice": "keep"}).status_code == 200
        is_problem(http.post("/v1/airgap/conflicts/none/resolve", json={"choice": "keep"}), 404)
        wrong = http.post(f"/v1/airgap/conflicts/{id}/resolve", json={"choice": "drop"})
        is_problem(wrong, 422)
        assert wrong.json()["field"] == "choice"


def test_jobs_of_an_agent_that_is_gone_are_taken_back_by_hand(console: Running, host: RedisHost) -> None:
    with console.http() as http:
        clock = SystemClock()
        gone = RedisStore(Client(target_of(host.url), clock), clock, agent="gone-1")
        gone.open()
        wish = {"task": "echo", "queue": "payments", "capabilities": ["till"]}  # which the console's engine has not
        reaches(http, "connected")
        job = http.post("/v1/jobs", json=wish).json()["id"]
        want = Want({"payments": 1}, "gone-1", 1, frozenset({"till"}))
        claim = until(lambda: gone.claim(want), 60, "another agent takes it")
        assert [taken.id for taken in claim.jobs] == [job]
        gone.close()
        present = http.get("/v1/agents").json()["agents"][0]["id"]
        is_problem(http.post("/v1/airgap/take-back", json={"agent": present}), 409)
        assert http.post("/v1/airgap/take-back", json={"agent": "gone-1"}).json() == {"agent": "gone-1", "jobs": 1}
        assert console.engine.job(job).state == "available"
        http.post(f"/v1/jobs/{job}/cancel")
    (row,) = audit.page(console.database, action="airgap.take_back")
    assert row.target == "gone-1" and '"jobs": 1' in row.detail


def test_only_admins_decide(console: Running) -> None:
    token = console.console.access.tokens.create("otto", "operator")
    with console.http(token) as http:
        for path, body in (("conflicts/x/resolve", {"choice": "keep"}), ("take-back", {"agent": "x"}), ("force", {})):
            is_problem(http.post(f"/v1/airgap/{path}", json=body), 403)
        for path in ("conflicts", "history", "proofs"):
            assert http.get(f"/v1/airgap/{path}").status_code == 200


@pytest.mark.parametrize("path", ["conflicts", "history", "proofs"])
def test_a_wrong_cursor_names_its_field(console: Running, path: str) -> None:
    with console.http() as http:
        answer = http.get(f"/v1/airgap/{path}", params={"cursor": "nonsense"})
        is_problem(answer, 422)
        assert answer.json()["field"] == "cursor"


def test_the_command_line_tells_and_does_the_same(console: Running, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*typed: str) -> tuple[int, str]:
        code = main(["airgap", typed[0], "--url", console.url, "--token", ADMIN, *typed[1:]], lambda settings: 9)
        told = capsys.readouterr()
        return code, told.out + told.err

    code, told = run("force", "--reason", "a cable \x1b[31mred")
    assert code == 0 and "airgapped by hand since" in told and "a cable  [31mred" in told
    assert run("sync") == (1, "holdfast: the link is kept airgapped by hand; release it first: airgap release\n")
    assert run("release")[0] == 0
    with console.http() as http:
        reaches(http, "connected")
        id = conflict(console, "some-job", later="of the command line")
    code, told = run("status")
    assert code == 0 and "both sides agree" in told and "EQUAL" in told and "failover automatic" in told
    assert id in run("conflicts")[1]
    assert run("resolve", id, "keep") == (0, f"{id}: what stands is kept\n")
    console.recorded()
    assert id not in run("conflicts")[1] and id in run("conflicts", "--all")[1]

    def newest() -> dict[str, object]:
        found: dict[str, object] = json.loads(run("history", "--limit", "1", "--json")[1])["changes"][0]
        return found

    until(lambda: newest()["state"] == "connected", what="history has the last change")
    assert "more: --cursor" in run("history", "--limit", "1")[1] and "equal" in run("proofs")[1]
    assert run("take-back", "nobody") == (0, "0 taken back from nobody\n")
    assert run("resolve", "none", "take")[0] == 1
