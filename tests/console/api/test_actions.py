"""Actions as pages call them: running again with edits, bulk in batches, and who may."""

from __future__ import annotations

from pathlib import Path

import pytest

from console import actions, reading
from console.actions.actor import Actor, Forbidden
from console.actions.bulk import BATCH
from data import audit, queries
from data.masking import MASK
from engine import JobRequest
from engine.kernel.errors import Conflict, NotFound, ValidationError
from tests.console.api import works
from tests.support.consoles import Running, running

ADMIN = Actor("ann", "admin", None, "console")
VIEWER = Actor("vera", "viewer", None, "console")
OF_ACME = Actor("otto", "operator", "acme", "console")


def test_a_job_is_run_again_with_edits_and_keeps_the_rest(console: Running) -> None:
    first = actions.enqueue(
        console.console, ADMIN, JobRequest("echo", {"text": "one", "number": 1}, priority="low", correlation_id="c")
    )
    console.ended(first.id)
    console.recorded()
    again = actions.run_again(console.console, ADMIN, first.id, {"args": {"text": "two"}, "priority": 2})
    assert again.id != first.id and again.result(60) == {"text": "two", "number": 0}
    job = reading.job(console.console, again.id)
    assert job is not None and (job.priority, job.correlation_id, job.task) == (2, "c", "echo")
    same = actions.run_again(console.console, ADMIN, first.id)
    assert same.result(60) == {"text": "one", "number": 1}


def test_a_job_that_history_does_not_have_yet_is_not_run_again_without_its_arguments(
    console: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = actions.enqueue(console.console, ADMIN, JobRequest("echo", {"text": "one"}))
    console.ended(first.id)
    with monkeypatch.context() as late:
        late.setattr(queries, "job", lambda *args, **options: None)
        with pytest.raises(Conflict, match="not in the history yet"):
            actions.run_again(console.console, ADMIN, first.id)
    console.recorded()
    assert actions.run_again(console.console, ADMIN, first.id).result(60)["text"] == "one"


def test_wrong_edits_are_refused_with_their_field(console: Running) -> None:
    first = actions.enqueue(console.console, ADMIN, JobRequest("echo"))
    with pytest.raises(ValidationError) as wrong:
        actions.run_again(console.console, ADMIN, first.id, {"args": {"number": "x"}})
    assert wrong.value.field == "args.number"
    with pytest.raises(ValidationError) as typed:
        actions.run_again(console.console, ADMIN, first.id, {"max_attempts": "many"})
    assert typed.value.field == "max_attempts"
    with pytest.raises(NotFound):
        actions.run_again(console.console, ADMIN, "nobody")


def test_a_masked_secret_is_filled_in_from_the_live_job_and_asked_for_when_that_is_gone(console: Running) -> None:
    waiting = actions.enqueue(
        console.console, ADMIN, JobRequest("keep_secret", {"password": "hunter2-hunter2", "note": "a"}, delay=3600)
    )
    shown = reading.job(console.console, waiting.id)
    assert shown is not None and shown.args == {"password": MASK, "note": "a"} and shown.masked
    again = actions.run_again(console.console, ADMIN, waiting.id, {"args": shown.args | {"note": "b"}, "delay": None})
    assert again.result(60) == "b"
    console.recorded()
    with pytest.raises(Conflict, match=r"args\.password"):
        actions.run_again(console.console, ADMIN, again.id)
    anew = {"password": "another-one", "note": "c"}
    assert actions.run_again(console.console, ADMIN, again.id, {"args": anew}).result(60) == "c"


def test_everything_that_matches_is_moved_in_batches_with_counts_as_it_goes(tmp_path: Path) -> None:
    with running(tmp_path, [works.__name__]) as console:
        number = BATCH * 2 + 7
        made = actions.enqueue_many(
            console.console, ADMIN, [JobRequest("echo", queue="many", delay=3600) for _ in range(number)]
        )
        assert len(made) == number
        console.recorded()
        told: list[int] = []
        outcome = actions.apply_to_matching(
            console.console, ADMIN, "cancel", "queue:many", progress=lambda sum: told.append(sum.done)
        )
        assert (outcome.matched, outcome.done, outcome.unchanged) == (number, number, 0)
        assert told == [BATCH, BATCH * 2, number]
        again = actions.apply_to_matching(console.console, ADMIN, "cancel", "queue:many state:scheduled")
        assert again.done == 0
        rows = [row for row in audit.page(console.database) if row.action == "job.cancel"]
        assert len(rows) == 3 and audit.verify(console.database) is None


def test_retries_are_spread_over_the_time_that_was_asked_for(console: Running) -> None:
    made = [actions.enqueue(console.console, ADMIN, JobRequest("fail", queue="spread")) for _ in range(5)]
    for job in made:
        console.ended(job.id)
    console.recorded()
    outcome = actions.apply_to_matching(console.console, ADMIN, "retry", "queue:spread state:dead", over=1000)
    assert outcome.done == 5
    views = console.engine.views([job.id for job in made]).values()
    due = sorted(view.run_at for view in views if view.state == "scheduled")
    assert len(due) == 4 and 590 < due[-1] - due[0] < 610
    assert actions.apply_to_matching(console.console, ADMIN, "delete", "queue:spread").done >= 4


def test_who_may_not_changes_nothing(console: Running) -> None:
    job = actions.enqueue(console.console, ADMIN, JobRequest("echo", delay=3600, tenant="zenith"))
    for act in (actions.retry, actions.cancel, actions.delete):
        with pytest.raises(Forbidden):
            act(console.console, VIEWER, [job.id])
        assert act(console.console, OF_ACME, [job.id]).done == 0
    with pytest.raises(Forbidden):
        actions.run_again(console.console, VIEWER, job.id)
    with pytest.raises(NotFound):
        actions.run_again(console.console, OF_ACME, job.id)
    with pytest.raises(Forbidden):
        actions.apply_to_matching(console.console, VIEWER, "cancel", "")
    with pytest.raises(Forbidden):
        actions.pause(console.console, OF_ACME, "default")
    assert job.state == "scheduled"


def test_a_house_without_a_sample_says_so(console: Running) -> None:
    with pytest.raises(NotFound, match="no sample"):
        actions.run_sample(console.console, ADMIN)


def test_the_audit_waits_out_a_database_that_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path, [works.__name__]) as console:
        path = console.database.path
        assert path is not None
        with console.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE audit RENAME TO audit_away")
        actions.pause(console.console, ADMIN, "emails")
        assert "could not be written" in caplog.text
        assert any(queue.paused for queue in reading.queues(console.console) if queue.name == "emails")
        with console.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE audit_away RENAME TO audit")
        console.console.trail.flush()
        assert [row.action for row in audit.page(console.database)][:1] == ["queue.pause"]
