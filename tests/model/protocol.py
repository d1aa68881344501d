"""The protocol of the link, as rules that can be switched off one by one to see what each of them is there for.

In order, and with the name of the switch:

1. Journal first.  A job, or the end of an attempt, is on the node's disk before anybody else hears of it.
2. ``offered`` — a job that is sent to Redis when it is enqueued is marked so on disk *before*; from then on it runs only
   under a lease of Redis.  If the answer is lost it is accepted all the same, and sent again.
3. ``owned`` — a job accepted while cut off travels as owned: Redis knows it and gives it to nobody.  ``handover`` — to
   give it away the node first writes so and lets it go, then tells.
4. Events travel in two lanes, ``ends`` and ``jobs``, that know nothing of each other.  An end of an unknown job makes it
   terminal; ``tombs`` — the enqueueing that comes after such an end still adds the name of its request.
5. ``dedup`` — a known id is not taken in again, nor is a known request.  ``alias`` — a job that is not taken in leaves its
   id behind, pointing to the job that was first: an answer that was lost can be given again.  ``quiet`` — the node tells
   Redis no deletion of it: after Redis went back *this* job may have become the first.
6. ``fencing`` — an end counts iff the job is not terminal and nobody claimed it under a later token; else: a conflict.
7. ``rewind`` — marks in Redis decide where sending begins, not memories; ``chain`` — if the chain there is ours.
   ``audit`` — each probe, and the end of a resync, compares epoch and marks as well: a fail-over may lose a shipment and
   keep the beat.  ``whole`` — if Redis knows more than our log, or another one, the log goes again *from its beginning*,
   under a name never used before.  ``adopt`` — what Redis holds as owned under an older name of the node, and its journal
   does not know any more, becomes available.
8. ``epoch`` — who enlists fences all earlier processes of the node.  ``exact`` — an epoch later than the one Redis keeps
   is refused as well: Redis went back since.  ``timed`` — epochs are made like tokens, from the time of Redis, so that none
   comes twice after it went back; ``above`` — and later than any that the node met, as a token is later than the epoch of
   its claimer: the clock of a replica may be behind.
9. ``claims`` — claims are fenced by epochs too, and a claim without an answer leads to a resync: it takes back what Redis
   thinks that the node holds, under tokens given out before, and the node does not know.  ``settle`` — what it knows are
   the leases of what it runs, and of what it ended and has not been acknowledged.  In a queue that holds, a lease that
   turns out to be gone leads to a resync, too.

Times, tokens, numbers and ids are small integers and events are tuples, so that 100,000 histories take seconds.
"""

from __future__ import annotations

from typing import NamedTuple


class Rules(NamedTuple):
    """Which rules hold; see the module's text."""

    offered: bool = True
    owned: bool = True
    handover: bool = True
    tombs: bool = True
    dedup: bool = True
    alias: bool = True
    quiet: bool = True
    fencing: bool = True
    rewind: bool = True
    chain: bool = True
    audit: bool = True
    whole: bool = True
    adopt: bool = True
    epoch: bool = True
    exact: bool = True
    timed: bool = True
    above: bool = True
    claims: bool = True
    settle: bool = True


class Broken(AssertionError):
    """An invariant does not hold; the message is its name."""


# the invariants, by name
LOST = "an accepted job is known to Redis once everything has healed"
STUCK = "an accepted job ends once everything has healed"
TWICE = "marks grow, and an event is applied once, within a history of Redis"
REVIVED = "a terminal job stays terminal"
UNRECORDED = "two outcomes of a job leave a conflict"
REQUEST = "two executions of one request leave a conflict"
UNCAUSED = "a second execution has a cause: a lease that ended, a death, a regression"
UNLEASED = "a job that was offered runs only under a lease of Redis"
HOLD = "a queue that holds runs nothing a second time while the first runs or has ended"
CHAINS = "chains are equal at rest"
STALE_EPOCH = "a process writes nothing after its successor enlisted"
STALE_TOKEN = "a token ends nothing that was claimed under a later one"
ENDLESS = "a resync ends"

#: kinds of events: (ENQUEUED, job, offered, key), (COMPLETED | RETRIED, job, token, outcome), (OFFERED | DELETED, job, 0, 0)
ENQUEUED, COMPLETED, RETRIED, OFFERED, DELETED = range(5)
Event = tuple[int, int, int, int]
#: lanes of a node
ENDS, JOBS = 0, 1
#: tokens and epochs of Redis are above this, those of nodes below
REMOTE = 1 << 20
#: how long a lease lasts, in steps of the clock
LEASE = 100


class Mark(NamedTuple):
    """Where a lane stands: last number and the chain up to it."""

    number: int = 0
    chain: int = 0


class Epoch(NamedTuple):
    """An epoch as Redis gave it out, and which enlistment of all it truly was."""

    number: int = 0
    serial: int = 0


def lane_of(event: Event) -> int:
    """The lane in which an event travels."""
    return ENDS if event[0] in (COMPLETED, RETRIED) and event[2] >= REMOTE else JOBS
