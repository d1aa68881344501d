"""``GET /v1/jobs/{id}/events``: what happens to a job, as server-sent events, until it ends.

One subscriber of the bus serves all streams: ``JobWatch`` looks up each event's job among those watched, and costs nothing
while nobody watches.  A stream subscribes before it reads the job, so that nothing falls between.  It sends ``job`` (the
whole job) whenever its state moves, ``progress``, ``log`` and ``output`` as they come, and ``end`` with the last reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from console import reading
from console.api.answers import reader_of
from console.context import Console
from console.records import as_json
from data.masking import mask_json, mask_text
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import iso
from engine.kernel.errors import NotFound
from engine.kernel.job import TERMINAL

#: seconds of silence after which a comment keeps the connection open
HEARTBEAT = 15.0
#: streams that one process serves at a time
MOST_STREAMS = 500
#: events waiting for a slow reader; what is beyond is dropped, the next ``job`` event tells the state anyway
MOST_WAITING = 1_000

Inbox = asyncio.Queue[ev.Event | None]


class JobWatch:
    """Carries events of watched jobs from the engine's threads to the streams."""

    def __init__(self, bus: Bus) -> None:
        self._watched: dict[str, tuple[tuple[asyncio.AbstractEventLoop, Inbox], ...]] = {}
        self._closing = False
        bus.subscribe(self._take)

    def open(self, id: str) -> tuple[Inbox, Callable[[], None]]:
        """An inbox for the events of a job, and what ends it.  Call on the event loop."""
        inbox: Inbox = asyncio.Queue(MOST_WAITING)
        place = (asyncio.get_running_loop(), inbox)
        self._watched[id] = (*self._watched.get(id, ()), place)
        if self._closing:
            inbox.put_nowait(None)

        def end() -> None:
            left = tuple(other for other in self._watched.get(id, ()) if other is not place)
            if left:
                self._watched[id] = left
            else:
                self._watched.pop(id, None)

        return inbox, end

    def close(self) -> None:
        """End all streams: the process stops."""
        self._closing = True
        for places in list(self._watched.values()):
            for loop, inbox in places:
                loop.call_soon_threadsafe(_offer, inbox, None)

    def __len__(self) -> int:
        return sum(map(len, self._watched.values()))

    def _take(self, events: Sequence[ev.Event]) -> None:
        watched = self._watched
        if not watched:
            return
        for event in events:
            for id in event.ids if isinstance(event, ev.JobsClaimed) else (getattr(event, "id", ""),):
                for loop, inbox in watched.get(id, ()):
                    loop.call_soon_threadsafe(_offer, inbox, event)


def _offer(inbox: Inbox, event: ev.Event | None) -> None:
    if inbox.full():
        inbox.get_nowait()
    inbox.put_nowait(event)


def router(console: Console, watch: JobWatch) -> APIRouter:
    """The route of event streams."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    @routes.get("/{id}/events", response_class=StreamingResponse)
    async def events(request: Request, id: str) -> StreamingResponse:
        """Server-sent events until the job ends."""
        tenant = reader_of(request)
        if len(watch) >= MOST_STREAMS:
            raise HTTPException(503, f"{MOST_STREAMS} streams are open; ask for the job instead")
        inbox, end = watch.open(id)
        first = await asyncio.to_thread(reading.job, console, id, tenant=tenant)
        if first is None:
            end()
            raise NotFound(f"there is no job {id:.60}")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        stream = _stream(lambda: reading.job(console, id, tenant=tenant), first, inbox, end)
        return StreamingResponse(stream, headers=headers, media_type="text/event-stream")

    return routes


async def _stream(
    read: Callable[[], reading.Job | None], first: reading.Job, inbox: Inbox, end: Callable[[], None]
) -> AsyncIterator[bytes]:
    job: reading.Job | None = first
    try:
        yield _message("job", as_json(first))
        while job is not None and job.state not in TERMINAL:
            try:
                event = await asyncio.wait_for(inbox.get(), HEARTBEAT)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if event is None:
                return
            told = _told(event)
            if told is not None:
                yield _message(*told)
                continue
            job = await asyncio.to_thread(read)
            if job is not None:
                yield _message("job", as_json(job))
        yield _message("end", {"state": job.state if job else "deleted"})
    finally:
        end()


def _told(event: ev.Event) -> tuple[str, dict[str, Any]] | None:
    """The message of an event that moves no state."""
    if isinstance(event, ev.JobProgressed):
        return "progress", {"attempt": event.attempt, "value": event.value, "message": mask_text(event.message)}
    if isinstance(event, ev.JobLogged):
        lines = [{"at": iso(at), "level": level, "text": mask_text(text)} for at, level, text in event.lines]
        return "log", {"attempt": event.attempt, "lines": lines}
    if isinstance(event, ev.JobOutput):
        return "output", {"attempt": event.attempt, "name": event.name, "value": msgspec.Raw(mask_json(event.value))}
    return None


def _message(kind: str, value: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(value))
