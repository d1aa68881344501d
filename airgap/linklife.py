"""The life of a linked store: its parts, opening and closing, and what the parts tell it.

What calls ask for is in ``airgap.asking``, what people see and do in ``airgap.linkface``; which side a call goes to is
``airgap.linked``'s.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from airgap.announcing import announce
from airgap.arrivals import Arrivals
from airgap.failover import LinkMemory
from airgap.handover import hand_over
from airgap.held import Held
from airgap.ledgers import OWN, Ledgers
from airgap.link import Link
from airgap.linkface import LinkFace
from airgap.linkkeeper import LinkKeeper
from airgap.outbox import Outbox, Tail
from airgap.quota import Level
from airgap.releasing import Releasing
from airgap.resync import Resync
from airgap.storage import JournalStore
from airgap.view import AIRGAPPED, CONNECTED
from engine.fleet.identity import known_id
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock
from engine.kernel.settings import Settings
from engine.storage.base import QueueLimits
from engine.storage.lanes import Remote

log = logging.getLogger("holdfast.link")

T = TypeVar("T")

#: seconds that a start waits for the link before it goes on cut off
PATIENCE = 2.0
#: the link among the readers of the journal
READER = "link"
#: states of the link that are kept for the fleet while it cannot be told
UNTOLD = 100
#: where the link's memory and the last proof are kept
MEMORY, PROOF = OWN + "memory", OWN + "proof"


class LinkLife(LinkFace):
    """What a linked store is, apart from its calls."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        bus: Bus,
        remote: Remote,
        *,
        pool: Callable[[], Mapping[str, int]] = dict,
        address: str = "",
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.bus = bus
        self.remote = remote
        committed = Bus()
        self.local = JournalStore(settings, clock, committed, pinned=READER)
        self.limits: dict[str, QueueLimits] = {}
        self.arrivals = Arrivals(bus)
        self.held = Held()
        self._pool = pool
        self._address = address
        self._tail = Tail()
        self._proof: ev.ResyncProved | None = None
        #: states of the link that the fleet was not told of
        self._untold: deque[ev.LinkChanged] = deque(maxlen=UNTOLD)
        self._link: Link | None = None
        committed.subscribe(self._committed)
        committed.subscribe(bus.publish)

    # --- opening and closing ---

    def open(self) -> None:
        """See ``Store.open``.  A Redis that cannot be reached does not keep a node from starting."""
        self.local.open()
        try:
            self._make_parts()
            self._keep_quiet()
            self.remote.open()
        except BaseException:
            self.local.close()
            raise
        self.link.start()
        self._keeper.start()
        self._settle_in()

    def _make_parts(self) -> None:
        local = self.local
        ledgers = Ledgers(local, local.ring.node)
        announce(local, ledgers)
        proof = local.value(PROOF)
        self._proof = msgspec.msgpack.decode(proof, type=ev.ResyncProved) if proof else None
        self.resync = self._make_resync(ledgers)
        self._link = link = self._make_link(ledgers.name)
        self._keeper = LinkKeeper(
            link,
            self.resync,
            self._make_releasing(ledgers),
            self.held,
            self.clock,
            connected=self._came_back,
            hand_over=lambda: hand_over(local),
            proved=self._proved,
            retention=self._retention,
            redis_timeout=self.settings.redis_timeout,
        )

    def _make_resync(self, ledgers: Ledgers) -> Resync:
        local = self.local
        return Resync(
            Outbox(self._tail, local.reader),
            self.remote,
            ledgers,
            self.clock,
            last_event=lambda: local.journal.standing.event,
            queues=lambda: [*local.fold.queues, *self.limits],
            told=self.arrivals.told,
            held=self.held,
            agent=known_id(self.settings.home),
            rate=self.settings.resync_rate,
        )

    def _make_link(self, node: str) -> Link:
        kept = self.local.value(MEMORY)
        memory = msgspec.msgpack.decode(kept, type=LinkMemory) if kept else None
        mode = self.settings.failover
        return Link(self.remote, self.clock, mode, node=node, on_change=self._changed, memory=memory)

    def _make_releasing(self, ledgers: Ledgers) -> Releasing:
        return Releasing(
            Outbox(self._tail, self.local.reader),
            self.remote,
            ledgers,
            look=self.resync.look,
            is_local=self.is_local,
            write=self.write,
            release=lambda segment: self.local.release_segments(READER, segment),
        )

    def _settle_in(self) -> None:
        """Give the link a moment, so that a program which starts beside its Redis starts connected."""
        deadline = self.clock.monotonic() + PATIENCE
        while self.clock.monotonic() < deadline and self.link.state != CONNECTED and not self._hopeless():
            self.local.wait(0.01)

    def _hopeless(self) -> bool:
        return self.link.silent or bool(self.link.stopped) or (self.link.suspect and self.link.state == AIRGAPPED)

    def close(self) -> None:
        """See ``Store.close``.  What Redis lacks is sent if it is there, else at the next start."""
        if self._link is None:
            return
        self.ship()
        self._keeper.stop()
        self.link.stop()
        self.resync.keep()
        self._remember()
        self.resync.close()
        self.remote.close()
        self.local.close()
        self._link = None

    # --- what the parts tell ---

    def _committed(self, events: Sequence[ev.Event]) -> None:
        standing = self.local.journal.standing
        self._tail.add(standing.number, standing.event - len(events) + 1, events)

    def _changed(self, change: ev.LinkChanged) -> None:
        """The link has come into another state."""
        self._keep_quiet()
        self._untold.append(change)
        self.local.record([change])
        self._remember()
        self._keeper.wake()
        self.local.wake()

    def _keep_quiet(self) -> None:
        self.remote.silence((self.link.reason or "kept airgapped") if self.link.silent else "")

    def _remember(self) -> None:
        self.local.set_value(MEMORY, msgspec.msgpack.encode(self.link.memory()))

    def _came_back(self) -> None:
        """Redis is up to date; what else it must know before calls go to it.  Raises ``Unreachable``."""
        for queue, limits in list(self.limits.items()):
            self.remote.configure(queue, limits)
        self.give_values()

    def _proved(self, proof: ev.ResyncProved) -> None:
        self._proof = proof
        self.local.set_value(PROOF, msgspec.msgpack.encode(proof))
        self.local.record([proof])
        self._asked(lambda: self.remote.record([*self._untold, proof]), None)
        self._untold.clear()
        self.local.wake()

    def _retention(self) -> float:
        """Seconds that segments are kept after Redis has them; none while the store needs room."""
        journal = self.local.journal
        return self.settings.journal_retention if journal.quota.level(journal.used) == Level.OK else 0.0
