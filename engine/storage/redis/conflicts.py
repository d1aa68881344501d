"""Conflicts as Redis finds them, made into records: by whoever sent what came too late, and by every reader of the stream.

Both make the very same record, so that it is one conflict whichever way it comes.  Redis keeps no hashes: it answers the
outcome that stands, and the hash is made of it here, where both outcomes are known.
"""

from __future__ import annotations

import hashlib

import msgspec

from engine.kernel import events as ev

#: bytes of a later outcome that are kept
BODY_LIMIT = 16_384

_json = msgspec.json.encode
_decode = msgspec.msgpack.Decoder(ev.AnyEvent).decode


def outcome(end: ev.AttemptEnded) -> bytes:
    """What came out of an attempt, as JSON: its result, or why there is none."""
    if isinstance(end, ev.JobCompleted):
        return end.result if end.result is not None else b"null"
    told: dict[str, str] = {"state": str(end.state)}
    if end.failure is not None:
        told |= {"type": end.failure.type, "message": end.failure.message}
    if end.reason:
        told["reason"] = end.reason
    return _json(told)


def hash_of(end: ev.AttemptEnded) -> str:
    """SHA-256 in hex of an outcome."""
    return hashlib.sha256(outcome(end)).hexdigest()


def double(id_: str, at: float, node: str, queue: str, later: ev.Event, kind: str, stands: bytes) -> ev.ConflictFound:
    """An end that came too late: ``stands`` is the end that was there first as it was written, empty if there is none."""
    if not isinstance(later, ev.AttemptEnded):
        raise ValueError(f"{type(later).__name__} of {node} is no end that could come too late")
    first = _decode(stands) if stands else None
    known = hash_of(first) if isinstance(first, ev.AttemptEnded) else ""
    return ev.ConflictFound(at, id_, later.id, queue, kind, node, known, hash_of(later), outcome(later)[:BODY_LIMIT])


def key_taken(id_: str, at: float, node: str, queue: str, job: str, kind: str, first: str) -> ev.ConflictFound:
    """A job whose request or unique key another job had; ``kind`` is ``request`` or ``unique``."""
    return ev.ConflictFound(at, id_, job, queue, kind, node, first, job)
