"""What a running task says is seen while it runs, and kept within bounds."""

from __future__ import annotations

import threading

import pytest

from engine import Context, Engine
from engine.kernel import events as ev
from engine.kernel.errors import JobFailed
from engine.workers import finisher
from tests.integration.engine import works
from tests.integration.engine.test_outcomes import PATIENCE, view_of
from tests.support.journals import events_of
from tests.support.waiting import until


def all_told(seen: list[ev.Event], jobs: int) -> None:
    """Wait until the ends of so many jobs came by: a result may be there a moment before it is told."""
    until(lambda: len([event for event in seen if isinstance(event, ev.JobCompleted)]) == jobs)


def test_progress_and_lines_are_seen_while_it_runs(engine: Engine) -> None:
    go = threading.Event()
    seen = events_of(engine.bus)

    @engine.queue("q").task(name="t.talk")
    def talk(ctx: Context) -> None:
        ctx.log.info("opened %s", "the file")
        ctx.progress(0.25, "a quarter")
        ctx.progress(0.5, "half")
        ctx.output("rows", [1, 2])
        assert go.wait(PATIENCE)

    job = talk.enqueue()
    until(lambda: view_of(job).progress == 0.5)
    assert (view_of(job).state, view_of(job).progress_message) == ("running", "half")
    until(lambda: view_of(job).started_at > 0)
    until(lambda: [event for event in seen if isinstance(event, ev.JobLogged)])
    [output] = until(lambda: [event for event in seen if isinstance(event, ev.JobOutput)])
    assert (output.name, output.value) == ("rows", b"[1,2]")
    go.set()
    job.result(PATIENCE)


def test_words_come_before_the_end_and_are_all_there(engine: Engine) -> None:
    seen = events_of(engine.bus)

    @engine.queue("q").task(name="t.talk")
    def talk(ctx: Context, number: int) -> None:
        for line in range(5):
            ctx.log.warning(f"{number}/{line}")
        ctx.progress(1.0, "last word")

    jobs = [talk.enqueue(n) for n in range(50)]
    all_told(seen, 50)
    for number, job in enumerate(jobs):
        said = [event for event in seen if getattr(event, "id", "") == job.id]
        lines = [text for event in said if isinstance(event, ev.JobLogged) for _, _, text in event.lines]
        assert lines == [f"{number}/{line}" for line in range(5)]
        assert isinstance(said[-1], ev.JobCompleted)
        assert [event.message for event in said if isinstance(event, ev.JobProgressed)] == ["last word"]


def test_a_flood_of_lines_is_cut_and_says_so(engine: Engine) -> None:
    seen = events_of(engine.bus)

    @engine.queue("q").task(name="t.flood")
    def flood(ctx: Context) -> None:
        for number in range(20_000):
            ctx.log.info("x" * 100_000 if number == 0 else f"line {number}")
            ctx.progress(number / 20_000)

    flood.enqueue().result(PATIENCE)
    all_told(seen, 1)
    lines = [text for event in seen if isinstance(event, ev.JobLogged) for _, _, text in event.lines]
    assert len(lines) == 1_000 and "no more than 1000 lines" in lines[-1]
    assert len(lines[0]) == 2_000
    assert len([event for event in seen if isinstance(event, ev.JobProgressed)]) < 500


def test_too_many_and_too_large_outputs_are_refused_to_the_task(engine: Engine) -> None:
    @engine.queue("q").task(name="t.outputs")
    def outputs(ctx: Context, count: int, size: int) -> None:
        for number in range(count):
            ctx.output(f"n{number}", "x" * size)

    outputs.enqueue(100, 1).result(PATIENCE)
    with pytest.raises(JobFailed, match="at most 100 outputs"):
        outputs.enqueue(101, 1).result(PATIENCE)
    with pytest.raises(JobFailed, match=r"output\.n0: expected at most"):
        outputs.enqueue(1, 2_000_000).result(PATIENCE)


def test_a_process_speaks_too(engine: Engine) -> None:
    seen = events_of(engine.bus)
    engine.add(works.decide)
    works.decide.enqueue("go").result(PATIENCE)
    all_told(seen, 1)
    lines = [text for event in seen if isinstance(event, ev.JobLogged) for _, _, text in event.lines]
    assert lines == ["decided go"]


def test_of_a_short_attempt_no_start_is_written_and_of_a_long_one_it_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = events_of(engine.bus)
    go, pause = threading.Event(), threading.Event()

    @engine.queue("q").task(name="t.brief")
    def brief() -> None:
        return None

    with monkeypatch.context() as patience:
        patience.setattr(finisher, "STARTS_AFTER", 5.0)
        engine.enqueue_many([brief.job() for _ in range(50)])
        all_told(seen, 50)
    assert len([event for event in seen if isinstance(event, ev.JobStarted)]) < 10
    seen.clear()

    @engine.queue("q").task(name="t.long")
    def long() -> None:
        assert go.wait(PATIENCE)
        pause.wait(finisher.STARTS_AFTER)

    job = long.enqueue()
    until(lambda: [event for event in seen if isinstance(event, ev.JobStarted)])
    go.set()
    job.result(PATIENCE)
    all_told(seen, 1)
    [done] = [event for event in seen if isinstance(event, ev.JobCompleted)]
    assert done.started_at > 0 and done.duration >= 0.04 and done.worker.startswith(engine.agent)
