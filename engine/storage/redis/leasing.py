"""Claims, renewals and ends: the half of the Redis store that workers lean on.

A claim is one lease with one token, also over several queues: the first queue's script makes the token, the others take it
over unless they have given a higher one already.  Jobs of a durable lease end only through its token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.kernel import events as ev
from engine.kernel.faults import reached
from engine.kernel.job import Job
from engine.storage.base import Claim, Exchange, QueueLimits, Want
from engine.storage.redis.calls import Calls
from engine.storage.redis.door import Door
from engine.storage.redis.endings import CALL_ENDS, Ends, token_text
from engine.storage.redis.places import Places
from engine.storage.redis.reading import claimed_jobs

#: most jobs of one call, so that no script runs for long
CALL_JOBS = 250

#: seconds that what was seen in a look at several queues is good for
LOOK_SECONDS = 0.02

_pack = msgspec.msgpack.encode


class Taking:
    """A claim while it is made, queue by queue."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.token = ""
        self.jobs: list[Job] = []
        self.by_queue: dict[str, list[str]] = {}
        self.asked: set[str] = set()
        #: jobs that were asked for last
        self.wanted = 0

    def enough(self, want: Want) -> bool:
        """Whether nothing more is to be taken; a job that was taken back from a dead holder is claimed alone."""
        return len(self.jobs) >= want.most or bool(self.jobs and self.jobs[-1].rescues)


class Leasing(Calls):
    """Implements ``claim``, ``exchange``, ``finish`` and ``renew``; mixed into ``RedisStore``."""

    agent: str
    lease_seconds: float
    result_ttl: float
    result_limit: int
    door: Door

    def _begin_leasing(self) -> None:
        self._limits: dict[str, QueueLimits] = {}
        #: token -> queues with jobs of it
        self._leases: Places[int, tuple[str, ...]] = Places()
        self._asked: frozenset[str] = frozenset()
        self._least = 0
        self._turn = 0
        #: queues that had work when they were last looked at
        self._full: set[str] = set()
        self._looked_at = 0.0
        #: whether the last answer to where work is came from that look, not from a new one
        self._from_memory = False
        #: a clock of a test stands still: nothing is ever seen "lately"
        self._exact = self._fake_start is not None
        #: queue whose first job has to be claimed alone and found others in the claim; the next claim begins with it
        self._owed = ""

    # --- claims ---

    def claim(self, want: Want) -> Claim | None:
        """See ``QueueStore.claim``.  Takes at most ``CALL_JOBS`` jobs of a queue."""
        claim = self._claim(want, Taking(want.agent))
        reached("claim.after_commit")
        return claim

    def _claim(self, want: Want, taking: Taking) -> Claim | None:
        """Go on taking until there is enough; if what was seen lately leads to nothing, look again."""
        self.door.watch(want.room, want.capabilities, want.tenants)
        self._claim_from(self._worth_asking(want), want, taking)
        if not taking.jobs and self._from_memory:
            self._claim_from(self._worth_asking(want, again=True), want, taking)
        return self._claimed(taking)

    def _claim_from(self, queues: Sequence[str], want: Want, taking: Taking) -> None:
        for queue in queues:
            if taking.enough(want):
                break
            if queue not in taking.asked:
                self._take(queue, self.run("claim", queue, self._wish(want, queue, taking)), taking)

    def _wish(self, want: Want, queue: str, taking: Taking) -> bytes:
        others = len(taking.jobs)
        most = taking.wanted = min(want.room[queue], want.most - others, CALL_JOBS)
        tenants = sorted(want.tenants) if want.tenants is not None else False
        capabilities = sorted(want.capabilities)
        wish = (
            most, want.agent, self.lease_seconds, taking.token, self._least, others, capabilities, tenants,
            self.clock.now(),
        )  # fmt: skip
        return _pack(wish)

    def _worth_asking(self, want: Want, again: bool = False) -> list[str]:
        """The queues to claim from, in order; of several, those that have something, as far as was seen lately."""
        queues = list(want.room)
        self._from_memory = len(queues) > 1 and not again and self._seen_lately(queues)
        if len(queues) < 2:
            return queues
        if not self._from_memory:
            looks = self.run_all([("look", queue, ()) for queue in queues])
            self._full = {queue for queue, look in zip(queues, looks, strict=True) if look[0] and not look[5]}
            self._looked_at = self.clock.monotonic()
            self.door.forget_due(set(queues) - self._full)
        self._turn += 1
        turn = self._turn % len(queues)
        rotated = [queue for queue in queues[turn:] + queues[:turn] if queue in self._full]
        return sorted(rotated, key=lambda queue: (queue != self._owed, self._limits.get(queue, _FREE).priority))

    def _called(self, queue: str) -> None:
        """There is work in a queue: as good as a look."""
        self._full.add(queue)
        self._looked_at = self.clock.monotonic()

    def _seen_lately(self, queues: Sequence[str]) -> bool:
        lately = self.clock.monotonic() - self._looked_at <= LOOK_SECONDS
        return lately and not self._exact and not self._full.isdisjoint(queues)

    def _take(self, queue: str, answer: Sequence[Any], taking: Taking) -> None:
        """Take in what a script gave."""
        count, token, heads, events, due, owed = answer
        self.door.due(queue, due)
        taking.asked.add(queue)
        if owed:
            self._owed = self._owed or queue
        elif self._owed == queue:
            self._owed = ""
        if count < taking.wanted and not owed:
            self._full.discard(queue)
        if count:
            taking.token = token.decode()
            jobs = claimed_jobs(heads, events, int(token))
            taking.jobs += jobs
            taking.by_queue[queue] = [job.id for job in jobs]

    def _claimed(self, taking: Taking) -> Claim | None:
        if not taking.jobs:
            return None
        token, at = int(taking.token), self.clock.now()
        self._least = max(self._least, token + 1)
        self._leases.remember((token,), tuple(taking.by_queue))
        if len(taking.by_queue) > 1:
            self._share(taking)
        self.bus.publish([ev.JobsClaimed(at, token, taking.agent, ids) for ids in taking.by_queue.values()])
        return Claim(token, taking.jobs)

    def _share(self, taking: Taking) -> None:
        """A job that is the only one of its queue was not claimed alone if there are others."""
        alone = [queue for queue, ids in taking.by_queue.items() if len(ids) == 1]
        self.run_all([("share", queue, (taking.token,)) for queue in alone])

    # --- ends ---

    def finish(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event] = ()) -> set[str]:
        """See ``QueueStore.finish``."""
        return self.exchange(ends, notes, None).stale

    def exchange(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event], want: Want | None) -> Exchange:
        """See ``QueueStore.exchange``; the last call for ends takes jobs of the same queue with it."""
        pieces = self._pieces(ends, notes)
        calls = [("finish", queue, (*piece.arguments(), *self._keeping(), b"")) for queue, piece in pieces]
        taking = Taking(want.agent if want is not None else "")
        together = want is not None and bool(calls) and self._worth_asking(want)[:1] == [calls[-1][1]]
        if together:
            assert want is not None
            name, queue, args = calls[-1]
            calls[-1] = (name, queue, (*args[:-1], self._wish(want, queue, taking)))
        answers = self.run_all(calls) if calls else []
        stale = {end.id for end in ends if not end.token}
        for (_, piece), answer in zip(pieces, answers, strict=True):
            stale |= self._ended(piece, answer[0])
        reached("finish.after_commit")
        if together:
            self._take(calls[-1][1], answers[-1][1], taking)
        return Exchange(stale, None if want is None else self._claim(want, taking))

    def _keeping(self) -> tuple[Any, ...]:
        return self.result_ttl, self.result_limit, self.agent

    def _pieces(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event]) -> list[tuple[str, Ends]]:
        """Ends and notes by queue, in pieces that one call bears."""
        by_queue: defaultdict[str, tuple[list[ev.AttemptEnded], list[ev.Event]]] = defaultdict(lambda: ([], []))
        for end in ends:
            if end.token:
                queue = end.queue or self._queue_of(end.id, end.token)
                by_queue[queue][0].append(end if end.queue else msgspec.structs.replace(end, queue=queue))
        for note in notes:
            by_queue[self._queue_of_note(note)][1].append(note)
        pieces: list[tuple[str, Ends]] = []
        for queue, (its, said) in by_queue.items():
            if not queue:
                self.record(said)
                continue
            for start in range(0, max(1, len(its)), CALL_ENDS):
                pieces.append((queue, Ends(its[start : start + CALL_ENDS], said if start == 0 else ())))
        return pieces

    def _queue_of_note(self, note: ev.Event) -> str:
        queue: str = getattr(note, "queue", "")
        id_: str = getattr(note, "id", "")
        return queue or (self._queue_of(id_, getattr(note, "token", 0)) if id_ else "")

    def _queue_of(self, id_: str, token: int) -> str:
        held = self._leases.of(token) or ()
        if len(held) == 1:
            return held[0]
        known = self.places.of(id_)
        if known is None:
            known = next((queue for queue, _, found in self.for_ids("get", [id_]) if found[0]), "")
        return known

    def _ended(self, piece: Ends, indexes: Sequence[int]) -> set[str]:
        """Tell what became true; the ids of stale ends."""
        late = piece.stale(indexes)
        events: list[ev.Event] = [*piece.notes]
        events += piece.ends if not late else [end for index, end in enumerate(piece.ends) if index not in late]
        if events:
            self.bus.publish(events)
        if not late:
            return set()
        return {piece.ends[index].id for index in late}

    # --- leases ---

    def renew(self, tokens: Iterable[int]) -> set[int]:
        """See ``QueueStore.renew``; jobs that somebody asked to stop meanwhile are told of on the bus."""
        wanted = set(tokens)
        by_queue: defaultdict[str, list[int]] = defaultdict(list)
        for token in wanted:
            for queue in self._leases.of(token) or self.queues():
                by_queue[queue].append(token)
        calls = [
            ("renew", queue, (self.lease_seconds, *map(token_text, held))) for queue, held in by_queue.items() if held
        ]
        answers = self.run_all(calls)
        alive: defaultdict[int, list[str]] = defaultdict(list)
        asked: set[str] = set()
        for (queue, held), (lost, ids) in zip(by_queue.items(), answers, strict=True):
            gone = {int(token) for token in lost}
            for token in held:
                if token not in gone:
                    alive[token].append(queue)
            asked.update(ids.decode().split())
        for token, queues in alive.items():
            self._leases.remember((token,), tuple(queues))
        self._ask(frozenset(asked))
        return wanted.difference(alive)

    def _ask(self, asked: frozenset[str]) -> None:
        fresh = asked - self._asked
        self._asked = asked
        if fresh:
            at = self.clock.now()
            self.bus.publish([ev.CancelRequested(at, id_, "", self.places.of(id_) or "") for id_ in sorted(fresh)])

    def record(self, events: Sequence[ev.Event]) -> None:
        """Write events that are no moves of jobs."""
        raise NotImplementedError


_FREE = QueueLimits()
