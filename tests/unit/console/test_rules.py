"""Pure rules of the console and of observing: attention, metrics, masks, limits of bodies, overlay."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import overlay
from console.actions.masked import unmask
from console.api.answers import _cell
from console.api.bodies import job_request
from data.masking import MASK
from data.rows import AttemptRow, JobDetail, JobRow
from engine.kernel import events as ev
from engine.kernel.errors import Conflict, ValidationError
from engine.kernel.job import Failure, JobState, JobView
from engine.observe.health import Figures, QueueFigures, needs_attention
from engine.observe.metrics import Metrics
from engine.queue.codec import encode


def view(state: JobState = JobState.AVAILABLE, **more: Any) -> JobView:
    known: dict[str, Any] = {
        "id": "j", "queue": "q", "task": "t", "state": state, "priority": 3, "tenant": "", "created_at": 1.0, "run_at": 0.0,
        "expires_at": 0.0, "max_attempts": 3, "timeout": 0.0, "attempt": 1, "crashes": 0, "payload": encode({"a": 1}),
    }  # fmt: skip
    return JobView(**(known | more))


def detail(state: str, *attempts: AttemptRow) -> JobDetail:
    row = JobRow(id="j", task="t", queue="q", tenant="", state=state, priority=3, created_at=1.0, attempt=len(attempts))
    raw = msgspec.Raw(b'{"a":1}')
    return JobDetail(row=row, args=raw, metadata=msgspec.Raw(b"{}"), result=None, error=None, attempts=attempts)


def test_a_quiet_house_needs_no_attention() -> None:
    assert needs_attention(Figures(queues=(QueueFigures("q", False, 5, 3.0),), store_used=1, store_limit=10)) == []
    assert needs_attention(Figures(queues=(QueueFigures("idle", True, 0),), dead=7)) == []


@pytest.mark.parametrize(
    ("figures", "level", "words"),
    [
        (Figures(queues=(QueueFigures("mail", True, 3),)), "warning", "mail is paused"),
        (Figures(queues=(QueueFigures("mail", False, 3, 600.0),)), "warning", "mail is behind"),
        (Figures(queues=(QueueFigures("mail", False, 1, 1.0, ("gone.task",)),)), "error", "No such task: gone.task"),
        (Figures(dead=4, dead_lately=1), "warning", "1 job died"),
        (Figures(store_used=75, store_limit=100), "warning", "75% full"),
        (Figures(store_used=95, store_limit=100), "error", "95% full"),
        (Figures(store_trouble="No space left on device"), "error", "cannot be written"),
        (Figures(quarantined=2), "error", "2 entries"),
        (Figures(recorder_running=False), "error", "not being recorded"),
        (Figures(recorder_lag=30.0), "warning", "30 s behind"),
    ],
)
def test_each_trouble_is_told_with_its_level(figures: Figures, level: str, words: str) -> None:
    (found,) = needs_attention(figures)
    assert found.level == level and words in found.title and found.text


def test_the_worst_comes_first_and_links_are_safe() -> None:
    queue = QueueFigures("a", True, 1, 0.0, ('x"><script>',))
    found = needs_attention(Figures(queues=(queue,), dead=1, dead_lately=1, recorder_running=False))
    assert [item.level for item in found] == ["error", "error", "warning", "warning"]
    assert all("<" not in item.link and '"' not in item.link for item in found)


def test_metrics_count_a_job_s_way_whoever_accepted_it() -> None:
    metrics = Metrics(lambda: {"q": {"available": 2}})
    metrics.take(
        [
            ev.JobEnqueued(1.0, "a", "q", "t", b""),
            ev.JobEnqueued(1.0, "b", "q", "t", b""),
            ev.JobsClaimed(1.0, 1, "x", ["a"]),
        ]
    )
    metrics.take([ev.JobRetryScheduled(1.0, "a", 1, 1, queue="q")])
    metrics.take([ev.JobCompleted(2.0, "a", 2, 2, "w", 1.0, 0.004, queue="q")])
    metrics.take([ev.JobDied(2.0, "b", 2, 1, "w", 1.0, 3.0, queue="q")])
    metrics.take([ev.JobCompleted(2.0, "before", 1, 1, "w", 1.0, 0.1, queue="old")])
    metrics.gauge("some_gauge", "A figure", lambda: 4.0)
    text = metrics.text().decode()
    for line in (
        'queue_jobs_added_total{queue="q"} 2.0', 'queue_jobs_completed_total{queue="q"} 1.0',
        'queue_jobs_failed_total{queue="q"} 1.0',
        'queue_jobs_retried_total{queue="q"} 1.0', 'queue_jobs_completed_total{queue="old"} 1.0', "some_gauge 4.0",
        'queue_depth{queue="q",state="available"} 2.0', 'queue_job_processing_duration_ms_sum{queue="q"} 3004.0',
        'queue_job_processing_duration_ms_bucket{le="5",queue="q"} 1.0',
    ):  # fmt: skip
        assert line in text, line
    assert metrics.completed() == 2


def test_a_mask_left_alone_stands_for_the_original_value() -> None:
    live = view(payload=encode({"password": "s3cret", "list": [{"token": "t0ken"}], "note": "n"}))
    edited = {"password": MASK, "list": [{"token": MASK}], "note": "changed"}
    assert unmask(edited, live) == {"password": "s3cret", "list": [{"token": "t0ken"}], "note": "changed"}
    assert unmask({"password": "new"}, None) == {"password": "new"}
    with pytest.raises(Conflict, match=r"args\.password"):
        unmask({"password": MASK}, None)


def test_the_live_job_is_laid_over_an_older_history() -> None:
    running = AttemptRow(number=1, state="running", started_at=2.0)
    ended = overlay.laid_over(
        detail("running", running),
        view(JobState.DEAD, started_at=2.0, finished_at=5.0, failure=Failure("ValueError", "no")),
    )
    assert ended.state == "dead" and ended.attempts[0].state == "dead" and ended.attempts[0].ended_at == 5.0
    assert ended.error is not None and ended.error.type == "ValueError"
    begun = overlay.laid_over(detail("available"), view(JobState.RUNNING, started_at=2.0))
    assert [attempt.state for attempt in begun.attempts] == ["running"] and begun.args == {"a": 1}
    alone = overlay.laid_over(None, view())
    assert alone.state == "available" and alone.args == {"a": 1} and alone.priority == "high"


def test_a_payload_that_cannot_be_read_is_noted_and_harms_nothing() -> None:
    assert "envelope" in overlay.laid_over(None, view(payload=b"garbage")).note


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_validation_error(raw: bytes) -> None:
    try:
        assert job_request(raw, 1000).task is not None
    except ValidationError as error:
        assert str(error)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from(
    ["task", "args", "queue", "priority", "delay", "run_at", "timeout", "metadata", "expires", "other"]
)


@given(st.dictionaries(_fields, _json, max_size=5))
def test_any_object_is_a_request_or_names_its_field(body: dict[str, Any]) -> None:
    try:
        request = job_request(msgspec.json.encode(body), 100_000)
    except ValidationError as error:
        assert error.field, str(error)
    else:
        assert isinstance(request.task, str)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_of_a_table_is_taken_for_a_formula(text: str) -> None:
    assert str(_cell(text)).startswith("'")
