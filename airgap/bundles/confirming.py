"""The other home says which results it has: what it was told is owed no more."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from airgap.bundles.book import is_in
from airgap.bundles.desk import Desk
from airgap.bundles.records import DELIVERED, JOBS, OUT, RESULTS, BundleRecord


def confirm(desk: Desk, key: str, applied: Iterable[str]) -> None:
    """Results bundles that the home with that signing key has applied."""
    mine = [record for id_ in applied if (record := desk.book.find(id_)) is not None and _is_for(record, key)]
    if not mine:
        return
    _settle(desk, key, max(record.upto for record in mine))
    for record in mine:
        desk.book.save(msgspec.structs.replace(record, state=DELIVERED, done=record.jobs))


def _is_for(record: BundleRecord, key: str) -> bool:
    return record.direction == OUT and record.kind == RESULTS and key in record.keys and record.state != DELIVERED


def _settle(desk: Desk, key: str, upto: int) -> None:
    """Outcomes up to a number were told to that home."""
    by_id = desk.local.fold.guests.by_id
    for record in desk.book.all():
        if is_in(record, key, JOBS):
            owed = desk.book.guests(record.id)
            left = {name: [e for e in entries if not 0 < by_id[e.id].done <= upto] for name, entries in owed.items()}
            desk.book.rewrite({name: entries for name, entries in left.items() if entries != owed[name]})
