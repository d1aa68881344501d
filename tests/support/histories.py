"""Builders for tests of history: events with sensible values, and a log of them in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.kernel import events as ev
from engine.kernel.job import Failure
from engine.storage.base import Stretch

#: when the stories of these tests begin
START = 1_700_000_000.0
_ids = itertools.count(1)


class ListLog:
    """An ``EventLog`` in a list: each ``add`` is a segment."""

    def __init__(self, node: str = "") -> None:
        self.node = node
        self.segments: list[Sequence[ev.Event]] = []

    def add(self, *events: ev.Event) -> None:
        self.segments.append(events)

    def head(self) -> int:
        return len(self.segments)

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        for number in range(after, min(len(self.segments), after + most)):
            first = 1 + sum(len(events) for events in self.segments[:number]) if self.node else 0
            yield Stretch(number + 1, self.segments[number], first)


def job_id(n: int | None = None) -> str:
    """A job id that sorts by ``n``."""
    number = next(_ids) if n is None else n
    return f"018bcfe5-{number >> 16:04x}-7{number & 0xFFF:03x}-8000-{number:012x}"


def payload(args: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, correlation: str = "") -> bytes:
    return msgspec.json.encode({"v": 1, "args": args or {}, "metadata": metadata or {}, "correlation_id": correlation})


def enqueued(id: str | None = None, at: float = START, **fields: Any) -> ev.JobEnqueued:
    args, metadata = fields.pop("args", None), fields.pop("metadata", None)
    correlation = fields.pop("correlation_id", "")
    values = {"queue": "default", "task": "mail.send", "max_attempts": 3, **fields}
    values.setdefault("payload", payload(args, metadata, correlation))
    return ev.JobEnqueued(at=at, id=id or job_id(), **values)


def claimed(*ids: str, token: int = 1, at: float = START + 1, agent: str = "host-aaaaaa") -> ev.JobsClaimed:
    return ev.JobsClaimed(at, token, agent, list(ids))


def started(id: str, token: int = 1, attempt: int = 1, at: float = START + 1.5) -> ev.JobStarted:
    return ev.JobStarted(at, id, token, attempt, "host-aaaaaa/worker-1")


def ended(
    kind: type[ev.AttemptEnded], id: str, token: int = 1, attempt: int = 1, at: float = START + 2, **fields: Any
) -> Any:
    """An end of an attempt that began half a second before, unless ``started_at`` says otherwise."""
    began = fields.setdefault("started_at", at - 0.5 if token else 0.0)
    fields.setdefault("duration", at - began if began else 0.0)
    fields.setdefault("worker", "host-aaaaaa/worker-1" if token else "")
    return kind(at=at, id=id, token=token, attempt=attempt, **fields)


def failure(type: str = "ValueError", message: str = "no", fingerprint: str = "f1") -> Failure:
    return Failure(type, message, f"Traceback: {type}: {message}", fingerprint)


def completed(id: str, at: float = START + 2, **fields: Any) -> list[ev.Event]:
    """A claim and a completion."""
    token = fields.pop("token", 1)
    return [
        claimed(id, token=token, at=at - 0.5),
        ended(ev.JobCompleted, id, token, at=at, **{"result": b"null", **fields}),
    ]


def dead(id: str, at: float = START + 2, error: Failure | None = None, token: int = 1) -> list[ev.Event]:
    """A claim and a death."""
    return [claimed(id, token=token, at=at - 0.5), ended(ev.JobDied, id, token, at=at, failure=error or failure())]
