"""The events of a lane as moves that a script carries out, and shipments cut to a size that one script call bears.

Redis' own msgpack knows no byte strings, so a move holds what the script must know — id, token, times — and the length of
the event as it was written; the events themselves follow in one blob, which the script cuts and never decodes.  A move is
``[kind, length, …]`` with the kinds of the table below; whatever changes no job is a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from engine.kernel import events as ev
from engine.storage.lanes import Mark, Numbered, Shipment, chained
from engine.storage.redis.endings import token_text

#: most events, and about the most bytes of them, that one script call takes
CALL_EVENTS, CALL_BYTES = 500, 1 << 20

NOTE, ENQUEUED, OFFERED, ENDED, STARTED, PROGRESSED, CANCEL, RETRIED, DELETED, PAUSED = range(10)

_pack = msgspec.msgpack.encode

Move = list[Any]


def packed(events: Sequence[Numbered]) -> tuple[bytes, bytes]:
    """The moves of some events, and the blob of the events."""
    moves: list[Move] = [_MOVES.get(type(entry.event), _note)(entry.event, len(entry.raw)) for entry in events]
    return _pack(moves), b"".join([entry.raw for entry in events])


def numbers_of(shipment: Shipment) -> bytes:
    """The numbers of the events: the first, and how far each is from the one before."""
    numbers = [entry.number for entry in shipment.events]
    return _pack(numbers[:1] + [later - number for number, later in pairwise(numbers)])


def cut(shipment: Shipment) -> Iterator[Shipment]:
    """The shipment in pieces that one call bears, each with the marks before and after it."""
    if len(shipment.events) <= CALL_EVENTS and _bytes(shipment.events) <= CALL_BYTES:
        yield shipment
        return
    before = shipment.before
    for piece in _pieces(shipment.events):
        after = _advanced(before, piece)
        yield Shipment(shipment.lane, before, after, piece)
        before = after


def _pieces(events: Sequence[Numbered]) -> Iterator[Sequence[Numbered]]:
    begin = size = 0
    for index, entry in enumerate(events):
        if index > begin and (index - begin == CALL_EVENTS or size + len(entry.raw) > CALL_BYTES):
            yield events[begin:index]
            begin, size = index, 0
        size += len(entry.raw)
    yield events[begin:]


def _advanced(mark: Mark, events: Sequence[Numbered]) -> Mark:
    chain = mark.chain
    for entry in events:
        chain = chained(chain, entry.number, entry.raw)
    return Mark(events[-1].number, chain)


def _bytes(events: Sequence[Numbered]) -> int:
    return sum([len(entry.raw) for entry in events])


def _note(event: ev.Event, length: int) -> Move:
    return [NOTE, length]


def _enqueued(job: ev.JobEnqueued, length: int) -> Move:
    return [
        ENQUEUED, length, job.id, job.offered, job.at, job.run_at, job.priority, job.tenant, job.needs, job.expires_at,
        job.unique, job.idempotency_key, job.max_attempts, job.task,
    ]  # fmt: skip


def _offered(event: ev.JobsOffered, length: int) -> Move:
    return [OFFERED, length, event.ids, event.at]


def _ended(end: ev.AttemptEnded, length: int) -> Move:
    return [
        ENDED, length, end.id, _LETTERS[type(end)], token_text(end.token), end.attempt, end.started_at > 0, end.run_at, end.at,
        end.reason == ev.CRASHED or end.reason == ev.POISON,
    ]  # fmt: skip


def _started(event: ev.JobStarted, length: int) -> Move:
    return [STARTED, length, event.id, token_text(event.token), event.at]


def _progressed(event: ev.JobProgressed, length: int) -> Move:
    return [PROGRESSED, length, event.id, token_text(event.token)]


def _cancel(event: ev.CancelRequested, length: int) -> Move:
    return [CANCEL, length, event.id, event.by, event.at]


def _retried(event: ev.JobRetried, length: int) -> Move:
    return [RETRIED, length, event.id, event.extra, event.run_at, event.at]


def _deleted(event: ev.JobDeleted, length: int) -> Move:
    return [DELETED, length, event.id]


def _paused(event: ev.QueuePaused, length: int) -> Move:
    return [PAUSED, length, True]


def _resumed(event: ev.QueueResumed, length: int) -> Move:
    return [PAUSED, length, False]


#: the letter of each end, as in its tag on disk
_LETTERS: dict[type, str] = {
    ev.JobCompleted: "C",
    ev.JobCancelled: "X",
    ev.JobDied: "D",
    ev.JobRetryScheduled: "R",
    ev.JobSnoozed: "Z",
    ev.JobReleased: "L",
    ev.JobRescued: "U",
}

_MOVES: dict[type, Callable[[Any, int], Move]] = {
    ev.JobEnqueued: _enqueued,
    ev.JobsOffered: _offered,
    **dict.fromkeys(_LETTERS, _ended),
    ev.JobStarted: _started,
    ev.JobProgressed: _progressed,
    ev.CancelRequested: _cancel,
    ev.JobRetried: _retried,
    ev.JobDeleted: _deleted,
    ev.QueuePaused: _paused,
    ev.QueueResumed: _resumed,
}
