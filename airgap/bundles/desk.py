"""The desk at which bundles are made and taken in: what all of that needs of a home, in one place.

Works on any store with a journal.  Of a store that has a link, the journal's half keeps the book and the claims — a bundle
holds jobs that this node has for itself — while jobs that come in go the way of any new job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from airgap.bundles.book import THROUGH, Book
from airgap.bundles.cards import good_name
from airgap.bundles.identity import Identity, identity_of
from airgap.bundles.records import CARRIED, IN, JOBS, OUT, PREPARING, RELEASED, BundleRecord, BundleView, CarriedEntry
from airgap.bundles.trust import Trust
from airgap.disk import make_private
from airgap.storage import JournalStore
from engine.kernel import events as ev
from engine.kernel.errors import Conflict, NotFound
from engine.storage.base import Accepted, Store

#: folder under home that holds what was made, and its file names' ending
FOLDER, ENDING = "bundles", ".hfb"

Put = Callable[[Sequence[ev.JobEnqueued]], list[Accepted]]


def journal_of(store: Store) -> JournalStore:
    """The journal's half of a store.  Raises ``Conflict`` for one that has none."""
    local = getattr(store, "local", store)
    if not isinstance(local, JournalStore):
        raise Conflict("bundles need the sealed store; this engine keeps its jobs elsewhere: start it with a home")
    return local


class Desk:
    """What makes and takes in bundles works with."""

    def __init__(self, store: Store, name: str = "", put: Put | None = None) -> None:
        self.store = store
        self.local = journal_of(store)
        self.clock = self.local.clock
        self.book = Book(self.local)
        self.trust = Trust(self.local, self.clock)
        #: takes in jobs; whoever serves queues gives one that opens them
        self.put: Put = put or store.put
        self._name = name
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Who this home is."""
        if self._identity is None:
            self._identity = identity_of(self.local.ring, good_name(self._name or self.local.ring.node))
        return self._identity

    @property
    def node(self) -> str:
        """The journal's name."""
        return self.local.ring.node

    @property
    def folder(self) -> Path:
        """Where files are written; made when first asked for."""
        folder = self.local.settings.home / FOLDER
        make_private(folder)
        return folder

    def path(self, id_: str) -> Path:
        """The file of a bundle that was made here."""
        return self.folder / f"{id_}{ENDING}"

    def file_of(self, id_: str) -> Path:
        """The same, if it is still there.  Raises ``NotFound``."""
        record = self.book.get(id_)
        path = self.path(record.id)
        if record.direction != OUT or record.state == PREPARING or not path.exists():
            raise NotFound(f"there is no file of bundle {id_:.40} here any more")
        return path

    def tell_fleet(self) -> None:
        """What was just written need not wait for the link's next round."""
        ship: Callable[[], object] | None = getattr(self.store, "ship", None)
        if ship is not None:
            ship()

    def views(self) -> list[BundleView]:
        """All bundles, newest first."""
        return self.book.views()

    def release(self, id_: str, by: str = "") -> int:
        """Expect nothing more of a bundle: jobs that are still away with it go on here, as if they had never been claimed;
        outcomes of jobs that came with it are owed no more.  Returns how many.  Raises ``NotFound``, ``Conflict``."""
        with self.local.carrying:
            record = self.book.get(id_)
            if record.kind != JOBS:
                raise Conflict(f"bundle {record.id} carries results; only bundles of jobs can be released")
            return self._let_go(record) if record.direction == IN else self._take_back(record, by)

    def _let_go(self, record: BundleRecord) -> int:
        owed = self.book.guests(record.id)
        self.book.rewrite({key: [] for key in owed})
        return sum(map(len, owed.values()))

    def _take_back(self, record: BundleRecord, by: str) -> int:
        ids = set(self.local.uncarry(record.id, f"bundle {record.id} was released by {by or 'someone'}"))
        for number, entries in self.book.away(record.id).items():
            marked = [_released(entry) if entry.id in ids and not entry.outcome else entry for entry in entries]
            self.book.went_out(record.id, number, marked)
        if ids or record.state in (PREPARING, CARRIED):
            self.book.save(_with(record, state=RELEASED))
        self.path(record.id).unlink(missing_ok=True)
        return len(ids)

    def tidy(self) -> None:
        """Delete files that nobody needs any more, and forget what was through long ago."""
        self.book.forget_old()
        needed = {view.id for view in self.views() if view.state not in THROUGH}
        for path in self.folder.glob(f"*{ENDING}"):
            if path.name.removesuffix(ENDING) not in needed:
                path.unlink(missing_ok=True)


def _released(entry: CarriedEntry) -> CarriedEntry:
    return CarriedEntry(entry.id, entry.token, RELEASED)


def _with(record: BundleRecord, **changes: object) -> BundleRecord:
    return msgspec.structs.replace(record, **changes)
