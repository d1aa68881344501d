"""What history tells of jobs after the recorder has read of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from data import Database, open_database, queries
from data.recorder import Recorder, follow
from data.rows import JobDetail, decoded
from data.writing import LOG_LINES
from engine.kernel import events as ev
from engine.kernel import faults
from engine.kernel.clock import FakeClock
from engine.storage.lanes import REMOTE_TOKENS
from tests.integration.data.conftest import Story
from tests.support.histories import (
    START,
    ListLog,
    claimed,
    completed,
    dead,
    ended,
    enqueued,
    failure,
    job_id,
    started,
)
from tests.support.waiting import until


def told(story: Story, id: str) -> JobDetail:
    found = queries.job(story.db, id)
    assert found is not None
    return found


def test_a_completed_job_has_its_arguments_result_and_one_attempt(story: Story) -> None:
    job = enqueued(args={"to": "a@example.org"}, metadata={"shop": 7}, correlation_id="c-1", tenant="acme", priority=3)
    story.tell(job)
    assert told(story, job.id).row.state == "available"
    story.tell(claimed(job.id), started(job.id))
    running = told(story, job.id)
    assert (running.row.state, running.row.agent, running.row.attempt) == ("running", "host-aaaaaa", 1)
    assert [attempt.state for attempt in running.attempts] == ["running"]
    story.tell(ended(ev.JobCompleted, job.id, result=b'{"ok":true}', cpu=0.25, memory=4096, started_at=START + 1.5))
    done = told(story, job.id)
    assert (done.row.state, done.row.tenant, done.row.priority, done.row.correlation_id) == (
        "completed",
        "acme",
        3,
        "c-1",
    )
    assert decoded(done.args) == {"to": "a@example.org"} and decoded(done.metadata) == {"shop": 7}
    assert done.result is not None and decoded(done.result) == {"ok": True}
    (attempt,) = done.attempts
    assert (attempt.number, attempt.state, attempt.cpu, attempt.memory) == (1, "completed", 0.25, 4096)
    assert (attempt.available_at, attempt.started_at, attempt.ended_at) == (START, START + 1.5, START + 2)
    assert (attempt.agent, attempt.worker) == ("host-aaaaaa", "host-aaaaaa/worker-1")
    assert [moment.kind for moment in done.timeline] == ["created", "started", "completed"]


def test_history_is_the_same_whether_events_come_one_by_one_or_all_at_once(story: Story, tmp_path: Path) -> None:
    ids = [job_id() for _ in range(5)]
    events = [
        *(enqueued(id, START, args={"n": n}) for n, id in enumerate(ids)),
        *completed(ids[0], token=1),
        claimed(ids[1], token=2),
        ended(ev.JobRetryScheduled, ids[1], 2, run_at=START + 60, failure=failure()),
        claimed(ids[1], token=3, at=START + 61),
        ended(ev.JobCompleted, ids[1], 3, 2, at=START + 62),
        *dead(ids[2], token=4),
        ev.JobRetried(START + 5, ids[2], "eva", 2),
        claimed(ids[3], token=5),
        ended(ev.JobReleased, ids[3], 5, started_at=0.0),
        ev.JobDeleted(START + 6, ids[4], "eva"),
    ]
    for event in events:
        story.tell(event)
    other = open_database("", tmp_path / "other")
    log = ListLog()
    log.add(*events)
    whole = Recorder(other, log, FakeClock())
    whole.catch_up()
    for id in ids:
        one, all_at_once = queries.job(story.db, id), queries.job(other, id)
        assert msgspec.to_builtins(one and one.row) == msgspec.to_builtins(all_at_once and all_at_once.row)
        assert (one and one.attempts) == (all_at_once and all_at_once.attempts)
    assert queries.throughput(story.db, START, START + 120) == queries.throughput(other, START, START + 120)
    whole.close()
    other.close()


def test_a_retry_keeps_each_attempt_with_its_own_wait_and_error(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id))
    story.tell(ended(ev.JobRetryScheduled, job.id, at=START + 2, run_at=START + 12, failure=failure("OSError", "gone")))
    waiting = told(story, job.id)
    assert (waiting.row.state, waiting.row.run_at, waiting.row.attempt) == ("retryable", START + 12, 1)
    assert waiting.error is not None and waiting.error.type == "OSError" and "gone" in waiting.error.traceback
    story.tell(claimed(job.id, token=2, at=START + 13), ended(ev.JobCompleted, job.id, 2, 2, at=START + 14))
    done = told(story, job.id)
    assert [(a.number, a.state, a.available_at, a.next_at) for a in done.attempts] == [
        (1, "failed", START, START + 12),
        (2, "completed", START + 12, 0.0),
    ]
    assert done.error is None and done.attempts[0].error is not None and done.row.attempt == 2


def test_a_rescued_attempt_says_so_even_if_its_start_is_unknown(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id, agent="host-dead00"))
    story.tell(ended(ev.JobRescued, job.id, at=START + 6, started_at=0.0, worker="", reason=ev.UNKNOWN_START))
    back = told(story, job.id)
    (attempt,) = back.attempts
    assert (attempt.rescued, attempt.started_at, attempt.agent) == (True, 0.0, "host-dead00")
    assert (back.row.state, back.row.rescues, back.row.attempt) == ("available", 1, 0)
    story.tell(claimed(job.id, token=2, at=START + 7), ended(ev.JobCompleted, job.id, 2, 2, at=START + 8))
    assert [a.rescued for a in told(story, job.id).attempts] == [True, False]


def test_a_rescued_attempt_keeps_the_start_that_was_recorded(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id))
    story.tell(started(job.id))
    story.tell(ended(ev.JobRescued, job.id, at=START + 6, started_at=0.0, worker="", reason=ev.CRASHED))
    (attempt,) = told(story, job.id).attempts
    assert (attempt.started_at, attempt.worker, attempt.rescued) == (START + 1.5, "host-aaaaaa/worker-1", True)


def test_an_attempt_whose_lease_was_forgotten_counts_as_rescued_once_another_holds_the_job(story: Story) -> None:
    job = enqueued()
    first, second = REMOTE_TOKENS + 1, REMOTE_TOKENS + 2
    story.tell(job, claimed(job.id, token=first), started(job.id, first))
    assert [(a.state, a.rescued) for a in told(story, job.id).attempts] == [("running", False)]
    story.tell(claimed(job.id, token=second, at=START + 7), started(job.id, second, 1, START + 7.5))
    assert [(a.state, a.rescued) for a in told(story, job.id).attempts] == [("rescued", True), ("running", False)]
    story.tell(ended(ev.JobCompleted, job.id, second, 1, at=START + 8))
    assert [(a.state, a.rescued) for a in told(story, job.id).attempts] == [("rescued", True), ("completed", False)]
    story.tell(ended(ev.JobCompleted, job.id, first, 1, at=START + 9))  # it ran on all the time, and says so late
    assert [a.state for a in told(story, job.id).attempts] == ["completed", "completed"]


def test_a_job_that_kills_its_workers_is_dead_and_its_last_attempt_counts_as_rescued(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id), ended(ev.JobDied, job.id, reason=ev.POISON))
    found = told(story, job.id)
    assert found.row.state == "dead" and found.row.reason == ev.POISON and found.attempts[0].rescued


def test_snoozed_and_released_attempts_use_up_none_and_show_no_error(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id), ended(ev.JobSnoozed, job.id, run_at=START + 30, reason="later"))
    snoozed = told(story, job.id)
    assert (snoozed.row.state, snoozed.row.attempt, snoozed.row.reason) == ("scheduled", 0, "later")
    story.tell(claimed(job.id, token=2, at=START + 31), ended(ev.JobReleased, job.id, 2, at=START + 33))
    released = told(story, job.id)
    assert (released.row.state, released.row.attempt, released.error) == ("available", 0, None)
    assert [attempt.state for attempt in released.attempts] == ["snoozed", "released"]


def test_a_claim_that_never_started_leaves_no_attempt(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id), ended(ev.JobReleased, job.id, started_at=0.0))
    found = told(story, job.id)
    assert found.attempts == () and found.row.attempt == 0 and found.row.state == "available"


def test_a_dead_job_sent_back_may_be_tried_again_and_tells_who_sent_it(story: Story) -> None:
    job = enqueued(max_attempts=1)
    story.tell(job, *dead(job.id))
    assert told(story, job.id).row.finished_at == START + 2
    story.tell(ev.JobRetried(START + 9, job.id, "eva", 2))
    back = told(story, job.id)
    assert (back.row.state, back.row.max_attempts, back.row.finished_at) == ("available", 3, 0.0)
    assert ("retried", "eva") in [(moment.kind, moment.text) for moment in back.timeline]


def test_a_job_cancelled_before_it_ran_has_no_attempt_and_says_who(story: Story) -> None:
    job = enqueued()
    story.tell(job, ev.JobCancelled(START + 1, job.id, 0, 0, reason="cancelled by eva"))
    found = told(story, job.id)
    assert (found.row.state, found.row.finished_at, found.attempts) == ("cancelled", START + 1, ())
    assert found.timeline[-1].text == "cancelled by eva"


def test_a_wish_to_stop_a_running_job_shows_until_it_ends(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id), started(job.id), ev.CancelRequested(START + 2, job.id, "eva"))
    found = queries.list_jobs(story.db, now=START)
    assert found.rows[0].cancelling
    story.tell(ended(ev.JobCancelled, job.id, at=START + 3))
    done = told(story, job.id)
    assert not done.row.cancelling and [a.state for a in done.attempts] == ["cancelled"]


def test_an_expired_job_is_dead_without_an_attempt(story: Story) -> None:
    job = enqueued(expires_at=START + 5)
    story.tell(job, ev.JobDied(START + 6, job.id, 0, 0, reason="expired"))
    found = told(story, job.id)
    assert (found.row.state, found.row.reason, found.attempts) == ("dead", "expired", ())


def test_a_deleted_job_is_gone_with_all_that_hung_on_it(story: Story) -> None:
    job, other = enqueued(), enqueued()
    story.tell(job, other, *dead(job.id), ev.JobLogged(START + 1, job.id, 1, [(START, "info", "hi")]))
    story.tell(ev.JobDeleted(START + 9, job.id, "eva"))
    assert queries.job(story.db, job.id) is None and queries.job(story.db, other.id) is not None
    with story.db.reading() as connection:
        for table in ("attempts", "logs", "moments"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_a_job_made_and_deleted_within_one_batch_leaves_nothing(story: Story) -> None:
    job = enqueued()
    story.tell(job, ev.JobLogged(START, job.id, 1, [(START, "info", "x")]), ev.JobDeleted(START + 1, job.id))
    assert queries.job(story.db, job.id) is None


def test_logs_are_bounded_per_job_and_keep_the_newest(story: Story) -> None:
    job = enqueued()
    story.tell(job)
    for part in range(3):
        lines = [(START + part, "info", f"{part}-{n}") for n in range(LOG_LINES // 2)]
        story.tell(ev.JobLogged(START + part, job.id, 1, lines))
    logs = told(story, job.id).logs
    assert len(logs) == LOG_LINES and logs[-1].text == f"2-{LOG_LINES // 2 - 1}" and logs[0].text == "1-0"


def test_progress_and_the_last_output_of_each_name_are_kept(story: Story) -> None:
    job = enqueued()
    story.tell(job, claimed(job.id), started(job.id), ev.JobProgressed(START + 2, job.id, 1, 0.5, "half"))
    story.tell(ev.JobOutput(START + 2, job.id, 1, "page", b"1"), ev.JobOutput(START + 3, job.id, 1, "page", b"2"))
    found = told(story, job.id)
    assert (found.row.progress, found.row.progress_message) == (0.5, "half")
    assert [(output.name, decoded(output.value)) for output in found.outputs] == [("page", 2)]


def test_secrets_never_reach_history(story: Story, tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    job = enqueued(
        args={"password": secret, "url": f"https://u:{secret}@h/?token={secret}"}, metadata={"api_key": secret}
    )
    story.tell(
        job,
        claimed(job.id),
        started(job.id),
        ev.JobLogged(START + 2, job.id, 1, [(START, "info", f"Authorization: Bearer {secret}")]),
        ev.JobOutput(START + 2, job.id, 1, "o", msgspec.json.encode({"secret": secret})),
        ended(ev.JobRetryScheduled, job.id, failure=failure("E", f"password={secret}"), run_at=START + 3),
        claimed(job.id, token=2, at=START + 4),
        ended(ev.JobCompleted, job.id, 2, 2, at=START + 5, result=msgspec.json.encode({"access_token": secret})),
    )
    found = told(story, job.id)
    assert found.row.masked
    assert secret not in repr(msgspec.json.encode(found))
    if story.db.path:
        story.recorder.close()
        story.db.close()
        assert not any(secret.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b'{"v":99}', b'{"v":1,"args":', b"\x01broken"])
def test_a_payload_that_cannot_be_opened_is_recorded_with_a_note(story: Story, payload: bytes) -> None:
    job = enqueued(payload=payload)
    story.tell(job, *completed(job.id))
    found = told(story, job.id)
    assert found.note and found.row.state == "completed" and decoded(found.args) == {}


def test_zero_bytes_and_huge_texts_are_stored_cut(story: Story) -> None:
    job = enqueued()
    story.tell(job, *dead(job.id, error=failure("E", "a\0b" + "x" * 5_000)))
    message = told(story, job.id).row.error_message
    assert message.startswith("a\N{REPLACEMENT CHARACTER}b") and len(message) == 2_000


def test_zero_bytes_in_names_that_people_give_stop_nothing(story: Story) -> None:
    job = enqueued(idempotency_key="a\0b", correlation_id="c\0d", unique="e\0f")
    story.tell(job, *completed(job.id))
    assert told(story, job.id).row.state == "completed"
    assert queries.job(story.db, "a\0b") is None


def test_an_event_that_no_row_can_hold_is_passed_over_and_the_rest_recorded(story: Story) -> None:
    fine, huge, later = enqueued(), enqueued(priority=2**70), enqueued()
    story.tell(fine, huge, later)
    story.tell(*completed(later.id))
    assert story.recorder.refused == 1 and story.recorder.position == 2
    assert told(story, fine.id).row.state == "available" and told(story, later.id).row.state == "completed"
    assert queries.job(story.db, huge.id) is None


def test_a_log_that_begins_anew_is_followed_from_its_beginning(story: Story) -> None:
    first, second = enqueued(), enqueued()
    story.tell(first)
    story.tell(*completed(first.id))
    story.log.segments.clear()
    story.tell(second)
    assert story.recorder.position == 1
    assert {row.id for row in queries.list_jobs(story.db, now=START).rows} == {first.id, second.id}


def test_events_of_unknown_jobs_are_passed_over_and_counted(story: Story) -> None:
    story.tell(*completed(job_id()), ev.JobRetried(START, job_id()))
    assert story.recorder.unknown == 3 and story.recorder.position == 1


def test_a_waiting_job_becomes_available_when_its_time_has_come(story: Story) -> None:
    job = enqueued(at=START, run_at=START + 60)
    story.clock.jump(START - story.clock.now())
    story.tell(job)
    assert told(story, job.id).row.state == "scheduled"
    story.clock.advance(61)
    story.recorder.run_once()
    assert told(story, job.id).row.state == "available"


def test_agents_and_pauses_are_known(story: Story) -> None:
    info: dict[str, str | int | float] = {"host": "atlas", "pid": 42, "version": "1.0", "concurrency": 8}
    story.tell(ev.AgentStarted(START, "host-aaaaaa", info), ev.QueuePaused(START + 1, "default", "eva"))
    job = enqueued()
    story.tell(job, claimed(job.id, at=START + 5))
    (agent,) = queries.agents(story.db)
    assert (agent.agent, agent.host, agent.pid, agent.seen_at, agent.stopped_at) == (
        "host-aaaaaa",
        "atlas",
        42,
        START + 5,
        0,
    )
    assert queries.pauses(story.db)["default"].by == "eva"
    story.tell(ev.AgentStopped(START + 9, "host-aaaaaa"), ev.QueueResumed(START + 9, "default", "eva"))
    assert queries.agents(story.db)[0].stopped_at == START + 9 and not queries.pauses(story.db)["default"].paused


def test_a_crash_before_the_commit_changes_nothing_and_one_after_it_repeats_nothing(story: Story) -> None:
    job = enqueued()
    story.log.add(job, *completed(job.id))
    try:
        for point, rows in (("recorder.before_commit", 0), ("recorder.after_commit", 1)):
            faults.arm(point, _die)
            with pytest.raises(KeyboardInterrupt):
                story.recorder.catch_up()
            faults.disarm()
            story.recorder.close()
            assert len(queries.list_jobs(story.db, now=START).rows) == rows
    finally:
        faults.disarm()
    again = Recorder(story.db, story.log, story.clock)
    assert again.catch_up() == 1
    again.close()
    assert sum(b.completed for b in queries.throughput(story.db, START, START + 60)) == 1


def _die() -> None:
    raise KeyboardInterrupt


_CHILD = """
import os, sys
from data import open_database
from data.recorder import Recorder
from engine.kernel import faults
from engine.kernel.clock import SystemClock
from engine.kernel.events import decoder
from engine.storage.base import Stretch
faults.arm_from(sys.argv[3])
segments = [decoder().decode(bytes.fromhex(line)) for line in open(sys.argv[4])]
class Log:
    node = ''
    def head(self): return len(segments)
    def read(self, after, most=64):
        for n in range(after, min(len(segments), after + 2)): yield Stretch(n + 1, segments[n])
Recorder(open_database(sys.argv[1], sys.argv[2], migrate=False), Log(), SystemClock()).catch_up()
assert 'sqlalchemy' not in sys.modules
"""


@pytest.mark.parametrize("fault", ["recorder.before_commit:2", "recorder.after_commit:2"])
def test_killed_in_the_middle_history_is_complete_after_a_restart(
    db: Database, url: str, tmp_path: Path, fault: str
) -> None:
    ids = [job_id() for _ in range(8)]
    encoder = ev.Encoder()
    batches = [[enqueued(id), *completed(id, token=n + 1)] for n, id in enumerate(ids)]
    (tmp_path / "log").write_text("\n".join(encoder.encode(batch).hex() for batch in batches))
    for armed, code in ((fault, -signal.SIGKILL), ("", 0)):
        command = [sys.executable, "-c", _CHILD, url, str(tmp_path), armed, str(tmp_path / "log")]
        assert subprocess.run(command, timeout=180, cwd=os.getcwd()).returncode == code
    assert queries.count_jobs(db, now=START).n == 8
    assert sum(bucket.completed for bucket in queries.throughput(db, START, START + 60)) == 8
    assert queries.recorded(db) == (8, START + 2)


def test_a_log_that_is_told_twice_does_not_double_jobs_or_attempts(story: Story) -> None:
    job = enqueued()
    story.tell(job, *completed(job.id))
    again = Recorder(story.db, story.log, story.clock, name="another")
    again.catch_up()
    again.close()
    assert queries.count_jobs(story.db, now=START).n == 1 and len(told(story, job.id).attempts) == 1


def test_two_recorders_at_once_write_everything_once(story: Story) -> None:
    other = Recorder(story.db, story.log, story.clock)
    assert (story.recorder.position, other.position) == (0, 0)
    jobs = [enqueued() for _ in range(3)]
    for n, job in enumerate(jobs):
        story.log.add(job, *completed(job.id, token=n + 1))
        story.recorder.catch_up()
        other.catch_up()
    assert other.position == story.recorder.position == 3
    other.close()
    (bucket,) = queries.throughput(story.db, START, START + 1)
    assert (bucket.enqueued, bucket.completed) == (3, 3) and queries.count_jobs(story.db, now=START).n == 3


def test_following_goes_on_after_the_database_was_away_and_ends_when_told(story: Story) -> None:
    stop, failed = threading.Event(), threading.Event()

    def fail_once() -> None:
        faults.disarm()
        failed.set()
        raise OSError("disk gone")

    faults.arm("recorder.before_commit", fail_once)
    job = enqueued()
    story.log.add(job)
    thread = threading.Thread(target=follow, args=(Recorder(story.db, story.log, FakeClock()), stop), name="recorder")
    thread.start()
    try:
        assert failed.wait(60)
        until(lambda: queries.job(story.db, job.id), 60)
    finally:
        faults.disarm()
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
