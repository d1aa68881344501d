"""The link to Redis: probes it, watches the time, and tells of every change.

Decisions are ``failover.LinkState``'s; here are the threads and the order.  ``link-prober`` asks Redis and may hang as long
as the client lets it; ``link-watch`` never waits for anything but time, so a loss is noticed within two seconds whatever
hangs.  Changes are told (``on_change``) outside of all locks, in order and one at a time, by whichever of these threads,
the resync's or the person's call caused them — never by a call that merely reports that it ``failed``.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from airgap.failover import AUTOMATIC, LinkMemory, LinkState, Transition
from airgap.linkview import LinkView
from airgap.view import AIRGAPPED
from engine.kernel.bell import Bell
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError
from engine.kernel.events import LinkChanged
from engine.storage.lanes import Pulse

log = logging.getLogger("holdfast.link")

#: seconds between the beginnings of two probes at least, however many calls fail
SPACING = 0.1
#: seconds in which a thread ends
ENDING = 0.4

T = TypeVar("T")


class Prober(Protocol):
    """What the link needs of Redis."""

    def probe(self, node: str) -> Pulse:
        """A round trip that writes."""

    def disconnect(self) -> None:
        """End all calls that are under way."""


class Link(LinkView):
    """See the module; everything may be called from any thread."""

    def __init__(
        self,
        remote: Prober,
        clock: Clock,
        mode: str = AUTOMATIC,
        *,
        node: str,
        on_change: Callable[[LinkChanged], None],
        memory: LinkMemory | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        memory = memory or LinkMemory()
        self._remote = remote
        self._clock = clock
        self._dice = dice
        self._on_change = on_change
        left = memory.lost_at + memory.hold - clock.now() if memory.lost_at else 0.0
        self._core = LinkState(mode, clock.monotonic(), memory, held_for=min(max(0.0, left), memory.hold), dice=dice)
        self._deciding = threading.Lock()
        self._telling = threading.Lock()
        self._untold: deque[LinkChanged] = deque()
        self._ask, self._look = Bell(), Bell()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._asked_at = clock.monotonic() - SPACING
        self._lost_at = memory.lost_at
        #: name of this node in Redis
        self.node = node
        #: wall time at which the state began
        self.since = clock.now()
        #: seconds that the last good probe took, and wall time of it
        self.latency: float | None = None
        self.probed_at: float | None = None
        #: seconds that the clock of Redis is ahead of ours, and what it said at the last good probe
        self.skew = self.told_at = 0.0

    # --- what outlives it ---

    def memory(self) -> LinkMemory:
        """What to keep across a restart."""
        core = self._core
        reason = core.reason if core.forced else ""
        return LinkMemory(core.forced, core.by, reason, core.breaker.hold, self._lost_at, core.held)

    def rename(self, node: str) -> None:
        """Go on under another name of the node."""
        with self._deciding:
            self.node = node
            self._core.renamed()

    # --- what calls and the resync tell ---

    def failed(self, error: BaseException) -> None:
        """A call was not answered; Redis is probed at once."""
        with self._deciding:
            first = self._core.call_failed(str(error))
        if first:
            self._ask.ring()
            self._look.ring()

    def worked(self) -> None:
        """A call was answered."""
        if self._core.suspect:
            with self._deciding:
                self._core.call_worked()

    def regressed(self, reason: str) -> bool:
        """A call was answered by a Redis that is not where it was; whether a resync is asked for by it."""
        return self._decide(lambda core, now: core.regressed(reason)) is not None

    def recovered(self, round: int) -> bool:
        """The resync of ``round`` is through; whether the link is connected by it."""
        return self._decide(lambda core, now: core.recovered(round)) is not None

    def recovery_failed(self, reason: str, round: int, *, stopped: bool = False) -> bool:
        """The resync of ``round`` gave up; ``stopped`` if it must not be tried again before a person says so."""
        return self._decide(lambda core, now: core.recovery_failed(now, round, reason, stopped=stopped)) is not None

    # --- what people tell ---

    def force(self, by: str = "", reason: str = "") -> None:
        """Go and stay airgapped; nothing is sent any more, also after a restart."""
        self._decide(lambda core, now: core.force(by, reason))

    def release(self, by: str = "") -> None:
        """Come back as soon as Redis answers."""
        self._decide(lambda core, now: core.release(now, by))
        self._ask.ring()

    def sync_now(self, by: str = "") -> None:
        """Ask Redis now, and come back with its first answer.  Raises ``Conflict`` while only ``release`` may bring it back."""
        with self._deciding:
            if self._core.state == AIRGAPPED:
                self._core.hurry(self._clock.monotonic())
        log.info("asked to look for Redis now%s", f" by {by}" if by else "")
        self._ask.ring()

    # --- its threads ---

    def start(self) -> None:
        """Begin to probe."""
        for name, once, bell in (
            ("link-prober", self.probe_once, self._ask),
            ("link-watch", self.watch_once, self._look),
        ):
            thread = threading.Thread(target=self._loop, args=(once, bell), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the threads; a probe that hangs is cut off."""
        self._stopping = True
        self._ask.ring()
        self._look.ring()
        for thread in self._threads:
            thread.join(ENDING)
        if any(thread.is_alive() for thread in self._threads):
            self._cut_off()
            for thread in self._threads:
                thread.join(ENDING)
        self._threads.clear()

    def probe_once(self) -> float:
        """Ask Redis, unless nothing may be sent; seconds until the next time."""
        wait = self._asked_at + SPACING - self._clock.monotonic()
        if self.silent or wait > 0:
            return max(wait, self._core.pause() if self.silent else 0.0)
        sent = self._asked_at = self._clock.monotonic()
        try:
            self._answered(sent, self._remote.probe(self.node))
        except HoldfastError as error:
            why = str(error)
            self._decide(lambda core, now: core.unanswered(now, why))
        except Exception as error:
            log.exception("a probe failed unexpectedly")
            why = f"{type(error).__name__} in the probe; the log tells more"
            self._decide(lambda core, now: core.unanswered(now, why))
        return self._core.pause() * (0.75 + 0.5 * self._dice())  # jittered: a fleet does not ask in step

    def watch_once(self) -> float:
        """Look at the time; seconds until the next look."""
        self._decide(lambda core, now: core.look(now))
        return self._core.patience()

    def _answered(self, sent: float, pulse: Pulse) -> None:
        latency, wall = self._clock.monotonic() - sent, self._clock.now()
        self.latency, self.probed_at, self.told_at = latency, wall, pulse.at
        self.skew = pulse.at - (wall - latency / 2)
        self._decide(lambda core, now: core.answered(now, latency, pulse))

    def _loop(self, once: Callable[[], float], bell: Bell) -> None:
        while not self._stopping:
            delay = once()
            if not self._stopping:
                bell.sleep(delay)

    # --- deciding and telling ---

    def _decide(self, ask: Callable[[LinkState, float], Transition | None]) -> Transition | None:
        """Let the state decide; what changed is told when this returns, or is being told by another thread."""
        with self._deciding:
            before = self._core.state
            made = ask(self._core, self._clock.monotonic())
            if made is not None:
                self._note(before, made)
        if made is not None:
            if made.state == AIRGAPPED != before:
                self._cut_off()
            self._tell()
            self._look.ring()
        return made

    def _note(self, before: str, made: Transition) -> None:
        at = self._clock.now()
        if made.state != before:
            self.since = at
            self._lost_at = at if made.state == AIRGAPPED and not made.forced else self._lost_at
        log.info("link %s: %s", made.state, made.reason)
        self._untold.append(LinkChanged(at, self.node, made.state, made.reason, made.forced, made.by))

    def _cut_off(self) -> None:
        try:
            self._remote.disconnect()
        except HoldfastError as error:
            log.warning("connections to Redis could not be dropped: %s", error)

    def _tell(self) -> None:
        """Tell what is untold, unless somebody is at it, who then tells this too."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                self._tell_all()
            finally:
                self._telling.release()

    def _tell_all(self) -> None:
        while self._untold:
            change = self._untold.popleft()
            try:
                self._on_change(change)
            except Exception:
                log.exception("the change of the link to %s could not be taken note of", change.state)
