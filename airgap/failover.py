"""When the link to Redis counts as lost and when as back: decisions only, without a thread, a clock or a connection.

``LinkState`` is told what happened (probes answered or not, calls that failed, wishes of people, how a resync went) with
the monotonic time, and answers with a ``Transition`` whenever something changed.  It is in exactly one state:

    airgapped ──3 good probes in 5 s, hold over, nobody keeps it cut──▶ recovering ──resync proved──▶ connected
        ▲                                                                 │   ▲                          │
        └──── 3 probes failed in a row, or 2 s without an answer ◀────────┴───│──────────────────────────┤
                                                                              └── Redis changed history ◀┘

Invariants: what was forced stays airgapped until it is released; ``silent`` means that nothing may be sent, so no probe
can bring the link back; a resync that was overtaken (another ``round``) decides nothing.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import msgspec

from airgap.breaker import LEAST_HOLD, Breaker
from airgap.pulses import Chronicle
from airgap.view import AIRGAPPED, CONNECTED, RECOVERING
from engine.kernel.errors import Conflict
from engine.storage.lanes import Pulse

AUTOMATIC, MANUAL, SAFE = MODES = ("automatic", "manual", "airgap-safe")

#: the link is lost after so many failures in a row, or so many seconds without an answer: two, less what noticing takes
FAILURES, SILENCE = 3, 1.8
#: and back after so many good probes within so many seconds
GOOD, GOOD_WITHIN = 3, 5.0
#: most that one look adds to the silence: time in which the whole process stood still says nothing about Redis
LOOK = 0.25
#: seconds between two probes: all is well; something failed; away for long.  And between looks while nothing can be lost
STEADY, DOUBTFUL, AWAY, IDLE = 0.4, 0.2, 2.0, 0.5

STARTING, UNRELEASED = "starting", "waits for somebody to release it"


class LinkMemory(msgspec.Struct, frozen=True):
    """What the link remembers across a restart."""

    #: held airgapped by hand, by whom and why
    forced: bool = False
    by: str = ""
    reason: str = ""
    #: seconds that the breaker holds now, and wall time of the last loss
    hold: float = LEAST_HOLD
    lost_at: float = 0.0
    #: lost in a mode that asks for a release, and not released
    held: bool = False


class Transition(msgspec.Struct, frozen=True):
    """The link came into a state, or into the same one for another reason."""

    state: str
    reason: str
    forced: bool = False
    by: str = ""


class LinkState:
    """The state of one link.  Not thread-safe; ``now`` is monotonic."""

    def __init__(
        self,
        mode: str,
        now: float,
        memory: LinkMemory | None = None,
        *,
        held_for: float = 0.0,
        dice: Callable[[], float] = random.random,
    ) -> None:
        memory = memory or LinkMemory()
        self.mode = mode
        self.state = AIRGAPPED
        self.forced = memory.forced
        #: who forced it
        self.by = memory.by
        #: must be released by a person before it may come back
        self.held = mode == SAFE or (memory.held and mode != AUTOMATIC)
        self.reason = memory.reason if memory.forced else UNRELEASED if self.held else STARTING
        #: why a resync stands still until a person says to go on
        self.stopped = ""
        #: goes up with every reason to resync
        self.round = 0
        #: the resync that goes on was asked for because Redis is not where it was
        self.history_changed = False
        self.failovers = 0
        #: failures since the last answer
        self.failures = 0
        self.breaker = Breaker(memory.hold, now + held_for, dice)
        self._chronicle = Chronicle()
        self._good: deque[float] = deque(maxlen=GOOD)
        self._needed = 1
        self._silence = 0.0
        self._looked = now
        self._why = ""
        self._probe_failed = self._call_failed = False
        self._told_absence = self.silent

    # --- what it says ---

    @property
    def silent(self) -> bool:
        """Nothing may be sent, not even a probe."""
        return self.forced or (self.held and self.mode == SAFE)

    @property
    def suspect(self) -> bool:
        """A probe or a call failed since the last good one."""
        return self._probe_failed or self._call_failed

    @property
    def may_run_local(self) -> bool:
        """Whether jobs that this node holds for itself may run."""
        return self.mode != MANUAL or self.forced or self.state == CONNECTED

    def patience(self) -> float:
        """Seconds until silence may decide something."""
        return IDLE if self.state == AIRGAPPED else min(LOOK, max(0.02, SILENCE - self._silence))

    def pause(self) -> float:
        """Seconds until the next probe is worth while."""
        if self.state == AIRGAPPED and not self._good:
            return IDLE if self.silent else min(AWAY, STEADY * 1.3**self.failures)
        return DOUBTFUL if self.suspect else STEADY

    # --- what it is told by the wire ---

    def answered(self, now: float, latency: float, pulse: Pulse) -> Transition | None:
        """A probe was answered after ``latency`` seconds."""
        self._looked, self._silence, self.failures = now, min(latency, 2 * LOOK), 0
        self._probe_failed = self._call_failed = False
        self._told_absence = True
        changed = self._chronicle.read(pulse)
        if self.state != AIRGAPPED:
            return self._resync(changed, changed=True) if changed else None
        self._good.append(now)
        return self._come_back(now) if self._may_come_back(now) else None

    def unanswered(self, now: float, why: str) -> Transition | None:
        """A probe failed."""
        self.failures += 1
        self._probe_failed, self._call_failed, self._why = True, False, why
        self._good.clear()
        self._chronicle.unanswered()
        return self.look(now)

    def call_failed(self, why: str) -> bool:
        """A call failed; between two probes many of them count as one.  Whether this was the first."""
        if self.state == AIRGAPPED or self._call_failed:
            return False
        self.failures += 1
        self._call_failed, self._why = True, why
        return True

    def call_worked(self) -> None:
        """A call was answered; what probes say counts for more."""
        self._call_failed = False

    def look(self, now: float) -> Transition | None:
        """Time went by: is the link lost?"""
        self._silence += min(LOOK, max(0.0, now - self._looked))
        self._looked = now
        if self.silent or not self._gone():
            return None
        if self.state != AIRGAPPED:
            return self._lose(now)
        if self._told_absence:
            return None
        self._told_absence = True
        return self._become(AIRGAPPED, f"Redis cannot be reached: {self._why or 'no answer'}")

    def renamed(self) -> None:
        """Pulses of another node follow; they say nothing about those before."""
        self._chronicle = Chronicle()

    # --- what the resync tells ---

    def regressed(self, why: str) -> Transition | None:
        """A call has shown that Redis is not where it was."""
        return self._resync(why, changed=True) if self.state == CONNECTED else None

    def recovered(self, round: int) -> Transition | None:
        """The resync of that round is through; ``None`` if it does not count any more."""
        if self.state != RECOVERING or round != self.round:
            return None
        self.history_changed = False
        return self._become(CONNECTED, "in step with Redis")

    def recovery_failed(self, now: float, round: int, why: str, *, stopped: bool) -> Transition | None:
        """The resync of that round gave up; ``stopped`` if only a person can go on."""
        if self.state != RECOVERING or round != self.round:
            return None
        self.stopped = why if stopped else ""
        self._cut(now)
        return self._become(AIRGAPPED, why)

    # --- what people tell ---

    def force(self, by: str, reason: str) -> Transition | None:
        """Go and stay airgapped."""
        if self.forced:
            return None
        self.forced, self.by = True, by
        self._good.clear()
        return self._become(AIRGAPPED, reason or "held airgapped by hand", by)

    def release(self, now: float, by: str) -> Transition | None:
        """Let it come back as soon as Redis answers; ``None`` if nothing kept it."""
        if not (self.forced or self.held or self.stopped):
            return None
        self.forced = self.held = False
        self.by = self.stopped = ""
        self.hurry(now)
        return self._become(AIRGAPPED, "released; waiting for Redis", by) if self.state == AIRGAPPED else None

    def hurry(self, now: float) -> None:
        """Come back with the next good probe.  Raises ``Conflict`` while only a release may bring it back."""
        if self.stopped:
            raise Conflict(f"the resync has stopped: {self.stopped}; look at it, then release the link: airgap release")
        if self.forced or self.held:
            keeper = "by hand" if self.forced else f"until somebody releases it (failover is {self.mode})"
            raise Conflict(f"the link is kept airgapped {keeper}; release it first: airgap release")
        self._needed, self.breaker.until = 1, now
        self._silence, self.failures, self._looked, self._told_absence = 0.0, 0, now, False

    # --- inside ---

    def _gone(self) -> bool:
        return self.failures >= FAILURES or self._silence >= SILENCE

    def _lose(self, now: float) -> Transition:
        probes = f"{self.failures} probes failed" if self.failures >= FAILURES else f"no answer for {SILENCE:g} s"
        self.failovers += 1
        self.held = self.mode != AUTOMATIC
        self._told_absence = self._probe_failed = True
        self._cut(now)
        return self._become(AIRGAPPED, f"{probes}: {self._why}" if self._why else probes)

    def _cut(self, now: float) -> None:
        """Begin the wait for a return."""
        self.breaker.lost(now)
        self._good.clear()
        self._needed = GOOD

    def _may_come_back(self, now: float) -> bool:
        kept = self.forced or self.held or bool(self.stopped) or now < self.breaker.until
        return not kept and len(self._good) >= self._needed and now - self._good[-self._needed] <= GOOD_WITHIN

    def _come_back(self, now: float) -> Transition:
        if self.round:
            self.breaker.returned(now)
        self._needed = GOOD
        return self._resync("Redis answers", changed=False)

    def _resync(self, why: str, *, changed: bool) -> Transition:
        self.round += 1
        self.history_changed = changed
        return self._become(RECOVERING, why)

    def _become(self, state: str, reason: str, by: str = "") -> Transition:
        self.state, self.reason = state, reason
        return Transition(state, reason, self.forced, by)
