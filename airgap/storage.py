"""The sealed store: a fold in memory whose log is the journal.  This is where the parts of this folder are put together.

Opening takes the owner lock, the key ring, the entries — in that order, and touches nothing before each is known to be
right — reads the log back into the fold, takes back what was claimed when the last owner died, and reports what it had
to set aside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from airgap.ballast import Ballast
from airgap.disk import READ_ERRORS, make_private
from airgap.inspection import damaged, holds_entries
from airgap.journal import WRITE_ERRORS, Journal, Standing
from airgap.keeper import Keeper
from airgap.keys import RING_FILE, KeyRing
from airgap.owner import OwnerLock
from airgap.quarantine import ACKNOWLEDGED, NOTHING, Acknowledged, Quarantine, Quarantined
from airgap.quota import Quota
from airgap.reader import JournalReader
from airgap.recovery import CLOSED, NODE, NOTE, Recovered, recover
from airgap.shelf import Shelf
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError
from engine.kernel.events import EntryQuarantined
from engine.kernel.settings import Settings
from engine.storage.state import StateStore

log = logging.getLogger("holdfast.journal")

#: folders and files under home
STORE_FOLDER, KEYS_FOLDER, LOCK_FILE, BALLAST_FILE = "airgap", "keys", "owner.lock", "reserve"


class JournalStore(StateStore):
    """Jobs that survive: see ``engine.storage.base.Store``."""

    def __init__(self, settings: Settings, clock: Clock, bus: Bus, *, pinned: str = "") -> None:
        """``pinned`` names the reader whose unread segments are never deleted."""
        self.settings = settings
        self._pinned = pinned
        self.journal = Journal(
            Shelf(settings.home / STORE_FOLDER),
            Quota(settings.store_limit),
            Ballast(settings.home / STORE_FOLDER / BALLAST_FILE, settings.store_limit),
            clock,
            power_safe=settings.durability != "process",
            on_commit=bus.publish,
        )
        super().__init__(
            self.journal,
            clock,
            bus,
            result_limit=settings.result_limit,
            result_ttl=settings.result_ttl,
            idempotency_ttl=settings.idempotency_ttl,
        )
        self._owner = OwnerLock(settings.home / LOCK_FILE)
        self._ring: KeyRing | None = None
        self._keeper: Keeper | None = None
        self._quarantined: list[Quarantined] = []

    def open(self) -> None:
        """See ``Store.open``."""
        make_private(self.settings.home)
        self._owner.acquire(self.clock.now())
        try:
            self._open()
        except BaseException as error:
            self._let_go()
            if isinstance(error, READ_ERRORS):
                raise damaged(self.journal.shelf.path, error) from error
            raise

    def close(self) -> None:
        """See ``Store.close``."""
        if self._keeper is None:
            return
        self._keeper.finish()
        self.journal.close()
        self._note_close()
        self._let_go()

    def facts(self) -> dict[str, object]:
        """See ``Store.facts``."""
        journal, keeper, ring = self.journal, self.keeper, self.ring
        share = journal.quota.share(journal.used)
        aside, known = self.quarantined(), self._acknowledged()
        return {
            "kind": "journal",
            "used": journal.used,
            "limit": journal.quota.limit,
            "share": round(share, 4),
            "level": str(journal.quota.level(journal.used)),
            "trouble": journal.trouble or ("" if journal.ballast.held else journal.ballast.refusal()),
            "reserve_held": journal.ballast.held,
            "segment": journal.standing.number,
            "event": journal.standing.event,
            "chain": journal.standing.chain.hex(),
            "segments": journal.segments,
            "checkpoint": keeper.covered.segment if keeper.covered else 0,
            "checkpoint_at": keeper.covered_at,
            "quarantined": [msgspec.structs.asdict(item) | {"acknowledged": known.covers(item)} for item in aside],
            "unacknowledged": sum(not known.covers(item) for item in aside),
            "node": ring.node,
            "incarnation": ring.incarnation,
            "keys": ring.ids,
            "key_source": ring.source,
            "readers": dict(keeper.marks),
            "durability": self.settings.durability,
        }

    @property
    def ring(self) -> KeyRing:
        if self._ring is None:
            raise HoldfastError("the store is not open")
        return self._ring

    @property
    def keeper(self) -> Keeper:
        if self._keeper is None:
            raise HoldfastError("the store is not open")
        return self._keeper

    def job_count(self) -> int:
        """Live jobs."""
        return len(self.fold.jobs)

    def quarantined(self) -> list[Quarantined]:
        """All that was ever set aside, oldest first; nothing is added to it after the start."""
        return self._quarantined

    def acknowledge_quarantined(self) -> int:
        """All that was set aside until now is known; it stays kept.  Returns how many were new.  Raises ``StoreFull``."""
        items, known = self.quarantined(), self._acknowledged()
        new = sum(not known.covers(item) for item in items)
        if new:
            latest = Acknowledged(items[-1].id, max(item.at for item in items))
            self.set_value(ACKNOWLEDGED, msgspec.json.encode(latest))
        return new

    def _acknowledged(self) -> Acknowledged:
        kept = self.value(ACKNOWLEDGED)
        return msgspec.json.decode(kept, type=Acknowledged) if kept else NOTHING

    def release_segments(self, reader: str, segment: int) -> None:
        """``reader`` has read and kept everything up to ``segment``."""
        self.keeper.release(reader, segment)

    def reader(self) -> JournalReader:
        """A reader of this journal in this process."""
        return JournalReader(self.settings.home, self.export_keys())

    def export_keys(self) -> bytes:
        """The opened keys for a reading process; hand them over a pipe, never through a file, argument or variable."""
        return self.ring.export_for_reader()

    def rotate_keys(self) -> str:
        """Seal with a new key from now on, and everything older bit by bit; returns the new key's id."""
        return self.keeper.rotate()

    def _let_go(self) -> None:
        self._keeper = None
        self.journal.shelf.close()
        self._owner.release()

    def _open(self) -> None:
        shelf, settings = self.journal.shelf, self.settings
        held = holds_entries(shelf.path)
        known = (settings.home / KEYS_FOLDER / RING_FILE).exists()
        ring = self._ring = open_ring(settings, make=not held)
        shelf.open()
        found = recover(shelf, ring.sealer(), self, self.clock.now())
        if found.found or (known and not held):
            ring.begin_incarnation()
        self._begin(ring, found)

    def _begin(self, ring: KeyRing, found: Recovered) -> None:
        shelf = self.journal.shelf
        if shelf.get(NODE) is None:
            shelf.put(NODE, ring.sealer().seal(NOTE, NODE, ring.node.encode()))
        shelf.delete([CLOSED])
        self.journal.ballast.hold()
        self.journal.begin(ring.sealer(), ring.incarnation, found.standing, found.used, found.segments)
        self._quarantined = Quarantine(shelf).items()
        self._keeper = Keeper(self.journal, ring, self, self.clock, self.settings.journal_retention, self._pinned)
        self._keeper.resume(found)
        self.settle()
        self.rescue_all()
        for item in found.found:
            log.error("set aside: %s (%s)", item.what, item.reason)
        if found.found:
            self.record([EntryQuarantined(item.at, item.what, item.reason) for item in found.found])
        self._keeper.start()

    def _note_close(self) -> None:
        """Say where the log ends, so that a log that ends elsewhere is noticed; a file that refuses it is told in the log."""
        if self.journal.trouble:
            return
        standing: Standing = self.journal.standing
        entry = self.ring.sealer().seal(NOTE, CLOSED, msgspec.msgpack.encode(standing))
        with self.journal.held():
            try:
                self.journal.shelf.put(CLOSED, entry)
            except WRITE_ERRORS as error:
                log.error("the end of the log could not be written down: %s", error)


def open_journal(settings: Settings, clock: Clock, bus: Bus) -> JournalStore:
    """The sealed store of ``settings.home``; not open yet."""
    return JournalStore(settings, clock, bus)


def open_ring(settings: Settings, *, make: bool) -> KeyRing:
    """The key ring of ``settings.home``; see ``KeyRing.open``."""
    secret = {"passphrase": settings.passphrase, "environment": settings.key}.get(settings.key_source)
    return KeyRing.open(settings.home / KEYS_FOLDER, settings.key_source, secret, make=make)


def rewrap_keys(settings: Settings, clock: Clock, source: str, ask: Callable[[], str | None]) -> None:
    """Have the key ring of a home where nothing runs opened by another source or secret; see ``KeyRing.rewrap``.

    What opens it now is in ``settings``; ``ask`` gives the new secret, once the home is held and its keys are open.
    Raises ``StoreOwned``, ``SettingsError``, ``StoreDamaged``.  The store itself is not touched.
    """
    owner = OwnerLock(settings.home / LOCK_FILE)
    owner.acquire(clock.now())
    try:
        open_ring(settings, make=False).rewrap(source, ask())
    finally:
        owner.release()
