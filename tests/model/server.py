"""The Redis of the model: jobs, leases, marks; every method is one atomic script.

It keeps, beside what the real one keeps, the truth about itself (``applied``, ``serials``), from which invariants are judged
whatever rules are switched off.  A copy of it is a snapshot, or a replica that lags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tests.model.protocol import (
    COMPLETED,
    ENQUEUED,
    LEASE,
    OFFERED,
    REMOTE,
    RETRIED,
    REVIVED,
    STALE_EPOCH,
    STALE_TOKEN,
    TWICE,
    Broken,
    Epoch,
    Event,
    Mark,
    Rules,
)

AVAILABLE, LEASED, OWNED, DONE, MERGED, GONE = range(6)
APPLIED, KNOWN, APART, FENCED = range(4)


class Kept(NamedTuple):
    """What Redis knows of a job."""

    state: int
    #: last token under which it was claimed
    token: int = 0
    #: who holds or owns it, and under which name
    node: int = -1
    name: int = -1
    deadline: int = 0
    #: the outcome that stands
    outcome: int = 0
    #: the job that made the same request before
    first: int = 0
    #: its enqueueing was applied
    named: bool = True


class Truth(Protocol):
    """What the world knows beyond Redis."""

    rules: Rules
    clock: int
    hold: bool
    shared: set[int]
    starts: dict[int, int]
    causes: dict[int, int]


_TABLES = ("applied", "beats", "conflicts", "epochs", "fences", "jobs", "keys", "marks", "serials")


class Server:
    """One history of Redis."""

    __slots__ = (*_TABLES, "behind", "genesis", "last", "world")

    def __init__(self, world: Truth, genesis: int) -> None:
        self.world = world
        self.genesis = genesis
        self.jobs: dict[int, Kept] = {}
        self.keys: dict[int, int] = {}
        self.marks: dict[tuple[int, int], Mark] = {}
        self.serials: dict[int, int] = {}
        self.epochs: dict[int, int] = {}
        self.fences: dict[int, int] = {}
        self.beats: dict[int, int] = {}
        self.conflicts: set[int] = set()
        self.applied: set[tuple[int, int, int]] = set()
        self.last = 0
        #: how late the clock of this server is
        self.behind = 0

    def copy(self) -> Server:
        """What a snapshot holds."""
        twin = Server(self.world, self.genesis)
        for name in _TABLES:
            setattr(twin, name, getattr(self, name).copy())
        twin.last = self.last
        return twin

    def _later(self, last: int) -> int:
        self.world.clock += 1
        return max(last + 1, 2 * REMOTE + self.world.clock - self.behind)

    # of the link

    def enlist(self, node: int, above: int) -> int:
        """Begin an epoch, later than the last that Redis or the node knows."""
        last = max(self.epochs.get(node, 0), above if self.world.rules.above else 0)
        self.epochs[node] = self._later(last) if self.world.rules.timed else last + 1
        return self.epochs[node]

    def fence(self, node: int, name: int, epoch: Epoch) -> int | tuple[Mark, Mark, int]:
        """Fence earlier epochs of the node; answers where both lanes stand and the last token given out, or the epoch
        that is later than this one."""
        kept = self.fences.get(node, 0)
        if epoch.number < kept:
            return kept
        self.fences[node] = epoch.number
        self.serials[node] = max(epoch.serial, self.serials.get(node, 0))
        return self.marks.get((name, 0), Mark()), self.marks.get((name, 1), Mark()), self.last

    def _fenced(self, node: int, epoch: Epoch) -> bool:
        kept = self.fences.get(node, 0)
        return epoch.number < kept or (self.world.rules.exact and epoch.number > kept)

    def probe(self, node: int, name: int) -> tuple[int, int, int, int, int]:
        """Count a beat; answers the history, the beat, the epoch, and the numbers of both marks."""
        beat = self.beats[node] = self.beats.get(node, 0) + 1
        ends, jobs = self.marks.get((name, 0), Mark()), self.marks.get((name, 1), Mark())
        return self.genesis, beat, self.fences.get(node, 0), ends.number, jobs.number

    def apply(
        self, node: int, name: int, epoch: Epoch, kind: int, before: Mark, events: Sequence[Event], after: Mark
    ) -> tuple[int, dict[int, int]]:
        """Make a shipment true; answers the status and which jobs were the same request as another."""
        mark = self.marks.get((name, kind), Mark())
        if self.world.rules.epoch and self._fenced(node, epoch):
            return FENCED, {}
        if after.number <= mark.number:
            return KNOWN, self._firsts(events)
        if before.number != mark.number or (self.world.rules.chain and before.chain != mark.chain):
            return APART, {}
        self._judge(node, epoch, (name, kind, after.number))
        firsts: dict[int, int] = {}
        for event in events:
            self._take(node, name, event, firsts)
        self.marks[name, kind] = after
        return APPLIED, firsts

    def _judge(self, node: int, epoch: Epoch, last: tuple[int, int, int]) -> None:
        if epoch.serial < self.serials.get(node, 0):
            raise Broken(STALE_EPOCH)
        self.serials[node] = epoch.serial
        if last in self.applied:
            raise Broken(TWICE)
        self.applied.add(last)

    def _firsts(self, events: Sequence[Event]) -> dict[int, int]:
        kept = ((event[1], self.jobs.get(event[1])) for event in events if event[0] == ENQUEUED)
        return {job: found.first for job, found in kept if found is not None and found.state == MERGED}

    # events

    def _take(self, node: int, name: int, event: Event, firsts: dict[int, int]) -> None:
        kind, job = event[0], event[1]
        if kind == ENQUEUED:
            self._enqueue(Kept(OWNED, node=node, name=name), job, event[2], event[3], firsts)
        elif kind in (COMPLETED, RETRIED):
            self._end(kind, job, event[2], event[3])
        elif kind == OFFERED:
            self._offer(job)
        elif job in self.jobs and self.jobs[job].state in (AVAILABLE, OWNED):
            self.jobs[job] = Kept(GONE)

    def _enqueue(self, owned: Kept, job: int, offered: int, key: int, firsts: dict[int, int]) -> None:
        rules = self.world.rules
        kept = self.jobs.get(job)
        if kept is not None:
            if rules.dedup:
                self._name(job, kept, key)
                return
            if kept.state >= DONE:
                raise Broken(REVIVED)
        if key and rules.dedup:
            first = self.keys.setdefault(key, job)
            if first != job:
                self._repeat(owned, job, offered, first, firsts)
                return
        self.jobs[job] = owned if not offered and rules.owned else self._free()
        if self.jobs[job].state == AVAILABLE:
            self.world.shared.add(job)

    def _free(self, token: int = 0) -> Kept:
        return Kept(AVAILABLE, token)

    def _name(self, job: int, kept: Kept, key: int) -> None:
        if kept.named or not self.world.rules.tombs:
            return
        self.jobs[job] = kept._replace(named=True)
        if key and self.keys.setdefault(key, job) != job:
            self.conflicts.add(job)

    def _repeat(self, owned: Kept, job: int, offered: int, first: int, firsts: dict[int, int]) -> None:
        firsts[job] = first
        if not offered:
            self.conflicts.add(job)
            self.jobs[job] = owned._replace(first=first)
        elif self.world.rules.alias:
            self.jobs[job] = Kept(MERGED, first=first)

    def _offer(self, job: int) -> None:
        kept = self.jobs.get(job)
        if kept is None or kept.state != OWNED:
            return
        if kept.first:
            self.jobs[job] = Kept(MERGED, first=kept.first)
        else:
            self.jobs[job] = self._free(kept.token)
            self.world.shared.add(job)

    def _end(self, kind: int, job: int, token: int, outcome: int) -> None:
        kept = self.jobs.get(job)
        if kept is None:
            if kind == COMPLETED:
                self.jobs[job] = Kept(DONE, token, outcome=outcome, named=False)
        elif kept.state >= DONE:
            if outcome != kept.outcome:
                self.conflicts.add(job)
        elif token < kept.token and self.world.rules.fencing:
            self.conflicts.add(job)
        else:
            self._accept(kind, job, kept, token, outcome)

    def _accept(self, kind: int, job: int, kept: Kept, token: int, outcome: int) -> None:
        if token < kept.token:
            raise Broken(STALE_TOKEN)
        if kind == COMPLETED:
            self.jobs[job] = Kept(DONE, token, outcome=outcome)
        elif token >= REMOTE:
            self.jobs[job] = self._free(token)
            self.world.shared.add(job)
            self.world.starts[job] = max(0, self.world.starts.get(job, 0) - 1)

    # leases

    def claim(self, node: int, epoch: Epoch, choice: int) -> tuple[int, int] | None:
        """Lease one available job; answers it and the token."""
        world = self.world
        if world.rules.claims and self._fenced(node, epoch):
            return None
        free = [job for job, kept in self.jobs.items() if kept.state == AVAILABLE]
        if not free:
            return 0, 0
        job = free[choice % len(free)]
        self.last = token = self._later(max(self.last, epoch.number) if world.rules.above else self.last)
        self.jobs[job] = Kept(LEASED, token, node, deadline=world.clock + LEASE)
        return job, token

    def renew(self, leases: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Prolong leases; answers those that hold nothing any more."""
        gone = []
        for job, token in leases:
            kept = self.jobs.get(job)
            if kept is not None and kept.state == LEASED and kept.token == token:
                self.jobs[job] = kept._replace(deadline=self.world.clock + LEASE)
            else:
                gone.append((job, token))
        return gone

    def promote(self) -> None:
        """Rescue what was leased for too long, where queues do not hold."""
        if self.world.hold:
            return
        for job, kept in self.jobs.items():
            if kept.state == LEASED and kept.deadline < self.world.clock:
                self._rescue(job, kept)

    def release(self, node: int, epoch: Epoch, bound: int, known: Sequence[tuple[int, int]]) -> bool:
        """Take back what the node holds under tokens up to a bound and does not know of."""
        if self._fenced(node, epoch):
            return False
        for job, kept in self.jobs.items():
            if kept.state == LEASED and kept.node == node and kept.token <= bound and (job, kept.token) not in known:
                self._rescue(job, kept)
        return True

    def _rescue(self, job: int, kept: Kept) -> None:
        self.jobs[job] = self._free(kept.token)
        self.world.causes[job] = self.world.causes.get(job, 0) + 1

    def adopt(self, node: int, epoch: Epoch, name: int, known: set[int]) -> bool:
        """Give to the fleet what the node owned under other names and forgot."""
        if self._fenced(node, epoch):
            return False
        for job, kept in self.jobs.items():
            if kept.state == OWNED and kept.node == node and kept.name != name and job not in known:
                self.jobs[job] = self._free(kept.token)
                self.world.shared.add(job)
        return True
