"""Jobs over the REST API: made, read, found, moved, and refused with words."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.console.api import works
from tests.support.consoles import Running
from tests.support.waiting import until


def make(http: httpx.Client, task: str = "echo", **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/jobs", json={"task": task, **body})
    assert answer.status_code == 202, answer.text
    return answer.json()


def is_problem(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status and document["title"]
    assert "Traceback" not in answer.text
    if field is not None:
        assert document["field"] == field, document
    return document


def test_a_job_is_accepted_runs_and_is_read_with_all_that_the_contract_names(
    console: Running, http: httpx.Client
) -> None:
    made = make(http, args={"text": "hello", "number": 3}, priority="high", correlation_id="c-1", metadata={"a": [1]})
    assert made["new"] is True and made["state"] in ("available", "running", "completed")
    assert console.ended(made["id"])["state"] == "completed"
    console.recorded()
    job = http.get(f"/v1/jobs/{made['id']}").json()
    assert job["state"] == "completed" and job["result"] == {"text": "hello", "number": 3}
    assert job["task"] == "echo" and job["queue"] == "default" and job["priority"] == "high"
    assert job["args"] == {"text": "hello", "number": 3} and job["metadata"] == {"a": [1]}
    assert job["correlation_id"] == "c-1" and job["error"] is None and job["why_waiting"] is None
    assert job["created_at"].endswith("Z") and job["finished_at"].endswith("Z")
    attempt = job["attempts"][0]
    assert attempt["number"] == 1 and attempt["state"] == "completed" and attempt["rescued"] is False
    assert attempt["agent"] == console.engine.agent
    named = {
        "id",
        "run_at",
        "started_at",
        "progress",
        "max_attempts",
        "timeout",
        "workflow",
        "tenant",
        "idempotency_key",
    }
    assert named <= job.keys()


def test_a_job_is_never_missing_nor_goes_back_while_history_follows(console: Running, http: httpx.Client) -> None:
    order = ["available", "running", "completed"]
    for number in range(30):
        id = make(http, args={"number": number})["id"]
        seen: list[str] = []
        while not seen or seen[-1] != "completed":
            answer = http.get(f"/v1/jobs/{id}")
            assert answer.status_code == 200
            seen.append(answer.json()["state"])
        assert seen == sorted(seen, key=order.index)
        console.recorded()
        assert http.get(f"/v1/jobs/{id}").json()["args"] == {"number": number}


def test_the_same_idempotency_key_again_gives_the_first_job(console: Running, http: httpx.Client) -> None:
    body = {"task": "echo", "args": {"text": "once"}, "idempotency_key": "pay-1"}
    first = http.post("/v1/jobs", json=body)
    console.ended(first.json()["id"])
    again = http.post("/v1/jobs", json=body)
    assert first.status_code == 202 and again.status_code == 200
    assert again.json()["id"] == first.json()["id"] and again.json()["new"] is False
    console.recorded()
    assert http.get(f"/v1/jobs/{first.json()['id']}").json()["idempotency_key"] == "pay-1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"args": {}}, "task"),
        ({"task": "echo", "args": {"number": "three"}}, "args.number"),
        ({"task": "echo", "args": {"nobody": 1}}, "args.nobody"),
        ({"task": "echo", "args": [1]}, "args"),
        ({"task": "no.such.task"}, "task"),
        ({"task": 7}, "task"),
        ({"task": "echo", "priority": "urgent"}, "priority"),
        ({"task": "echo", "priority": 11}, "priority"),
        ({"task": "echo", "queue": "no good name"}, "queue"),
        ({"task": "echo", "tenant": "a b"}, "tenant"),
        ({"task": "echo", "delay": -1}, "delay"),
        ({"task": "echo", "delay": "soon"}, "delay"),
        ({"task": "echo", "delay": 1, "run_at": "2030-01-01T00:00:00Z"}, "run_at"),
        ({"task": "echo", "run_at": "tomorrow"}, "run_at"),
        ({"task": "echo", "run_at": "2030-01-01T00:00:00"}, "run_at"),
        ({"task": "echo", "max_attempts": 0}, "max_attempts"),
        ({"task": "echo", "timeout": -3}, "timeout"),
        ({"task": "echo", "colour": "red"}, "colour"),
        ({"task": "echo", "metadata": "text"}, "metadata"),
        ({"task": "echo", "args": {"number": 10**30}}, "args.number"),
    ],
)
def test_a_wrong_job_is_refused_with_the_name_of_the_field(
    http: httpx.Client, body: dict[str, Any], field: str
) -> None:
    document = is_problem(http.post("/v1/jobs", json=body), 422, field)
    assert document["detail"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'{"task": "echo", "args": {"number": NaN}}', b'{"task": "echo", "args": {"number": 1e999}}',
     b'{"task": "echo"} more', b"\xff\xfe", b'{"task": "\xed\xa0\x80"}', b"[" * 50_000,
     b'{"task":"echo","args":{"text":"\\ud800"}}'],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(http: httpx.Client, raw: bytes) -> None:
    is_problem(http.post("/v1/jobs", content=raw), 422)


def test_deep_nesting_is_refused_at_the_edge(http: httpx.Client) -> None:
    deep: Any = "bottom"
    for _ in range(40):
        deep = [deep]
    is_problem(http.post("/v1/jobs", json={"task": "echo", "args": {}, "metadata": {"deep": deep}}), 422)
    just: Any = "bottom"
    for _ in range(20):
        just = [just]
    make(http, metadata={"deep": just})


def test_a_payload_over_the_limit_is_refused_before_it_is_read(http: httpx.Client) -> None:
    is_problem(http.post("/v1/jobs", json={"task": "echo", "args": {"text": "x" * 2_000_000}}), 413)
    is_problem(http.post("/v1/jobs", json={"task": "echo", "args": {"text": "x" * 1_050_000}}), 422)

    def chunks() -> Any:
        for _ in range(40):
            yield b"x" * 100_000

    is_problem(http.post("/v1/jobs", content=chunks()), 413)


def test_bulk_answers_for_each_job_in_order_and_one_wrong_one_stops_no_other(
    console: Running, http: httpx.Client
) -> None:
    jobs: list[Any] = [{"task": "echo", "args": {"number": n}} for n in range(50)]
    jobs[7] = {"task": "echo", "args": {"number": "seven"}}
    jobs[9] = "no job at all"
    jobs[11] = {"task": "unknown.task"}
    answer = http.post("/v1/jobs/bulk", json={"jobs": jobs})
    assert answer.status_code == 202
    lines = answer.json()["jobs"]
    assert len(lines) == 50
    assert [n for n, line in enumerate(lines) if "problem" in line] == [7, 9, 11]
    assert lines[7]["problem"]["field"] == "args.number" and lines[11]["problem"]["status"] == 422
    assert console.ended(lines[49]["id"])["result"]["number"] == 49


def test_bulk_takes_ten_thousand_jobs_and_not_one_more(http: httpx.Client) -> None:
    job = {"task": "echo"}
    answer = http.post("/v1/jobs/bulk", json={"jobs": [job] * 10_000}, timeout=300)
    assert answer.status_code == 202 and len(answer.json()["jobs"]) == 10_000
    is_problem(http.post("/v1/jobs/bulk", json={"jobs": [job] * 10_001}), 422, "jobs")


def test_lists_are_filtered_and_paged_without_gap_or_double(console: Running, http: httpx.Client) -> None:
    made = [make(http, "echo", queue="paging", args={"number": n})["id"] for n in range(25)]
    for id in made:
        console.ended(id)
    console.recorded()
    found: list[str] = []
    cursor = None
    while True:
        query = {"queue": "paging", "limit": 10} | ({"cursor": cursor} if cursor else {})
        page = http.get("/v1/jobs", params=query).json()
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == made[::-1]
    assert http.get("/v1/jobs", params={"queue": "paging", "state": "dead"}).json()["jobs"] == []
    line = http.get("/v1/jobs", params={"q": "queue:paging state:completed", "limit": 1}).json()["jobs"][0]
    assert line["state"] == "completed" and line["task"] == "echo"


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": 0}, "limit"), ({"limit": "many"}, "limit"), ({"cursor": "garbage"}, None), ({"q": "colour:red"}, None),
     ({"state": "sleeping"}, None), ({"since": "soonish"}, None)],
)  # fmt: skip
def test_a_wrong_question_names_what_is_wrong(http: httpx.Client, query: dict[str, Any], field: str | None) -> None:
    assert is_problem(http.get("/v1/jobs", params=query), 422, field)["detail"]


def test_a_failed_job_tells_its_error_and_can_be_sent_back(console: Running, http: httpx.Client) -> None:
    id = make(http, "fail", args={"message": "no paper"})["id"]
    job = console.ended(id)
    assert job["state"] == "dead" and job["error"]["type"] == "RuntimeError" and job["error"]["message"] == "no paper"
    assert job["error"]["fingerprint"] and "RuntimeError" in job["error"]["traceback"]
    answer = http.post(f"/v1/jobs/{id}/retry")
    assert answer.status_code == 200
    console.ended(id)
    console.recorded()
    assert [attempt["number"] for attempt in http.get(f"/v1/jobs/{id}").json()["attempts"]] == [1, 2]


def test_a_completed_job_cannot_be_retried_nor_cancelled(console: Running, http: httpx.Client) -> None:
    id = make(http)["id"]
    console.ended(id)
    is_problem(http.post(f"/v1/jobs/{id}/retry"), 409)
    is_problem(http.post(f"/v1/jobs/{id}/cancel"), 409)


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_unknown_job_is_not_found(http: httpx.Client, path: str) -> None:
    is_problem(http.get(f"/v1/jobs/01990000-0000-7000-8000-000000000000{path}"), 404)
    is_problem(http.get(f"/v1/jobs/..%2f..%2fetc{path}"), 404)


@pytest.mark.parametrize(("method", "path"), [("POST", "/retry"), ("POST", "/cancel"), ("DELETE", "")])
def test_an_unknown_job_cannot_be_moved(http: httpx.Client, method: str, path: str) -> None:
    is_problem(http.request(method, f"/v1/jobs/nobody{path}"), 404)


def test_a_waiting_job_says_why_and_is_cancelled_for_good(http: httpx.Client) -> None:
    id = make(http, delay=3600)["id"]
    job = http.get(f"/v1/jobs/{id}").json()
    assert job["state"] == "scheduled" and job["why_waiting"]["reason"] == "scheduled" and job["why_waiting"]["mend"]
    assert job["run_at"] > job["created_at"]
    assert http.post(f"/v1/jobs/{id}/cancel").json()["state"] == "cancelled"
    is_problem(http.post(f"/v1/jobs/{id}/cancel"), 409)


def test_a_running_job_is_asked_to_stop_and_cannot_be_deleted(console: Running, http: httpx.Client) -> None:
    id = make(http, "hold")["id"]
    until(lambda: http.get(f"/v1/jobs/{id}").json()["progress"], what="progress is told")
    job = http.get(f"/v1/jobs/{id}").json()
    assert job["state"] == "running" and job["progress"] == {"value": 0.5, "message": "half way"}
    assert job["attempts"][0]["state"] == "running"
    is_problem(http.delete(f"/v1/jobs/{id}"), 409)
    http.post(f"/v1/jobs/{id}/cancel").raise_for_status()
    assert console.ended(id)["state"] == "cancelled"


def test_a_deleted_job_is_gone_at_once_and_stays_gone(console: Running, http: httpx.Client) -> None:
    id = make(http, "fail")["id"]
    console.ended(id)
    assert http.delete(f"/v1/jobs/{id}").status_code == 204
    is_problem(http.get(f"/v1/jobs/{id}"), 404)
    console.recorded()
    is_problem(http.get(f"/v1/jobs/{id}"), 404)
    is_problem(http.delete(f"/v1/jobs/{id}"), 404)


def test_an_action_on_all_that_match_says_how_many_it_moved(console: Running, http: httpx.Client) -> None:
    made = [make(http, "fail", queue="broken", args={"message": "same"})["id"] for _ in range(12)]
    for id in made:
        console.ended(id)
    console.recorded()
    answer = http.post("/v1/jobs/actions", json={"action": "retry", "filter": "queue:broken state:dead"})
    assert answer.json() == {"matched": 12, "done": 12, "unchanged": 0}
    for id in made:
        console.ended(id)
    console.recorded()
    gone = http.post("/v1/jobs/actions", json={"action": "delete", "filter": {"queue": "broken", "state": "dead"}})
    assert gone.json() == {"matched": 12, "done": 12, "unchanged": 0}
    assert http.post("/v1/jobs/actions", json={"action": "retry", "filter": "queue:broken"}).json()["matched"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [({"action": "burn", "filter": ""}, "action"), ({"action": "retry"}, "filter"), ({"action": "retry", "filter": 5}, "filter"),
     ({"action": "retry", "filter": "colour:red"}, None), ({"action": "retry", "filter": {"colour": "red"}}, None),
     ({"action": "retry", "filter": "", "over": -1}, "over")],
)  # fmt: skip
def test_a_wrong_action_is_refused(http: httpx.Client, body: dict[str, Any], field: str | None) -> None:
    is_problem(http.post("/v1/jobs/actions", json=body), 422, field)


def test_events_tell_a_job_until_it_ends(console: Running, http: httpx.Client) -> None:
    id = make(http, "hold")["id"]
    heard: list[tuple[str, Any]] = []
    with http.stream("GET", f"/v1/jobs/{id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                heard.append((kind, json.loads(line[6:])))
                works.gate.set()
    kinds = [kind for kind, _ in heard]
    assert kinds[0] == "job" and kinds[-1] == "end" and heard[-1][1] == {"state": "completed"}
    assert [job["state"] for kind, job in heard if kind == "job"][-1] == "completed"


def test_events_of_an_ended_job_end_at_once(console: Running, http: httpx.Client) -> None:
    id = make(http)["id"]
    console.ended(id)
    text = http.get(f"/v1/jobs/{id}/events").text
    assert text.startswith("event: job\n") and "event: end\n" in text


def test_secrets_are_masked_the_same_in_the_live_job_and_in_history(console: Running, http: httpx.Client) -> None:
    id = make(http, "keep_secret", args={"password": "hunter2-hunter2", "note": "plain"}, delay=3600)["id"]
    live = http.get(f"/v1/jobs/{id}").text
    assert "hunter2" not in live and "plain" in live
    console.recorded()
    assert "hunter2" not in http.get(f"/v1/jobs/{id}").text
    http.post(f"/v1/jobs/{id}/cancel")


def test_errors_of_the_web_itself_are_problems_too(http: httpx.Client) -> None:
    is_problem(http.get("/v1/nothing"), 404)
    is_problem(http.put("/v1/jobs", json={}), 405)
    is_problem(http.get("/v1/stats/jobs", params={"step": "x"}), 422, "step")


def test_a_hostile_name_is_data_and_nothing_else(console: Running, http: httpx.Client) -> None:
    text = "<img src=x onerror=alert(1)>{{7*7}}\u202e'; DROP TABLE jobs;--\x00"
    id = make(http, args={"text": text}, correlation_id="<script>")["id"]
    assert console.ended(id)["result"]["text"] == text
    console.recorded()
    job = http.get(f"/v1/jobs/{id}").json()
    assert job["args"]["text"] == text and job["correlation_id"] == "<script>"
