from __future__ import annotations

from typing import Any

import pytest

from engine.kernel.job import TERMINAL, JobState, JobView
from engine.queue.waiting import Surroundings, lacking_of, why_waiting

NOW = 1_700_000_000.0


def job(state: JobState = JobState.AVAILABLE, **facts: Any) -> JobView:
    return JobView(
        "id", "emails", "t.send", state, 5, "", NOW, facts.pop("run_at", 0.0), 0.0, 3, 0.0, 0, 0, b"", **facts
    )


@pytest.mark.parametrize(
    ("state", "around", "reason"),
    [
        (JobState.PENDING, {}, "dependency"),
        (JobState.PENDING, {"task_known": False, "paused": True}, "dependency"),
        (JobState.AVAILABLE, {"task_known": False}, "no-such-task"),
        (JobState.SCHEDULED, {"task_known": False}, "no-such-task"),
        (JobState.RETRYABLE, {}, "backoff"),
        (JobState.SCHEDULED, {"paused": True}, "scheduled"),
        (JobState.AVAILABLE, {"paused": True, "working": False}, "paused"),
        (JobState.AVAILABLE, {"working": False}, "no-worker"),
        (JobState.AVAILABLE, {"agents_paused": True}, "agents-paused"),
        (JobState.AVAILABLE, {"lacking": "gpu", "busy": 8, "slots": 8}, "capability"),
        (JobState.AVAILABLE, {"running": 2, "concurrency": 2, "slots": 8}, "concurrency"),
        (JobState.AVAILABLE, {"running": 1, "concurrency": 2, "slots": 8, "rate_limited": "5/m"}, "rate"),
        (JobState.AVAILABLE, {"busy": 8, "slots": 8}, "busy"),
        (JobState.AVAILABLE, {"busy": 7, "slots": 8}, "next"),
    ],
)
def test_each_waiting_job_has_one_reason_and_a_mend(state: JobState, around: dict[str, Any], reason: str) -> None:
    why = why_waiting(job(state, run_at=NOW + 5), Surroundings(now=NOW, **around))
    assert why is not None and why.reason == reason
    assert why.text.endswith(".") and why.mend.endswith(".")


@pytest.mark.parametrize("state", sorted({JobState.RUNNING, *TERMINAL}))
def test_a_job_that_does_not_wait_has_none(state: JobState) -> None:
    assert why_waiting(job(state), Surroundings(now=NOW, paused=True)) is None


def test_of_what_a_job_needs_that_is_named_which_the_best_fitting_agent_lacks() -> None:
    offers = [frozenset({"gpu"}), frozenset({"gpu", "ocr"}), frozenset[str]()]
    assert lacking_of("", []) == lacking_of("", offers) == lacking_of("gpu,ocr", offers) == ""
    assert lacking_of("gpu,ocr,tpu", offers) == "tpu"
    assert lacking_of("gpu,ocr", []) == "gpu, ocr"


def test_the_sentence_names_what_matters() -> None:
    scheduled = why_waiting(job(JobState.SCHEDULED, run_at=NOW, reason="the kiln is cold"), Surroundings(now=NOW))
    assert scheduled is not None and scheduled.text == "It starts at 2023-11-14T22:13:20.000Z (the kiln is cold)."
    gone = why_waiting(job(), Surroundings(now=NOW, task_known=False))
    assert gone is not None and "'t.send'" in gone.text and "--tasks" in gone.mend
    full = why_waiting(job(), Surroundings(now=NOW, running=3, concurrency=3, slots=8))
    assert full is not None and full.text.startswith("3 of 3 jobs that the queue emails allows")
