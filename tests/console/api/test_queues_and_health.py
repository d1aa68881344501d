"""Queues, statistics, health and metrics over the API."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import httpx
import pytest

from tests.console.api import works
from tests.console.api.test_jobs import is_problem, make
from tests.support.consoles import Running, running
from tests.support.waiting import until


def test_a_paused_queue_starts_nothing_says_why_and_goes_on_when_resumed(console: Running, http: httpx.Client) -> None:
    assert http.post("/v1/queues/reports/pause").json()["paused"] is True
    id = make(http, queue="reports")["id"]
    job = http.get(f"/v1/jobs/{id}").json()
    assert job["state"] == "available" and job["why_waiting"]["reason"] == "paused"
    queue = http.get("/v1/queues/reports").json()
    assert queue["paused"] is True and queue["counts"]["available"] == 1
    assert http.get("/queue/health").json()["paused"] == ["reports"]
    assert http.post("/v1/queues/reports/resume").json()["paused"] is False
    assert console.ended(id)["state"] == "completed"


def test_limits_of_a_queue_are_changed_and_wrong_ones_refused(http: httpx.Client) -> None:
    changed = http.patch("/v1/queues/emails", json={"concurrency": 3, "rate_limit": "50/m"})
    assert changed.status_code == 200
    assert (changed.json()["concurrency"], changed.json()["rate_limit"]) == (3, "50/m")
    for body in ({"concurrency": 0}, {"concurrency": "three"}, {"rate_limit": "fast"}, {"priority": 99}, {"colour": 1}):
        is_problem(http.patch("/v1/queues/emails", json=body), 422)
    assert http.get("/v1/queues/emails").json()["concurrency"] == 3


@pytest.mark.parametrize("call", [("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("PATCH", "")])
def test_an_unknown_queue_is_not_found_and_not_made(http: httpx.Client, call: tuple[str, str]) -> None:
    answer = http.request(call[0], f"/v1/queues/nobody{call[1]}", json={} if call[0] == "PATCH" else None)
    is_problem(answer, 404)
    assert all(queue["name"] != "nobody" for queue in http.get("/v1/queues").json()["queues"])


def test_statistics_come_as_json_or_as_a_table(console: Running, http: httpx.Client) -> None:
    console.ended(make(http, "fail", args={"message": "=cmd()"})["id"])
    console.ended(make(http)["id"])
    console.recorded()
    told = http.get("/v1/stats/jobs", params={"since": "15m"}).json()
    assert told["totals"]["completed"] >= 1 and told["totals"]["failed"] >= 1 and len(told["buckets"]) >= 1
    table = http.get("/v1/stats/jobs", params={"since": "15m"}, headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert sum(int(row["completed"]) for row in rows) == told["totals"]["completed"]
    assert "default" in [row["queue"] for row in http.get("/v1/stats/queues").json()["queues"]]
    failures = http.get("/v1/stats/failures", headers={"Accept": "text/csv"}).text
    assert "RuntimeError" in failures and "\n=cmd" not in failures and ",=cmd" not in failures


@pytest.mark.parametrize("query", [{"since": "later"}, {"since": "900d"}, {"since": "1h", "until": "2h"}, {"step": 1}])
def test_statistics_of_an_impossible_span_are_refused(http: httpx.Client, query: dict[str, str]) -> None:
    is_problem(http.get("/v1/stats/jobs", params=query), 422)


def test_queue_health_counts_what_waits_runs_is_done_and_failed(console: Running, http: httpx.Client) -> None:
    idle = http.get("/queue/health").json()["stats"]["active"]
    id = make(http, "hold")["id"]
    until(lambda: http.get("/queue/health").json()["stats"]["active"] == idle + 1, what="the job is active")
    before = http.get("/queue/health").json()["stats"]["completed"]
    works.gate.set()
    console.ended(id)
    until(lambda: http.get("/queue/health").json()["stats"]["completed"] > before, what="it is counted")
    after = http.get("/queue/health").json()
    assert after["stats"]["completed"] == before + 1 and after["timestamp"].endswith("Z")


def test_metrics_carry_the_names_of_the_contract(console: Running, http: httpx.Client) -> None:
    for _ in range(3):
        console.ended(make(http, queue="metered")["id"])
    console.ended(make(http, "fail", queue="metered")["id"])
    named = (
        'queue_jobs_added_total{queue="metered"} 4.0',
        'queue_jobs_completed_total{queue="metered"} 3.0',
        'queue_jobs_failed_total{queue="metered"} 1.0',
        'queue_job_processing_duration_ms_count{queue="metered"} 4.0',
        'queue_job_processing_duration_ms_bucket{le="+Inf",queue="metered"} 4.0',
        'queue_depth{queue="metered",state="dead"} 1.0',
        "airgap_state 0.0",
        "airgap_local_jobs",
    )

    def lacking() -> list[str]:
        text = http.get("/metrics").text
        return [line for line in named if line not in text]

    until(lambda: not lacking(), what="the last of them is counted")


def test_a_console_that_runs_no_workers_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path) as console, console.http() as http:
        until(lambda: http.get("/readyz").status_code == 200, what="ready")
        console.database.close()
        assert http.get("/readyz").json()["checks"] == {"engine": "ok", "store": "ok", "database": "ok"}


def test_a_full_store_refuses_with_507_and_says_when_to_come_again(tmp_path: Path) -> None:
    with running(tmp_path, [works.__name__], store_limit=2**20) as console, console.http() as http:

        def fill() -> httpx.Response | None:
            answer = http.post(
                "/v1/jobs", json={"task": "echo", "delay": 3600, "args": {"text": "z" * 30_000 + str(id(object()))}}
            )
            return answer if answer.status_code != 202 else None

        refused = until(fill, 120, "the store is full")
        is_problem(refused, 507)
        assert int(refused.headers["retry-after"]) >= 1
        assert http.get("/v1/jobs").status_code == 200
