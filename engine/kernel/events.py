"""Everything that happens, as immutable records in the past tense; ``bus`` carries them.

The journal stores these very records (msgpack arrays with a short tag, so fields are only ever *added at the end, with a
default*); the fold rebuilds the live state from them; recorder, metrics, alerts and the live feed read them.  A reader
meets batches in the order in which they became durable.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.kernel.job import Failure, JobState


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=False):
    """Something that happened; ``at`` is wall time in seconds."""


class JobEnqueued(Event, tag="E"):
    """A job was accepted."""

    at: float
    id: str
    queue: str
    task: str
    payload: bytes
    priority: int = 5
    tenant: str = ""
    #: wall time before which it must not start, 0 for at once
    run_at: float = 0.0
    #: wall time after which it is not started any more, 0 for never
    expires_at: float = 0.0
    max_attempts: int = 1
    #: seconds one attempt may run, 0 for no limit
    timeout: float = 0.0
    #: names the request: the same key again gives the first job, also after it ended (until ``idempotency_ttl``)
    idempotency_key: str = ""
    #: held by one waiting or running job of a queue at a time
    unique: str = ""
    #: capabilities that an agent must have to run it, sorted, with commas between
    needs: str = ""
    #: written down before the job is sent to Redis: from then on it runs only under a lease of Redis
    offered: bool = False


class JobsClaimed(Event, tag="K"):
    """An agent took jobs under one lease."""

    at: float
    token: int
    agent: str
    ids: list[str]


class JobStarted(Event, tag="S"):
    """An attempt began to run.  Not written when its end is in the same commit."""

    at: float
    id: str
    token: int
    attempt: int
    #: who runs it, ``agent/worker``
    worker: str
    queue: str = ""


class AttemptEnded(Event):
    """The end of an attempt; the subclass says how.  ``state`` is what the job becomes."""

    state: ClassVar[JobState]

    at: float
    id: str
    token: int
    attempt: int
    worker: str = ""
    #: 0 if it is not known to have started
    started_at: float = 0.0
    #: seconds of running
    duration: float = 0.0
    #: CPU seconds of the thread or process that ran it, -1 if not measured
    cpu: float = -1.0
    #: bytes of resident memory of the process that ran it, 0 if not measured
    memory: int = 0
    #: JSON, for completed jobs
    result: bytes | None = None
    failure: Failure | None = None
    #: when the job may run again, for retryable, snoozed and released ones
    run_at: float = 0.0
    #: why, in words: snooze reason, who cancelled, what killed it
    reason: str = ""
    #: the job's queue, so that who counts needs to remember no jobs
    queue: str = ""


#: ``reason`` of a ``JobRescued`` whose attempt is known to have run when its holder died; counts towards poison
CRASHED = "its worker died"
#: ``reason`` of a ``JobRescued`` that was claimed with others and may not have started
UNKNOWN_START = "its holder died; it may not have started"
#: ``reason`` of a ``JobDied`` that killed its worker too often
POISON = "poison: its worker died under it too often"
#: ``reason`` of a ``JobCancelled`` that had been claimed and had not begun when it was asked to stop
REVOKED = "cancelled before it began"
#: ``reason`` of a ``JobCancelled`` that had been asked to stop, and would have run again
UNWANTED = "cancelled while it ran"
#: the same where its holder died, so that nobody can say whether it ran
GIVEN_UP = "asked to stop, and its holder died"


class JobCompleted(AttemptEnded, tag="C"):
    state = JobState.COMPLETED


class JobRetryScheduled(AttemptEnded, tag="R"):
    state = JobState.RETRYABLE


class JobSnoozed(AttemptEnded, tag="Z"):
    """Uses up no attempt."""

    state = JobState.SCHEDULED


class JobReleased(AttemptEnded, tag="L"):
    """Handed back unfinished by an agent that stops; no error, uses up no attempt."""

    state = JobState.AVAILABLE


class JobRescued(AttemptEnded, tag="U"):
    """Taken back from a holder that died; counted apart from errors."""

    state = JobState.AVAILABLE


class JobCancelled(AttemptEnded, tag="X"):
    """Ended by someone's wish, or not started in time; ``token`` is 0 if it was not running."""

    state = JobState.CANCELLED


class JobDied(AttemptEnded, tag="D"):
    """Failed for good: attempts exhausted, discarded, or poison (killed its worker too often)."""

    state = JobState.DEAD


class CancelRequested(Event, tag="Q"):
    """Someone asked a running job to stop."""

    at: float
    id: str
    by: str = ""
    queue: str = ""


class JobRetried(Event, tag="T"):
    """Someone sent a dead job back, or made a waiting one due; it may be tried ``extra`` times more."""

    at: float
    id: str
    by: str = ""
    extra: int = 1
    run_at: float = 0.0
    queue: str = ""


class JobDeleted(Event, tag="N"):
    """Someone removed a dead or waiting job and its history."""

    at: float
    id: str
    by: str = ""
    queue: str = ""


class JobProgressed(Event, tag="P"):
    """A task told how far it is."""

    at: float
    id: str
    attempt: int
    #: 0–1
    value: float
    message: str = ""
    queue: str = ""
    token: int = 0


class JobLogged(Event, tag="G"):
    """A task wrote log lines."""

    at: float
    id: str
    attempt: int
    #: (wall time, level name, text)
    lines: list[tuple[float, str, str]]
    queue: str = ""
    token: int = 0


class JobOutput(Event, tag="O"):
    """A task gave an intermediate output (JSON); the last of each ``name`` counts."""

    at: float
    id: str
    attempt: int
    name: str
    value: bytes
    queue: str = ""
    token: int = 0


class QueuePaused(Event, tag="qp"):
    at: float
    queue: str
    by: str = ""


class QueueResumed(Event, tag="qr"):
    at: float
    queue: str
    by: str = ""


class ValueSet(Event, tag="vs"):
    """A key-value entry was written; ``expires_at`` 0 for never."""

    at: float
    key: str
    value: bytes
    expires_at: float = 0.0


class ValueDeleted(Event, tag="vd"):
    at: float
    key: str


class AgentStarted(Event, tag="as"):
    """An engine process began; ``info`` holds host, pid, version, concurrency, queues."""

    at: float
    agent: str
    info: dict[str, str | int | float]


class AgentStopped(Event, tag="ae"):
    at: float
    agent: str
    #: "" for a graceful stop
    reason: str = ""


class EntryQuarantined(Event, tag="xq"):
    """Something in the store could not be opened and was set aside."""

    at: float
    what: str
    reason: str


class JobsOffered(Event, tag="of"):
    """Waiting jobs of a queue were handed over to Redis; from then on they run only under a lease of Redis."""

    at: float
    queue: str
    ids: list[str]


class LinkChanged(Event, tag="lk"):
    """The link to Redis came into another state."""

    at: float
    node: str
    #: standalone, connected, airgapped, recovering
    state: str
    #: why, in words
    reason: str = ""
    #: held by hand
    forced: bool = False
    #: who asked for it, "" if nobody did
    by: str = ""


class ConflictFound(Event, tag="cf"):
    """Two sides of a partition did what cannot both stand; the first stands, this says what came later."""

    at: float
    #: of the conflict: ``node:lane:number``, so that a repeat is the same conflict
    id: str
    job: str
    queue: str
    #: ``result`` (a second outcome), ``late`` (an outcome after the lease was lost), ``request`` (idempotency key taken
    #: on both sides), ``unique`` (unique key held on both sides)
    kind: str
    #: node whose event came later
    node: str
    #: SHA-256 in hex of the outcome (or id of the job) that stands; "" while it is still to come
    first: str
    #: the same of what came later
    later: str
    #: the later outcome, as JSON, cut to 16 KiB
    body: bytes = b""


class ConflictResolved(Event, tag="cr"):
    """A person decided a conflict: ``keep`` what stands, or ``take`` what came later."""

    at: float
    id: str
    choice: str
    by: str = ""


class ResyncProved(Event, tag="pf"):
    """A resync ended; what both sides counted."""

    at: float
    node: str
    epoch: int
    began_at: float
    #: events sent, bytes of them, and conflicts found
    events: int
    bytes: int
    conflicts: int
    #: for each lane: queue, kind, and here and there the last event's number and the chain in hex
    lanes: list[tuple[str, str, int, str, int, str]]
    #: whether both sides agree on every lane
    equal: bool
    #: how far back Redis had gone, in numbers of events, all lanes together; 0 if it had not
    rewound: int = 0


AnyEvent = (
    JobEnqueued
    | JobsClaimed
    | JobStarted
    | JobCompleted
    | JobRetryScheduled
    | JobSnoozed
    | JobReleased
    | JobRescued
    | JobCancelled
    | JobDied
    | CancelRequested
    | JobRetried
    | JobDeleted
    | JobProgressed
    | JobLogged
    | JobOutput
    | QueuePaused
    | QueueResumed
    | ValueSet
    | ValueDeleted
    | AgentStarted
    | AgentStopped
    | EntryQuarantined
    | JobsOffered
    | LinkChanged
    | ConflictFound
    | ConflictResolved
    | ResyncProved
)

#: turns a batch of events into bytes and back; not thread-safe, one per thread that encodes
Encoder = msgspec.msgpack.Encoder


def decoder() -> msgspec.msgpack.Decoder[list[AnyEvent]]:
    """A decoder of one batch of events."""
    return msgspec.msgpack.Decoder(list[AnyEvent])
