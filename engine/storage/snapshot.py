"""Taking the state of a fold while it goes on working, and loading it again.

The table of live jobs is captured in chunks, the lock being held for one chunk at a time; a job that changes before its
chunk's turn is captured just before the change (``Fold.before_change``), so that the whole is the state at the moment at
which the snapshot began.  Everything else is small and is captured at once.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator

import msgspec

from engine.kernel.job import Job
from engine.storage.fold import Fold
from engine.storage.guests import GUESTS, Guest
from engine.storage.records import Ended, Value

#: jobs per chunk: the lock is held about half a millisecond
CHUNK = 500


class Head(msgspec.Struct, tag="head"):
    """All but the jobs and the ended ones."""

    token: int
    paused: list[str]
    requests: list[tuple[str, str, float]]
    values: dict[str, Value]
    progress: dict[str, tuple[float, str]]
    #: token -> agent of the claims that were carried away
    carriers: dict[int, str] = {}


class Jobs(msgspec.Struct, tag="jobs"):
    """Some live jobs."""

    jobs: list[Job]


class EndedJobs(msgspec.Struct, tag="ended"):
    """Some lately ended jobs, oldest first."""

    ended: list[Ended]


class SomeGuests(msgspec.Struct, tag="guests"):
    """Some guests, and the number of the last outcome of all."""

    number: int
    guests: list[Guest]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head | Jobs | EndedJobs | SomeGuests).decode


def take(fold: Fold, lock: threading.RLock) -> Iterator[bytes]:
    """Begin a snapshot now (the lock is held by the caller) and return its chunks, to be drawn without the lock."""
    head = _encode(_head(fold))
    left = dict.fromkeys(fold.jobs)
    early: list[Job] = []
    ended = list(fold.ended.values())
    guests = SomeGuests(fold.guests.number, list(fold.guests.by_id.values()))

    def capture(job: Job) -> None:
        if job.id in left:
            del left[job.id]
            early.append(copy.copy(job))

    fold.before_change = capture
    return _chunks(fold, lock, head, left, early, ended, guests)


def _chunks(
    fold: Fold,
    lock: threading.RLock,
    head: bytes,
    left: dict[str, None],
    early: list[Job],
    ended: list[Ended],
    guests: SomeGuests,
) -> Iterator[bytes]:
    try:
        yield head
        while left:
            with lock:
                ids = [id_ for id_, _ in zip(left, range(CHUNK), strict=False)]
                chunk = _encode(Jobs([fold.jobs[id_] for id_ in ids]))
                for id_ in ids:
                    del left[id_]
            yield chunk
    finally:
        with lock:
            fold.before_change = None
    for start in range(0, len(early), CHUNK):
        yield _encode(Jobs(early[start : start + CHUNK]))
    for start in range(0, len(ended), CHUNK * 4):
        yield _encode(EndedJobs(ended[start : start + CHUNK * 4]))
    for start in range(0, max(len(guests.guests), 1), CHUNK):  # the number also where no guest is left
        yield _encode(SomeGuests(guests.number, guests.guests[start : start + CHUNK]))


def _head(fold: Fold) -> Head:
    return Head(
        fold.token,
        [queue.name for queue in fold.queues.values() if queue.paused],
        [(key, id_, until) for key, (id_, until) in fold.requests.items()],
        dict(fold.values),
        dict(fold.progress),
        {token: lease.agent for token, lease in fold.leases.items() if lease.carried},
    )


def load(fold: Fold, chunks: Iterable[bytes]) -> None:
    """Put the chunks of a snapshot into an empty fold."""
    carriers: dict[int, str] = {}
    for chunk in chunks:
        part = _decode(chunk)
        if isinstance(part, Head):
            carriers = part.carriers
            _load_head(fold, part)
        elif isinstance(part, SomeGuests):
            fold.guests.restore(part.guests, part.number)
        elif isinstance(part, Jobs):
            fold.place_all(part.jobs)
        else:
            for ended in part.ended:
                fold.remember(ended)
    _rebuild_leases(fold, carriers)


def _load_head(fold: Fold, head: Head) -> None:
    fold.token = head.token
    for name in head.paused:
        fold.queue(name).paused = True
    fold.requests.update((key, (id_, until)) for key, id_, until in head.requests)
    fold.values.update(head.values)
    for key, value in head.values.items():
        if key.startswith(GUESTS):
            fold.guests.admit(key, value.value)
    fold.progress.update(head.progress)


def _rebuild_leases(fold: Fold, carriers: dict[int, str]) -> None:
    """Leases follow from the jobs' tokens; whoever held them before the restart is gone, unless they are carried."""
    held: dict[int, set[str]] = {}
    for job in fold.jobs.values():
        if job.token:
            held.setdefault(job.token, set()).add(job.id)
    for token, ids in held.items():
        fold.hold(token, carriers.get(token, ""), ids)
