"""What a linked node does by itself: resync after a time apart; while connected ship, hand over, let old segments go.

One thread, ``link-keeper``.  Each duty may fail with ``Unreachable`` at any step and is done again when the link is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from airgap.held import Held
from airgap.link import Link
from airgap.releasing import Releasing
from airgap.resync import Resync
from airgap.shipping import Fenced, Mismatch, Regressed
from airgap.view import CONNECTED, RECOVERING
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError, Unreachable
from engine.kernel.events import ResyncProved

log = logging.getLogger("holdfast.link")

#: seconds between rounds: while connected, while not
ROUND, IDLE = 0.25, 0.5
#: seconds between writing down how far Redis is, and between looks for segments, and for strayed leases, to release
KEEP, RELEASE = 1.0, 30.0
#: seconds added to twice the time that Redis may take, after which an answer to a claim comes no more
STRAYED = 6.0


class LinkKeeper:
    """The loop."""

    def __init__(
        self,
        link: Link,
        resync: Resync,
        releasing: Releasing,
        held: Held,
        clock: Clock,
        *,
        connected: Callable[[], None],
        hand_over: Callable[[], int],
        proved: Callable[[ResyncProved], None],
        retention: Callable[[], float],
        redis_timeout: float,
    ) -> None:
        self._link = link
        self._resync = resync
        self._releasing = releasing
        self._held = held
        self._clock = clock
        self._connected = connected
        self._hand_over = hand_over
        self._proved = proved
        self._retention = retention
        self._redis_timeout = redis_timeout
        #: why somebody must look before this node sends anything more
        self._halted: Mismatch | Fenced | None = None
        self._refusal = ""
        #: Redis and the journal tell different histories; a new name is the mend once somebody lets the link go on
        self._mismatched = False
        self._wake = threading.Event()
        self._stopping = False
        self._kept_at = self._released_at = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="link-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the loop, in the middle of a resync if need be."""
        self._stopping = True
        self._wake.set()
        self._thread.join(1.0)

    def wake(self) -> None:
        """The link has changed."""
        self._wake.set()

    def run_once(self) -> float:
        """Do what the link allows; returns seconds until the next round."""
        if self._link.state == RECOVERING:
            self._recover(self._link.round)
            return 0.0 if self._link.state == CONNECTED else IDLE
        if self._link.state != CONNECTED:
            return IDLE
        try:
            return self._serve()
        except Unreachable as error:
            self._link.failed(error)
        except (Regressed, Mismatch, Fenced) as error:
            self.parted(error)
        except HoldfastError as error:
            self.refused(error)
        return ROUND

    def parted(self, error: Regressed | Mismatch | Fenced) -> None:
        """While connected, a shipment has shown that Redis is not where it was, or that the node is not alone."""
        self._halted = None if isinstance(error, Regressed) else error
        self._link.regressed(str(error))

    def refused(self, error: HoldfastError) -> None:
        """Redis answers and takes nothing, being full for instance: what it lacks stays in the journal, and is sent again."""
        if str(error) != self._refusal:
            self._refusal = str(error)
            log.error("Redis takes nothing from this node; it is tried again: %s", error)

    def _serve(self) -> float:
        lost = self._held.take_lost()
        if lost:
            self._link.regressed(lost)
            return 0.0
        self._resync.ship()
        moved = 0 if self._link.suspect else self._hand_over()
        if moved:
            self._resync.ship()
        now = self._clock.monotonic()
        if now - self._kept_at >= KEEP:
            self._kept_at = now
            self._resync.look()
            self._resync.keep()
        if now - self._released_at >= RELEASE:
            more = self._releasing.step(self._clock.now() - self._retention(), self._resync.ledger)
            self._released_at = self._released_at if more else now
            if not more:
                self._resync.release_strays(self._link.told_at - STRAYED - 2 * self._redis_timeout)
        return 0.0 if moved else ROUND

    def _recover(self, round: int) -> None:
        if self._halted is not None:
            halted, self._halted = self._halted, None
            self._halt(halted, round)
            return

        def interrupted() -> bool:
            return self._stopping or self._link.round != round or self._link.state != RECOVERING

        try:
            if self._mismatched:  # somebody has looked, and let the link go on
                self._resync.rename()
                self._mismatched = False
            proof = self._resync.run(interrupted)
            self._connected()
        except (Mismatch, Fenced) as error:
            self._halt(error, round)
        except HoldfastError as error:
            self._link.failed(error)
            self._link.recovery_failed(str(error), round)
        else:
            if self._link.recovered(round):
                self._proved(proof)

    def _halt(self, error: Mismatch | Fenced, round: int) -> None:
        """Send nothing more until somebody has looked."""
        log.error("resync stopped: %s", error)
        self._mismatched = isinstance(error, Mismatch)
        self._link.recovery_failed(str(error), round, stopped=True)

    def _run(self) -> None:
        delay = 0.0
        while not self._stopping:
            self._wake.wait(delay)
            self._wake.clear()
            try:
                delay = 0.0 if self._stopping else self.run_once()
            except Exception:
                log.exception("the link's keeper failed; it goes on")
                delay = IDLE
