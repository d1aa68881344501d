"""What history tells of a fleet: each event once whichever way it comes, conflicts, states of the link, proofs, agents."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from data import Database, open_database, queries
from data.database import Database as Opened
from data.recorder import Recorder
from data.rows import decoded
from engine.kernel import events as ev
from engine.kernel import faults
from engine.kernel.clock import FakeClock
from engine.kernel.errors import ValidationError
from engine.storage.lanes import ENDS, JOBS
from engine.storage.redis.entries import Batch, Gap
from tests.integration.data.conftest import Story
from tests.integration.data.fleets import DIRECT, QUEUE, ReadAhead, Told, entries, history, record, rows
from tests.support.histories import START, ListLog, claimed, completed, ended, enqueued, failure, job_id

NODE = "a" * 16
TOKEN = 1_700_000_000_000_000


def leased(id: str, at: float = START + 2, n: int = 0) -> tuple[ev.JobsClaimed, ev.AttemptEnded]:
    """A claim of Redis, and its end."""
    return claimed(id, token=TOKEN + n), ended(ev.JobCompleted, id, TOKEN + n, at=at, result=b"1", queue=QUEUE)


def once(db: Database) -> tuple[int, int]:
    """Jobs enqueued and completed, as the sums have them."""
    buckets = queries.throughput(db, START, START + 3_600)
    return sum(b.enqueued for b in buckets), sum(b.completed for b in buckets)


# --- exactly once ---


@pytest.mark.parametrize("first", ["journal", "stream"])
def test_an_event_that_comes_by_journal_and_by_stream_counts_once(db: Database, first: str) -> None:
    job = enqueued(offered=True)
    claim, end = leased(job.id)
    journal = ListLog(NODE)
    journal.add(job, end)
    lanes = [
        Batch(QUEUE, "1-1", NODE, JOBS, 1, 1, [1], [job]),
        Batch(QUEUE, "2-2", "", "", 0, 0, (), [claim]),
        Batch(QUEUE, "3-3", NODE, ENDS, 2, 2, [2], [end]),
    ]
    other = ListLog("b" * 16)
    followers = {"journal": (journal, lanes[1:2]), "stream": (other, lanes)}
    for road in (first, "journal" if first == "stream" else "stream"):
        log, streamed = followers[road]
        record(db, streamed, log)
    assert once(db) == (1, 1)
    found = queries.job(db, job.id)
    assert found is not None and found.row.state == "completed" and len(found.attempts) == 1


def test_a_console_takes_its_own_lanes_from_its_journal(db: Database) -> None:
    """There everything stands in its order, also what does not travel."""
    job = enqueued()
    journal = ListLog(NODE)
    journal.add(job, claimed(job.id, token=7))
    end = ended(ev.JobCompleted, job.id, 7, result=b"1", queue=QUEUE)
    record(db, [Batch(QUEUE, "1-1", NODE, JOBS, 1, 3, [1, 3], [job, end])], journal)
    assert once(db) == (1, 0)
    journal.add(end)
    record(db, [], journal)
    assert once(db) == (1, 1)


def test_what_another_console_recorded_ahead_of_the_journal_is_passed_over(db: Database) -> None:
    job = enqueued()
    end = ended(ev.JobCompleted, job.id, 7, result=b"1", queue=QUEUE)
    record(db, [Batch(QUEUE, "1-1", NODE, JOBS, 1, 3, [1, 3], [job, end])], ListLog("b" * 16))
    journal = ListLog(NODE)
    journal.add(job, claimed(job.id, token=7), end)
    record(db, [], journal)
    found = queries.job(db, job.id)
    assert found is not None and found.row.state == "completed" and once(db) == (1, 1)


def test_two_consoles_on_one_database_record_each_entry_once(db: Database) -> None:
    told = history(5, jobs=6)
    streamed = entries(told, 2)
    recorders = [Recorder(db, ListLog(node * 16), FakeClock(START), streams=ReadAhead(streamed, 3)) for node in "xy"]
    rng = random.Random(5)
    for _ in range(80):
        rng.choice(recorders).run_once()
    for recorder in recorders:
        recorder.close()
    assert once(db)[0] == 6
    with db.reading() as connection:
        assert connection.exec_driver_sql("SELECT mark FROM streams").scalar() == streamed[-1].id
        retried = connection.exec_driver_sql("SELECT count(*) FROM moments WHERE kind = 'retried'").scalar()
    assert retried == sum(isinstance(one.event, ev.JobRetried) for one in told)


def test_recorders_that_write_in_turns_do_not_starve_and_double_nothing(db: Database) -> None:
    jobs = [enqueued(offered=True) for _ in range(30)]
    logs = [ListLog(node * 16) for node in "xy"]
    recorders = [Recorder(db, log, FakeClock(START), streams=ReadAhead()) for log in logs]
    for n, job in enumerate(jobs):
        logs[n % 2].add(job)
        for recorder in recorders:
            recorder.run_once()
    for recorder in recorders:
        recorder.catch_up()
        recorder.close()
    assert once(db)[0] == 30 and queries.count_jobs(db, now=START).n == 30


@pytest.mark.parametrize(("point", "rows_then"), [("recorder.before_commit", 0), ("recorder.after_commit", 1)])
def test_a_crash_around_the_commit_of_entries_repeats_and_loses_nothing(
    db: Database, point: str, rows_then: int
) -> None:
    job = enqueued(offered=True)
    claim, end = leased(job.id)
    streamed = entries([Told(("a", JOBS), job), Told(DIRECT, claim), Told(("b", ENDS), end)])

    def die() -> None:
        raise KeyboardInterrupt

    faults.arm(point, die)
    try:
        with pytest.raises(KeyboardInterrupt):
            record(db, streamed)
    finally:
        faults.disarm()
    assert queries.count_jobs(db, now=START).n == rows_then
    record(db, streamed)
    assert once(db) == (1, 1)


def test_a_stream_that_begins_anew_is_followed_from_its_beginning(db: Database) -> None:
    first, second = enqueued(), enqueued()
    record(db, [Batch(QUEUE, "9-9", "n", JOBS, 1, 1, [1], [first])])
    anew = Batch(QUEUE, "5-1", "n", JOBS, 2, 2, [2], [second], gap=Gap(-1, "9-9", "5-1", START))
    record(db, [anew])
    record(db, [anew])
    assert queries.count_jobs(db, now=START).n == 2 and once(db)[0] == 2


def test_a_mark_from_before_nodes_had_names_stays_valid(db: Database) -> None:
    old = enqueued()
    record(db, [], _log("", [old]))
    journal = _log(NODE, [old], [enqueued()])
    record(db, [], journal)
    assert once(db)[0] == 2 and queries.recorded(db) == (2, START) and queries.recorded(db, NODE)[0] == 2


def _log(node: str, *segments: list[ev.Event]) -> ListLog:
    log = ListLog(node)
    for segment in segments:
        log.add(*segment)
    return log


# --- order ---


def test_what_comes_before_its_job_waits_for_it_and_is_swept_if_it_never_comes(db: Database) -> None:
    job, gone = enqueued(), job_id()
    claim, end = leased(job.id)
    record(db, entries([Told(("a", ENDS), end), Told(DIRECT, claim), Told(DIRECT, claimed(gone, token=TOKEN))]))
    assert queries.job(db, job.id) is None
    record(db, [Batch(QUEUE, "9-9", "b", JOBS, 1, 1, [1], [job])])
    found = queries.job(db, job.id)
    assert found is not None and (found.row.state, found.row.attempt) == ("completed", 1)
    assert decoded(found.result or msgspec.Raw()) == 1 and found.attempts[0].state == "completed"
    clock = FakeClock(START)
    recorder = Recorder(db, ListLog(), clock, streams=ReadAhead())
    clock.advance(2 * 86_400)
    recorder.run_once()
    recorder.close()
    with db.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM parked").scalar() == 0


def test_an_end_that_redis_refused_changes_no_state_but_is_an_attempt(db: Database) -> None:
    job = enqueued()
    first, late = leased(job.id)
    second = claimed(job.id, token=TOKEN + 9)
    record(
        db,
        [
            Batch(QUEUE, "1-1", "b", JOBS, 1, 1, [1], [job]),
            Batch(QUEUE, "2-2", "", "", 0, 0, (), [first, second]),
            Batch(QUEUE, "3-3", "a", ENDS, 1, 1, [1], [late], stale=frozenset({job.id})),
        ],
    )
    found = queries.job(db, job.id)
    assert found is not None and found.row.state == "running" and found.result is None
    assert [attempt.state for attempt in found.attempts] == ["completed"]


def test_a_journal_that_did_not_know_better_is_put_right_by_redis(db: Database) -> None:
    """Cut off, the node ended a job that others had taken over meanwhile."""
    job = enqueued(offered=True)
    claim, own_end = leased(job.id)
    record(db, [], _log(NODE, [job, own_end]))
    assert queries.job(db, job.id).row.state == "completed"  # type: ignore[union-attr]
    rescue = ended(ev.JobRescued, job.id, TOKEN, at=START + 4, started_at=0.0, worker="", queue=QUEUE)
    again = claimed(job.id, token=TOKEN + 5_000_000, at=START + 5, agent="host-bbbbbb")
    died = ended(ev.JobDied, job.id, TOKEN + 5_000_000, 2, at=START + 9, failure=failure(), queue=QUEUE)
    record(db, [Batch(QUEUE, "1-1", "", "", 0, 0, (), [claim, rescue, again])])
    running = queries.job(db, job.id)
    assert running is not None and (running.row.state, running.row.finished_at) == ("running", 0.0)
    assert running.result is None and running.row.agent == "host-bbbbbb"
    record(db, [Batch(QUEUE, "2-2", "b", ENDS, 1, 1, [1], [died])])
    found = queries.job(db, job.id)
    assert found is not None and (found.row.state, found.row.rescues) == ("dead", 1)
    assert [attempt.state for attempt in found.attempts] == ["completed", "dead"]


def test_a_job_that_waits_for_its_time_becomes_available_by_it_wherever_it_is(db: Database) -> None:
    job = enqueued(run_at=START + 60, needs="gpu,ocr")
    clock = FakeClock(START)
    recorder = Recorder(db, ListLog(), clock, streams=ReadAhead([Batch(QUEUE, "1-1", "b", JOBS, 1, 1, [1], [job])]))
    recorder.catch_up()
    assert queries.job(db, job.id).row.state == "scheduled"  # type: ignore[union-attr]
    clock.advance(61)
    recorder.catch_up()
    recorder.close()
    found = queries.job(db, job.id)
    assert found is not None and (found.row.state, found.needs) == ("available", ("gpu", "ocr"))


def test_a_job_that_is_handed_over_stays_as_it_was(story: Story) -> None:
    job = enqueued()
    story.tell(job, ev.JobsOffered(START + 1, QUEUE, [job.id]))
    assert queries.job(story.db, job.id).row.state == "available"  # type: ignore[union-attr]


# --- the link ---


def conflict(n: int, job: str, **fields: object) -> ev.ConflictFound:
    values = {
        "kind": "result",
        "node": "a",
        "first": "11",
        "later": "22",
        "body": b'{"token":"hunter2-hunter2"}',
        **fields,
    }
    return ev.ConflictFound(START + n, f"a:ends:{n}", job, QUEUE, **values)  # type: ignore[arg-type]


def test_conflicts_are_told_once_newest_first_with_the_job_as_it_stands(story: Story) -> None:
    job = enqueued(tenant="acme")
    story.tell(job, *completed(job.id), *(conflict(n, job.id) for n in range(5)))
    story.tell(conflict(4, job.id), conflict(7, "unknown", kind="late", body=b'"cut in the mid'))
    page = queries.conflicts(story.db, limit=4)
    assert [row.id for row in page.rows] == ["a:ends:7", "a:ends:4", "a:ends:3", "a:ends:2"]
    rest = queries.conflicts(story.db, limit=4, cursor=page.next_cursor)
    assert [row.id for row in rest.rows] == ["a:ends:1", "a:ends:0"] and rest.next_cursor is None
    cut, known = page.rows[0], page.rows[1]
    assert (known.task, known.tenant, known.state) == ("mail.send", "acme", "completed")
    assert decoded(known.body) == {"token": "[masked]"} and known.body_whole
    assert decoded(cut.body) == '"cut in the mid' and not cut.body_whole and cut.state == ""
    assert queries.count_conflicts(story.db) == 6 and queries.count_conflicts(story.db, tenant="acme") == 5
    assert queries.conflict(story.db, "a:ends:7", tenant="acme") is None
    assert [row.kind for row in queries.conflicts(story.db, kind="late").rows] == ["late"]
    with pytest.raises(ValidationError, match="cursor"):
        queries.conflicts(story.db, cursor="nonsense")


@pytest.mark.parametrize("decided_first", [False, True])
def test_a_conflict_that_is_decided_is_open_no_more_and_what_was_taken_stands(
    story: Story, decided_first: bool
) -> None:
    job = enqueued()
    found = conflict(1, job.id, body=b'{"other":true}')
    decided = ev.ConflictResolved(START + 9, "a:ends:1", "take", "eva")
    story.tell(job, *completed(job.id))
    for event in (decided, found) if decided_first else (found, decided):
        story.tell(event)
    assert queries.conflicts(story.db, open_only=True).rows == () and queries.count_conflicts(story.db) == 0
    (row,) = queries.conflicts(story.db).rows
    assert (row.choice, row.by, row.resolved_at) == ("take", "eva", START + 9)
    assert decoded(row.result or msgspec.Raw()) == {"other": True}


def test_a_decision_whose_conflict_is_unknown_is_not_shown(story: Story) -> None:
    story.tell(ev.ConflictResolved(START, "x", "keep", "eva"))
    assert queries.conflicts(story.db).rows == () and queries.conflict(story.db, "y") is None


def test_states_of_the_link_tell_how_long_each_lasted(story: Story) -> None:
    for n, state in enumerate(("connected", "airgapped", "recovering", "connected")):
        change = ev.LinkChanged(START + n * 10, "a", state, f"because {n}", n == 1, "eva" if n == 1 else "")
        story.tell(change, change)
    story.tell(ev.LinkChanged(START + 5, "b", "connected"))
    found = queries.link_changes(story.db, node="a").rows
    assert [(row.state, row.lasted) for row in found] == [
        ("connected", 0.0), ("recovering", 10.0), ("airgapped", 10.0), ("connected", 10.0),
    ]  # fmt: skip
    assert (found[2].forced, found[2].by, found[2].reason) == (True, "eva", "because 1")
    page = queries.link_changes(story.db, limit=2)
    rest = queries.link_changes(story.db, limit=9, cursor=page.next_cursor)
    assert len(page.rows) == 2 and len(rest.rows) == 3 and rest.rows[1].lasted == 0.0


def test_proofs_hold_what_both_sides_counted(story: Story) -> None:
    lanes = [("emails", "jobs", 7, "aa", 7, "aa"), ("emails", "ends", 9, "bb", 8, "cc")]
    proof = ev.ResyncProved(START + 5, "a", 3, START, 100, 4_096, 1, lanes, False, 12)
    story.tell(proof, proof, ev.ResyncProved(START + 9, "b", 1, START, 0, 0, 0, [], True))
    page = queries.proofs(story.db, limit=1)
    assert [row.node for row in page.rows] == ["b"]
    (row,) = queries.proofs(story.db, cursor=page.next_cursor).rows
    assert (row.epoch, row.events, row.bytes, row.conflicts, row.rewound, row.equal) == (3, 100, 4_096, 1, 12, False)
    assert [(lane.kind, lane.here, lane.there, lane.there_chain) for lane in row.lanes] == [
        ("jobs", 7, 7, "aa"), ("ends", 9, 8, "cc"),
    ]  # fmt: skip
    assert queries.proofs(story.db, node="a").rows == (row,)


def test_agents_tell_of_themselves_and_of_what_they_did(story: Story) -> None:
    info: dict[str, str | int | float] = {
        "host": "h",
        "pid": 7,
        "fleet": "main",
        "name": "gpu-1",
        "capabilities": "gpu,ocr",
    }
    job, other = enqueued(), enqueued()
    story.tell(ev.AgentStarted(START, "host-aaaaaa", info), job, other, *completed(job.id))
    story.tell(
        claimed(other.id, token=2), ended(ev.JobRetryScheduled, other.id, 2, failure=failure(), run_at=START + 9)
    )
    story.tell(ev.AgentStopped(START - 5, "host-aaaaaa", "killed"))
    (agent,) = queries.agents(story.db)
    assert (agent.fleet, agent.name, agent.capabilities) == ("main", "gpu-1", ("gpu", "ocr"))
    assert (agent.completed, agent.failed, agent.first_at) == (1, 1, START - 5)
    assert agent.stopped_at == 0.0 and agent.reason == ""
    story.tell(ev.AgentStopped(START + 90, "host-aaaaaa", "by hand"), ev.AgentStarted(START, "host-aaaaaa", info))
    (agent,) = queries.agents(story.db)
    assert (agent.stopped_at, agent.reason, agent.completed) == (START + 90, "by hand", 1)


def test_old_states_proofs_and_decided_conflicts_go_and_open_conflicts_stay(story: Story) -> None:
    story.tell(
        ev.LinkChanged(START, "a", "connected"),
        ev.ResyncProved(START, "a", 1, START, 0, 0, 0, [], True),
        conflict(1, "x"),
        conflict(2, "y"),
        ev.ConflictResolved(START + 3, "a:ends:1", "keep", "eva"),
    )
    later = START + 100 * 86_400
    assert queries.has_old(story.db, later, 30) and queries.prune(story.db, later, 30) == 0
    assert not queries.has_old(story.db, later, 30)
    assert queries.link_changes(story.db).rows == () and queries.proofs(story.db).rows == ()
    assert [row.id for row in queries.conflicts(story.db).rows] == ["a:ends:2"]


# --- databases from before fleets ---


def test_a_database_of_the_first_shape_is_brought_up_and_goes_on(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    import data.migrations

    config = Config()
    config.set_main_option("script_location", str(Path(data.migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    old = Opened("", tmp_path)
    job = enqueued()
    with old.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO marks (name, position, at) VALUES ('recorder', 1, 5)")
        connection.exec_driver_sql(
            "INSERT INTO agents VALUES ('host-old', 'h', 1, '1.0', 7.0, 9.0, 8.0, 'killed', '{}')"
        )
    old.close()
    db = open_database("", tmp_path)
    record(db, [], _log(NODE, [enqueued()], [job, *completed(job.id)]))
    (agent,) = [row for row in queries.agents(db) if row.agent == "host-old"]
    assert (agent.first_at, agent.stopped_at, agent.reason) == (7.0, 8.0, "killed")
    assert queries.count_jobs(db, now=START).n == 1 and queries.recorded(db, NODE) == (2, START + 2)
    assert rows(db)["jobs"]
    db.close()
