"""Taking bundles in: nothing is applied before signature, seal and every record were found right.

Each part is applied so that doing it again changes nothing: jobs are put by their ids, outcomes are brought home under the
claim that carried the job away.  An outcome is only taken from a home that was given the job; one that comes when the job
is no more away is recorded as a conflict, unless it is the very outcome that stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from airgap.bundles.checking import check
from airgap.bundles.confirming import confirm
from airgap.bundles.desk import Desk
from airgap.bundles.form import BundleReader
from airgap.bundles.guesting import take_jobs
from airgap.bundles.homecoming import take_outcomes
from airgap.bundles.records import (
    APPLIED,
    IMPORTING,
    IN,
    JOBS,
    RUNNING,
    BundleRecord,
    CarriedJob,
    Header,
    Preface,
    Record,
)
from airgap.bundles.trust import Trusted
from engine.kernel.errors import BundleRefused


class Taken(msgspec.Struct, frozen=True):
    """What came of taking a bundle in."""

    id: str
    kind: str
    #: whom it is from, by the name given here
    peer: str
    count: int
    #: jobs that were not known before, or outcomes that were applied
    new: int = 0
    #: what was known already
    known: int = 0
    #: jobs whose request or unique key another job had here
    merged: int = 0
    #: outcomes that came when their job was no more away
    conflicts: int = 0
    #: outcomes of jobs that were not given to that home
    refused: int = 0
    #: names of the tasks in it
    tasks: tuple[str, ...] = ()
    dry_run: bool = False


class Opened(msgspec.Struct, frozen=True):
    """A bundle whose signature is right and whose seal opens."""

    reader: BundleReader
    header: Header
    peer: Trusted
    content_key: bytes
    chunks: int

    def records(self) -> Iterator[list[Record]]:
        """What is in it, part by part."""
        return self.reader.chunks(self.content_key, self.chunks)


def take_in(desk: Desk, file: BinaryIO, *, dry_run: bool = False, by: str = "") -> Taken:
    """Take a bundle in; ``dry_run`` only looks.  Raises ``BundleRefused``, ``StoreFull``."""
    with desk.local.carrying:
        opened = open_bundle(desk, file)
        tasks, applied = _checked(desk, opened)
        known = desk.book.find(opened.header.id)
        if dry_run:
            return _taken(opened, tasks=tasks, known=opened.header.count if known else 0, dry_run=True)
        desk.tidy()
        confirm(desk, opened.peer.keys.fingerprint, applied)
        if known is not None and known.state != IMPORTING:
            return _taken(opened, tasks=tasks, known=opened.header.count)
        return _apply(desk, opened, tasks, by)


def open_bundle(desk: Desk, file: BinaryIO) -> Opened:
    """Check signature and seal.  Raises ``BundleRefused``."""
    reader = BundleReader(file)
    header, own = reader.header, desk.identity.card
    if header.sender == own.fingerprint:
        raise BundleRefused("it was made by this home itself; it is to be taken in by the other one")
    peer = desk.trust.by_key(header.sender)
    if peer is None:
        raise BundleRefused(
            f"it is signed with key {header.sender:.16}, which is not trusted here; compare the card of the home that made it "
            "(airgap identity there) and trust that (airgap trust CARD)"
        )
    chunks = reader.verify(peer.keys.signing)
    wrapped = next((one for one in header.recipients if one.recipient == own.sealing_id), None)
    if wrapped is None:
        raise BundleRefused(
            f"{peer.name} sealed it to others, this home cannot open it; have it made with --to this home"
        )
    return Opened(reader, header, peer, desk.identity.open(wrapped, header.id), chunks)


def _checked(desk: Desk, opened: Opened) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Look at every record; names of tasks, and ids of bundles that the sender has applied."""
    tasks: set[str] = set()
    applied: tuple[str, ...] = ()
    count = 0
    for number, records in enumerate(opened.records()):
        for place, record in enumerate(records):
            if isinstance(record, Preface):
                if number or place:
                    raise BundleRefused("its preface stands in the middle")
                applied = record.applied
                continue
            count += 1
            if isinstance(record, CarriedJob):
                tasks.add(record.job.task)
            check(opened.header.kind, record, desk.local.settings.max_payload)
    if count != opened.header.count:
        raise BundleRefused(f"its header says {opened.header.count}, it has {count}")
    return tuple(sorted(tasks)), applied


def _apply(desk: Desk, opened: Opened, tasks: tuple[str, ...], by: str) -> Taken:
    header, peer = opened.header, opened.peer
    record = BundleRecord(
        header.id, IN, header.kind, peer.name, (peer.keys.fingerprint,), desk.clock.now(), by, header.count, IMPORTING
    )
    desk.book.save(record)
    if header.kind == JOBS:
        new, merged = take_jobs(desk, record, opened.records())
        desk.book.save(msgspec.structs.replace(record, state=RUNNING))
        return _taken(opened, new=new, merged=merged, known=header.count - new - merged, tasks=tasks)
    tally = take_outcomes(desk, record, opened.records())
    counts = {"done": tally.new, "conflicts": tally.conflicts, "refused": tally.refused}
    desk.book.save(msgspec.structs.replace(record, state=APPLIED, **counts))
    return _taken(opened, new=tally.new, known=tally.known, conflicts=tally.conflicts, refused=tally.refused)


def _taken(opened: Opened, **figures: object) -> Taken:
    header = opened.header
    return msgspec.structs.replace(Taken(header.id, header.kind, opened.peer.name, header.count), **figures)
