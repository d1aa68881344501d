"""The bundled tasks as jobs of a real engine over a sealed store."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, JobFailed, JobState, Settings, ValidationError
from plugins.catalog.documents import sample_request
from plugins.loader import load_catalog
from plugins.services import House
from tests.support.documents import pdf
from tests.support.waiting import until
from tests.support.web import answer, silence, site


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = Settings(home=tmp_path, durability="process", allow_private_addresses=True)
    engine = Engine(settings)
    load_catalog(types.SimpleNamespace(register=engine.add), House(settings, clock=engine.clock))
    with engine:
        yield engine


def test_the_sample_job_runs_to_its_end(engine: Engine) -> None:
    [handle] = engine.enqueue_many([sample_request()])
    result = handle.result(timeout=60)
    assert result["title"] == "Welcome to Holdfast" and result["pages"] == 2
    view = handle.view()
    assert view is not None and view.state is JobState.COMPLETED and view.attempt == 1 and view.queue == "documents"


def test_a_document_that_cannot_be_read_is_dead_after_one_attempt_with_the_reason(engine: Engine) -> None:
    handle = engine.enqueue("documents.extract", {"content": "JVBERi0xLjQgbm8="})
    with pytest.raises(JobFailed, match="the PDF is broken"):
        handle.result(timeout=60)
    view = handle.view()
    assert view is not None and view.state is JobState.DEAD and view.attempt == 1


def test_wrong_arguments_are_refused_before_there_is_a_job(engine: Engine) -> None:
    for args, field in (
        ({"content": "%%%"}, "args.content"),
        ({"pfad": "x"}, "args.pfad"),
        ({"path": "x", "max_characters": -1}, "args.max_characters"),
    ):
        with pytest.raises(ValidationError) as caught:
            engine.enqueue("documents.extract", args)
        assert caught.value.field == field
    assert sum(sum(states.values()) for states in engine.counts().values()) == 0


def test_a_webhook_that_fails_once_is_delivered_by_the_next_attempt_under_the_same_id(engine: Engine) -> None:
    with site(answer(503, headers={"retry-after": "0"}), answer(200)) as there:
        handle = engine.enqueue("webhooks.deliver", {"url": there.url(), "body": {"n": 1}})
        assert handle.result(timeout=60)["status"] == 200
    assert [each.headers["webhook-id"] for each in there.received] == [handle.id, handle.id]


def test_a_large_document_is_stopped_at_a_wish_long_before_its_end(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    page = [f"heading {number}" for number in range(120)]
    (tmp_path / "inbox" / "large.pdf").write_bytes(pdf([page] * 2_000))
    handle = engine.enqueue("documents.extract", {"path": "large.pdf"})
    until(lambda: (view := handle.view()) and view.progress, 60, "the first progress")
    handle.cancel()
    until(lambda: (view := handle.view()) and view.state is JobState.CANCELLED, 60, "cancelled")
    view = handle.view()
    assert view is not None and (view.progress or 0) < 0.9


def test_an_engine_that_stops_does_not_wait_for_a_delivery_that_hangs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, durability="process", allow_private_addresses=True)
    engine = Engine(settings)
    load_catalog(types.SimpleNamespace(register=engine.add), House(settings, clock=engine.clock))
    with site(silence) as there:
        engine.start()
        engine.enqueue("webhooks.deliver", {"url": there.url()})
        until(lambda: there.received, 60)
        before = engine.clock.monotonic()
        engine.stop()
        assert engine.clock.monotonic() - before < 20, "it hangs for thirty seconds"
