"""What a home remembers of its bundles, in its own store: one record each, and which jobs went out under which claims.

Names of values: ``bundle:book:<id>`` a record, ``bundle:out:<id>:<n>`` jobs that went out, ``bundle:guest:<id>:<n>`` jobs
that came in (see ``engine.storage.guests``).  What is through is forgotten after a while; what is owed never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from airgap.bundles.records import (
    APPLIED,
    DELIVERED,
    ENDED,
    IMPORTING,
    IN,
    JOBS,
    OUT,
    RELEASED,
    REPORTED,
    RESULTS,
    RETURNED,
    RUNNING,
    BundleRecord,
    BundleView,
    CarriedEntry,
)
from airgap.storage import JournalStore
from engine.kernel import events as ev
from engine.kernel.errors import NotFound
from engine.storage.guests import GUESTS, GuestEntry, entries_of, value_of

BOOK, AWAY = "bundle:book:", "bundle:out:"
#: seconds that a bundle is remembered once it is through
REMEMBERED = 90 * 86_400.0

_entries = msgspec.msgpack.Decoder(list[CarriedEntry]).decode
_record = msgspec.json.Decoder(BundleRecord).decode


class Book:
    """The bundles of one home."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store

    # --- records ---

    def save(self, record: BundleRecord) -> BundleRecord:
        """Write a record down."""
        self._store.set_value(BOOK + record.id, msgspec.json.encode(record))
        return record

    def find(self, id_: str) -> BundleRecord | None:
        """The record of a bundle."""
        value = self._store.value(BOOK + id_)
        return None if value is None else _record(value)

    def get(self, id_: str) -> BundleRecord:
        """The record of a bundle.  Raises ``NotFound``."""
        found = self.find(id_)
        if found is None:
            raise NotFound(f"no bundle {id_:.40} was made or taken in here; airgap bundles lists them")
        return found

    def all(self) -> list[BundleRecord]:
        """All records, newest first."""
        records = [_record(value) for value in self._store.values(BOOK).values()]
        return sorted(records, key=lambda record: (-record.at, record.id))

    def views(self) -> list[BundleView]:
        """All bundles as people see them."""
        tallies = self._tallies()
        return [_view(record, tallies.get(record.id)) for record in self.all()]

    def _tallies(self) -> dict[str, tuple[int, int]]:
        """Bundle -> jobs of it whose outcome is owed, and those that have one."""
        found: dict[str, tuple[int, int]] = {}
        with self._store.lock:
            for key in self._store.values(GUESTS):
                id_ = _bundle_of(key)
                there, done = self._store.fold.guests.tally(key)
                before = found.get(id_, (0, 0))
                found[id_] = before[0] + there, before[1] + done
        return found

    # --- jobs that went out ---

    def went_out(self, id_: str, number: int, entries: Iterable[CarriedEntry]) -> None:
        """Write down a part of the jobs of a bundle."""
        self._write({f"{AWAY}{id_}:{number:06d}": msgspec.msgpack.encode(list(entries))})

    def away(self, id_: str) -> dict[int, list[CarriedEntry]]:
        """All parts of the jobs of a bundle, by number."""
        values = self._store.values(f"{AWAY}{id_}:")
        return {int(key.rpartition(":")[2]): _entries(value) for key, value in sorted(values.items())}

    # --- jobs that came in ---

    def came_in(self, id_: str, number: int, entries: Iterable[GuestEntry]) -> None:
        """Write down a part of the jobs that came with a bundle: their ends are kept from now on."""
        self.rewrite({f"{GUESTS}{id_}:{number:06d}": list(entries)})

    def guests(self, id_: str) -> dict[str, list[GuestEntry]]:
        """Key -> jobs that came with a bundle and whose outcomes are still owed; such that came again with a later
        bundle are that one's."""
        by_id = self._store.fold.guests.by_id
        values = self._store.values(f"{GUESTS}{id_}:")
        return {
            key: [entry for entry in entries_of(value) if entry.id in by_id and by_id[entry.id].entry == key]
            for key, value in sorted(values.items())
        }

    def rewrite(self, changed: Mapping[str, list[GuestEntry]]) -> None:
        """Replace parts of the jobs that came in; an empty one goes."""
        self._write({key: value_of(entries) if entries else None for key, entries in changed.items()})

    # --- the end ---

    def forget(self, id_: str) -> None:
        """Forget a bundle altogether."""
        keys = [*self._store.values(f"{AWAY}{id_}:"), *self._store.values(f"{GUESTS}{id_}:"), BOOK + id_]
        self._write(dict.fromkeys(keys))

    def forget_old(self) -> list[str]:
        """Forget bundles that were through long ago; returns their ids."""
        before = self._store.clock.now() - REMEMBERED
        old = [view.id for view in self.views() if view.at < before and view.state in THROUGH]
        for id_ in old:
            self.forget(id_)
        return old

    def _write(self, values: Mapping[str, bytes | None]) -> None:
        now = self._store.clock.now()
        self._store.record(
            [
                ev.ValueDeleted(now, key) if value is None else ev.ValueSet(now, key, value)
                for key, value in values.items()
            ]
        )


#: states in which nothing more is expected
THROUGH = frozenset({RETURNED, RELEASED, DELIVERED, REPORTED, APPLIED})


def _bundle_of(key: str) -> str:
    return key.removeprefix(GUESTS).partition(":")[0]


def _view(record: BundleRecord, tally: tuple[int, int] | None) -> BundleView:
    done, state = record.done, record.state
    if record.direction == IN and record.kind == JOBS and state != IMPORTING:
        owed, ended = tally or (0, 0)
        done = record.jobs - owed + ended
        state = (RUNNING if done < record.jobs else ENDED) if owed else REPORTED
    return BundleView(
        record.id, record.direction, record.kind, record.peer, record.at, record.jobs, done, state,
        record.conflicts, record.refused, record.bytes, record.by,
    )  # fmt: skip


def is_out(record: BundleRecord | None, kind: str = JOBS) -> bool:
    """Whether it is a bundle of that kind that was made here."""
    return record is not None and record.direction == OUT and record.kind == kind


def is_in(record: BundleRecord, key: str, kind: str = RESULTS) -> bool:
    """Whether it is a bundle of that kind that came from the home with that key."""
    return record.direction == IN and record.kind == kind and key in record.keys
