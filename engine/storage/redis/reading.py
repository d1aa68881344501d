"""Records of jobs as the scripts answer them (``lua/lib.lua`` says how they look), made into jobs and views."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from engine.kernel import events as ev
from engine.kernel.job import Failure, Job, JobState, JobView

#: state letter -> state; what a node holds for itself waits for that node
STATES = {
    b"A": JobState.AVAILABLE, b"S": JobState.SCHEDULED, b"Y": JobState.RETRYABLE, b"R": JobState.RUNNING,
    b"D": JobState.DEAD, b"O": JobState.AVAILABLE, b"C": JobState.COMPLETED, b"X": JobState.CANCELLED,
}  # fmt: skip
LETTERS = {
    JobState.AVAILABLE: "A", JobState.SCHEDULED: "S", JobState.RETRYABLE: "Y", JobState.RUNNING: "R",
    JobState.DEAD: "D", JobState.COMPLETED: "C", JobState.CANCELLED: "X",
}  # fmt: skip
#: why a job waits that a node took for itself
OWNED = "a node that was cut off holds it for itself"

_claimed = struct.Struct(">xI19xIIIBB").iter_unpack
_record = struct.Struct(">cI16sxccIIIBBccddHH")
_enqueued = msgspec.msgpack.Decoder(list[ev.JobEnqueued]).decode
_one_enqueued = msgspec.msgpack.Decoder(ev.JobEnqueued).decode
_end = msgspec.msgpack.Decoder(ev.AnyEvent).decode


def claimed_jobs(heads: bytes, events: bytes, token: int) -> list[Job]:
    """Jobs of a claim."""
    running = JobState.RUNNING
    return [
        Job(
            e.id, e.queue, e.task, e.payload, e.priority, e.tenant, e.at, e.run_at, e.expires_at, e.max_attempts,
            e.timeout, e.unique, running, attempt, crashes, rescues, token, False, None, waived, extra, 0.0, "",
            e.idempotency_key, e.needs,
        )
        for e, (attempt, waived, extra, _, crashes, rescues) in zip(_enqueued(events), _claimed(heads), strict=True)
    ]  # fmt: skip


class Record(msgspec.Struct, frozen=True, gc=False):
    """The record of a job, taken apart."""

    state: bytes
    attempt: int
    token: int
    cancelling: bool
    band: int
    extra: int
    most: int
    crashes: int
    expires: bool
    created_at: float
    started_at: float
    tenant: str
    needs: str
    task: str
    #: what stands behind it
    rest: bytes


def record_of(raw: bytes) -> Record:
    """Take a record apart."""
    (state, attempt, token, cancelling, band, _, extra, most, crashes, _, _, expires, created, started, lane, task) = (
        _record.unpack_from(raw)
    )
    head = _record.size
    needs, _, tenant = raw[head : head + lane].decode().partition("\0")
    name = raw[head + lane : head + lane + task].decode()
    return Record(
        state, attempt, int(token), cancelling == b"1", band[0], extra, most, crashes, expires == b"1", created, started,
        tenant, needs, name, raw[head + lane + task :],
    )  # fmt: skip


def view_of(id_: str, queue: str, found: Sequence[bytes]) -> JobView | None:
    """What ``get.lua`` answered for an id."""
    if not found:
        return None
    record = record_of(found[0])
    return _ended(id_, queue, record) if len(found) == 1 else _live(record, found)


def end_of(raw: bytes) -> ev.AttemptEnded | None:
    """An end as written; ``None`` where nobody wrote one."""
    event = _end(raw) if raw else None
    return event if isinstance(event, ev.AttemptEnded) else None


def _ended(id_: str, queue: str, record: Record) -> JobView:
    end = end_of(record.rest)
    return JobView(
        id_, queue, record.task, STATES[record.state], record.band, record.tenant, record.created_at, 0.0, 0.0,
        record.most, 0.0, record.attempt, record.crashes, b"", False, end.started_at if end else 0.0,
        end.at if end else 0.0, end.result if end else None, end.failure if end else None,
        reason=end.reason if end else "",
    )  # fmt: skip


def _live(record: Record, found: Sequence[bytes]) -> JobView:
    job = _one_enqueued(found[1])
    failed, snoozed, words = end_of(found[2]), end_of(found[3]), _words(found[4])
    state = STATES[record.state]
    return JobView(
        job.id, job.queue, job.task, state, record.band, job.tenant, job.at, float(found[5] or job.run_at),
        job.expires_at if record.expires else 0.0, record.most + record.extra, job.timeout, record.attempt, record.crashes,
        job.payload, record.cancelling, record.started_at, failed.at if failed and state == JobState.DEAD else 0.0, None,
        _failure(failed), words[0], words[1], _reason(record, failed, snoozed), job.idempotency_key, job.needs,
    )  # fmt: skip


def _failure(failed: ev.AttemptEnded | None) -> Failure | None:
    return failed.failure if failed else None


def _reason(record: Record, failed: ev.AttemptEnded | None, snoozed: ev.AttemptEnded | None) -> str:
    if record.state == b"O":
        return OWNED
    if record.state == b"D":
        return failed.reason if failed else ""
    return snoozed.reason if snoozed else ""


def _words(raw: bytes) -> tuple[float | None, str]:
    event = _end(raw) if raw else None
    return (event.value, event.message) if isinstance(event, ev.JobProgressed) else (None, "")
