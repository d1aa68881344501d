"""What people see of life without Redis: one frozen answer, the same for every kind of store."""

from __future__ import annotations

from typing import Protocol, cast

import msgspec

from engine.kernel.events import ResyncProved
from engine.kernel.job import TERMINAL
from engine.storage.base import Store
from engine.storage.lanes import Remote

#: states of the link
STANDALONE, CONNECTED, AIRGAPPED, RECOVERING = "standalone", "connected", "airgapped", "recovering"


class Progress(msgspec.Struct, frozen=True):
    """How far a resync is."""

    #: events sent, and all that there are to send
    done: int
    total: int
    bytes: int = 0
    #: seconds until it is through, ``None`` while nobody knows
    eta: float | None = None


class AirView(msgspec.Struct, frozen=True):
    """How it stands with the link and with what Redis has not been given yet."""

    state: str = STANDALONE
    since: float = 0.0
    reason: str = ""
    #: held airgapped by hand
    forced: bool = False
    #: ``automatic``, ``manual``, ``airgap-safe``
    mode: str = "automatic"
    #: live jobs that this node holds for itself
    local_jobs: int = 0
    #: events that Redis has not acknowledged, and the wall time of the oldest
    unsynced_events: int = 0
    oldest_unsynced_at: float | None = None
    #: sequence: last event of the journal, and last that Redis has
    sequence: int = 0
    synced_sequence: int = 0
    progress: Progress | None = None
    #: conflicts found by this process, events given to Redis by it, times the link was lost
    conflicts: int = 0
    synced_total: int = 0
    failovers: int = 0
    last_proof: ResyncProved | None = None
    #: why a resync stands still (another history in Redis, a damaged log); "" if it does not
    stopped: str = ""
    #: address of Redis without password
    address: str = ""
    #: of the pool: connections now, in use, most, made so far, waits for one
    pool: dict[str, int] = {}
    #: seconds that the last good probe took, and wall time of it
    latency: float | None = None
    probed_at: float | None = None


class Air(Protocol):
    """A store that has a link."""

    def air(self) -> AirView:
        """How it stands."""

    def force(self, by: str = "", reason: str = "") -> None:
        """Go and stay airgapped."""

    def release(self, by: str = "") -> None:
        """Connect again as soon as Redis can be reached."""

    def sync(self, by: str = "") -> None:
        """Try Redis now, without waiting for the next probe."""

    def amend(self, queue: str, id_: str, result: bytes) -> None:
        """Put another result in the place of the one of a completed job.  Raises ``NotFound``, ``Unreachable``."""


def link_of(store: Store) -> Air | None:
    """The store as one with a link, ``None`` if it has none."""
    return cast(Air, store) if hasattr(store, "air") else None


def is_silent(store: Store) -> bool:
    """Whether nothing at all may be sent to the store's Redis now."""
    return bool(getattr(store, "silent", False))


def remote_of(store: Store) -> Remote | None:
    """The Redis that a store works with, ``None`` if it has none."""
    return cast(Remote | None, getattr(store, "remote", None))


def air_of(store: Store) -> AirView:
    """How it stands with any store; one without a link is standalone and holds all its jobs for itself."""
    if (linked := link_of(store)) is not None:
        return linked.air()
    live = sum(
        number for states in store.counts().values() for state, number in states.items() if state not in TERMINAL
    )
    last = store.facts().get("event", 0)
    return AirView(reason="no Redis is configured", local_jobs=live, sequence=last if isinstance(last, int) else 0)
