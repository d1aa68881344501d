"""Bringing Redis up to date after a time apart, and keeping it so; with the proof at the end.

The steps of ``run``: begin a higher epoch, so that older processes of this node are fenced; ask where Redis stands in
every lane; begin there, or further back if Redis went back in time; send the ends of leased jobs first, then the rest;
compare both sides.  Safe to be killed at any step: nothing counts but Redis' marks.  While connected, ``ship`` sends
what was committed since.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection

import msgspec

from airgap.held import Held
from airgap.ledgers import Ledgers, behind
from airgap.outbox import Outbox
from airgap.shipping import START, Ledger, Marks, Regressed, Shipper, ledger_of, regressed
from airgap.view import Progress
from engine.kernel.clock import Clock
from engine.kernel.errors import Unreachable
from engine.kernel.events import ResyncProved
from engine.kernel.faults import reached
from engine.storage.lanes import ENDS, JOBS, Receipt, Remote

log = logging.getLogger("holdfast.link")

BOTH = frozenset({ENDS, JOBS})
#: a resync gives up on a Redis that goes back in time so often while it runs
REWINDS = 8
#: backlog, in events, at which a resync is through and the rest goes the ordinary way
LEVEL = 1_000


class Interrupted(Unreachable):
    """The link changed while a resync ran."""


class Tally(msgspec.Struct):
    """What a resync has done so far."""

    began_at: float
    epoch: int = 0
    rewound: int = 0
    conflicts: int = 0


class Resync:
    """Redis and one journal."""

    def __init__(
        self,
        outbox: Outbox,
        remote: Remote,
        ledgers: Ledgers,
        clock: Clock,
        *,
        last_event: Callable[[], int],
        queues: Callable[[], Collection[str]],
        told: Callable[[Receipt], None],
        held: Held,
        agent: str,
        rate: float,
    ) -> None:
        self._outbox = outbox
        self._remote = remote
        self._ledgers = ledgers
        self._clock = clock
        self._last_event = last_event
        self._queues = queues
        self._told = told
        self._held = held
        self._agent = agent
        self._rate = rate
        self._shipper = Shipper(outbox, remote, self._tell)
        self._lock = threading.Lock()
        self._tally = Tally(0.0)
        #: everything up to here is in Redis
        self._ledger = ledgers.acknowledged
        #: where Redis stands; ``None`` after a call that was not answered
        self._theirs: Marks | None = None
        self._node = ledgers.name
        self.epoch = 0
        self.progress: Progress | None = None

    @property
    def node(self) -> str:
        """This node's name in Redis."""
        return self._node

    @property
    def ledger(self) -> Ledger:
        """Everything up to here is in Redis."""
        return self._ledger

    @property
    def synced_total(self) -> int:
        """Events given to Redis by this process."""
        return self._shipper.events

    def unsynced(self) -> int:
        """Events of the journal that Redis has not been shown."""
        return max(0, self._last_event() - self._ledger.event)

    def keep(self) -> None:
        """Write down how far Redis is."""
        self._ledgers.acknowledge(self._ledger)

    def close(self) -> None:
        """Let go of the journal's file."""
        self._outbox.close()

    # --- while connected ---

    def ship(self) -> None:
        """Send all that was committed before this call.  Raises ``Unreachable``, ``Regressed``, ``Mismatch``, ``Fenced``."""
        with self._lock:
            if self._last_event() > self._ledger.event or self._theirs is None:
                self._ship()

    def _ship(self) -> None:
        theirs, self._theirs = self._theirs, None
        if theirs is None:
            theirs = self._remote.marks(self._node, self.epoch, self._all_queues(self._ledger))
        for ledger in self._shipper.ship(self._node, self.epoch, self._ledger, theirs, BOTH):
            self._ledger = ledger
        self._theirs = theirs

    def look(self) -> None:
        """Ask Redis where it stands.  Raises ``Regressed`` if it has less than it had, and as ``ship``."""
        with self._lock:
            # also after a shipment failed: who lets segments go must hear that Redis lacks what was in them
            self._compare(self._remote.marks(self._node, 0, {lane.queue for lane in self._ledger.marks}))

    def _compare(self, theirs: Marks) -> None:
        for lane, mark in self._ledger.marks.items():
            there = theirs.get(lane, START)
            if there.number < mark.number:
                raise regressed(lane, there, mark)

    def release_strays(self, before: float) -> int:
        """Give back jobs that this agent leased before that time of Redis and knows nothing of, because its claim reached
        Redis late; in a queue that holds nobody else would.  Returns how many.  Raises as ``ship``."""
        with self._lock:
            held = self._held.tokens()
            self._ship()  # what is not held any more has ended, and Redis has the end
            return self._remote.release_held(self._agent, int(before * 1e6), held | self._held.tokens())

    # --- after a time apart ---

    def run(self, interrupted: Callable[[], bool]) -> ResyncProved:
        """Bring Redis up to date.  Raises ``Unreachable`` (also when ``interrupted``), ``Mismatch``, ``Fenced``."""
        with self._lock:
            self._tally = Tally(self._clock.now())
            sent, size = self._shipper.events, self._shipper.bytes
            try:
                for _ in range(REWINDS):
                    try:
                        self._catch_up(interrupted)
                        proof = self._prove()
                        break
                    except Regressed as error:
                        log.warning("Redis changed while it was brought up to date, begun again: %s", error)
                else:
                    raise Unreachable(f"Redis went back in time {REWINDS} times while it was brought up to date")
                tally = {"events": self._shipper.events - sent, "bytes": self._shipper.bytes - size}
                return msgspec.structs.replace(proof, **tally)
            finally:
                self.progress = None

    def _catch_up(self, interrupted: Callable[[], bool]) -> None:
        self._theirs = None
        self._held.take_lost()  # what an unanswered claim took is taken back below
        held = self._held.tokens()
        ledger, theirs = self._begin()
        reached("resync.after_marks")
        ends, jobs = (self._pass(ledger, theirs, {kind}, interrupted) for kind in (ENDS, JOBS))
        marks = {lane: mark for lane, mark in ends.marks.items() if lane.kind == ENDS}
        marks |= {lane: mark for lane, mark in jobs.marks.items() if lane.kind == JOBS}
        self._ledger = ledger_of(min(ends.place, jobs.place), marks)
        self._refuse_more(theirs)
        while self.unsynced() > LEVEL:
            self._ledger = self._pass(self._ledger, theirs, BOTH, interrupted)
        self._theirs = theirs
        self._ship()
        # all ends that were written before are there now: what else this agent holds, it does not know of
        self._remote.release_held(self._agent, self.epoch, held | self._held.close_below(self.epoch))
        self._free_former()
        self.keep()
        reached("resync.after_keep")

    def _begin(self) -> tuple[Ledger, Marks]:
        """An epoch, Redis' marks, and the ledger to begin with."""
        while True:
            self.epoch = self._tally.epoch = self._remote.enlist(self._node)
            queues = self._all_queues(self._ledgers.acknowledged)
            theirs = self._remote.marks(self._node, self.epoch, queues)
            begun = self._ledgers.begin(theirs, self._last_event())
            if begun is not None:
                lost = max(
                    begun[1], behind(theirs, self._ledger.marks)
                )  # what it had is written down only now and then
                self._tally.rewound += lost
                if lost:
                    log.warning("Redis went back in time, by up to %d events of ours; they are sent again", lost)
                return begun[0], theirs
            self.rename()

    def _refuse_more(self, theirs: Marks) -> None:
        """Redis may not have more of a lane than the journal: then this was rolled back, and goes on under a new name."""
        ours = self._ledger.marks
        if any(mark.number > ours.get(lane, START).number for lane, mark in theirs.items()):
            self.rename()
            raise Regressed("Redis has events of this node that its journal does not know")

    def rename(self) -> None:
        """Go on under a new name in Redis, and give it everything that is kept once more."""
        self._ledgers.rename()
        self._node = self._ledgers.name
        self._ledger = self._ledgers.acknowledged
        log.warning("this journal and Redis have parted; the node goes on as %s", self._node)

    def _free_former(self) -> None:
        """Jobs that this node held under a former name and does not know any more are the fleet's."""
        if self._ledgers.renamed:
            self._remote.free_owned(self._remote.names(self._ledgers.node) - {self._node})
            self._ledgers.settled()

    def _all_queues(self, ledger: Ledger) -> set[str]:
        known = {lane.queue for lane in self._remote.known_lanes(self._node)}
        return known | {queue for queue, *_ in ledger.lanes} | set(self._queues())

    def _pass(self, ledger: Ledger, theirs: Marks, kinds: Collection[str], interrupted: Callable[[], bool]) -> Ledger:
        """Send all lanes of some kinds up to the end, telling how far it is, no faster than allowed."""
        began, first, sent = self._clock.monotonic(), ledger.event, self._shipper.events
        last = ledger
        for last in self._shipper.ship(self._node, self.epoch, ledger, theirs, kinds):
            if interrupted():
                raise Interrupted("the link changed")
            done, total = last.event - first, max(1, self._last_event() - first)
            spent = self._clock.monotonic() - began
            eta = spent * (total - done) / done if done else None
            self.progress = Progress(done, total, self._shipper.bytes, eta)
            if self._rate:
                self._pause((self._shipper.events - sent) / self._rate - spent)
        return last

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            threading.Event().wait(min(seconds, 1.0))

    def _prove(self) -> ResyncProved:
        """What both sides say of every lane."""
        ours = self._ledger.marks
        theirs = self._remote.marks(self._node, self.epoch, {lane.queue for lane in ours})
        self._compare(theirs)
        lanes = [
            (lane.queue, lane.kind, mark.number, mark.chain.hex(), there.number, there.chain.hex())
            for lane, mark in sorted(ours.items())
            for there in (theirs.get(lane, START),)
        ]
        if any(row[2:4] != row[4:6] for row in lanes):
            raise Regressed("both sides do not agree at the end")
        tally = self._tally
        return ResyncProved(
            self._clock.now(), self._node, tally.epoch, tally.began_at, 0, 0, tally.conflicts, lanes,
            True, tally.rewound,
        )  # fmt: skip

    def _tell(self, receipt: Receipt) -> None:
        self._tally.conflicts += len(receipt.conflicts)
        self._told(receipt)
