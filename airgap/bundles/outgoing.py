"""Making bundles: jobs out, and results back.

Jobs: every one is claimed for the bundle, on disk, before a byte of the file is written, so that none can run here and
elsewhere; if the file cannot be written they are taken back.  Results: whatever has ended and was not confirmed goes into
every bundle until the other home says that it has it — a lost stick costs nothing, and repeats are known by their claims.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from airgap.bundles import form
from airgap.bundles.book import is_in
from airgap.bundles.cards import Card
from airgap.bundles.desk import Desk
from airgap.bundles.gathering import gather
from airgap.bundles.outcomes import request_of, told
from airgap.bundles.records import (
    APPLIED,
    CARRIED,
    JOBS,
    OUT,
    PREPARING,
    RESULTS,
    SENT,
    BundleRecord,
    CarriedEntry,
    CarriedJob,
    Header,
    Outcome,
    Preface,
    Record,
)
from airgap.bundles.sealing import new_key, wrap
from airgap.bundles.trust import Trusted
from engine.kernel.errors import NotFound, StoreFull, ValidationError
from engine.kernel.job import JobState
from engine.storage.carrying import CARRIABLE, STEP
from engine.storage.guests import Guest, GuestEntry

#: results bundles whose arrival is confirmed in every bundle that goes back
CONFIRMED = 1_000


class Wanted(msgspec.Struct, frozen=True):
    """Which jobs go out."""

    #: empty for all
    queues: tuple[str, ...] = ()
    #: of ``CARRIABLE``; empty for all of them
    states: tuple[JobState, ...] = ()
    #: ``None`` for all
    limit: int | None = None


def export_jobs(desk: Desk, to: Sequence[str], wanted: Wanted, by: str = "") -> BundleRecord:
    """Make a bundle of jobs for homes that are trusted; its file is ``desk.path(id)``.

    With several recipients each gets all jobs, and the first outcome counts.  Raises ``NotFound``, ``ValidationError``,
    ``StoreFull``.
    """
    peers = _peers(desk, to)
    with desk.local.carrying:
        desk.tidy()
        ids = _chosen(desk, wanted)
        record = desk.book.save(_new_record(desk, JOBS, peers, len(ids), PREPARING, by))
        try:
            count = _claim(desk, record.id, ids)
            if not count:
                raise NotFound("no job waits any more")
            size = _write(desk, record, peers, count, _jobs(desk, record.id))
        except BaseException:
            desk.local.uncarry(record.id, "its bundle could not be written")
            desk.book.forget(record.id)
            raise
        return desk.book.save(msgspec.structs.replace(record, state=CARRIED, jobs=count, bytes=size))


def export_results(desk: Desk, to: str, limit: int | None = None, by: str = "") -> BundleRecord:
    """Make a bundle of all outcomes that a home is owed.  Raises ``NotFound`` if there are none."""
    peer = desk.trust.named(to)
    with desk.local.carrying:
        desk.tidy()
        sources = [entry.id for entry in desk.book.all() if is_in(entry, peer.keys.fingerprint, JOBS)]
        for id_ in sources:
            gather(desk, id_)
        owed = sorted(_owed(desk, sources), key=lambda item: item[0].done)[:limit]
        if not owed:
            raise NotFound(f"no job that came from {peer.name} has ended since it was last told")
        record = _new_record(desk, RESULTS, [peer], len(owed), SENT, by)
        outcomes = (Outcome(source, guest.id, entry.token, told(guest.ends)) for guest, entry, source in owed)
        size = _write(desk, record, [peer], len(owed), outcomes)
        upto = owed[-1][0].done
        return desk.book.save(msgspec.structs.replace(record, bytes=size, upto=upto))


def _peers(desk: Desk, names: Sequence[str]) -> list[Trusted]:
    if not names:
        raise ValidationError("to: name at least one trusted home", "to")
    return [desk.trust.named(name) for name in dict.fromkeys(names)]


def _new_record(desk: Desk, kind: str, peers: Sequence[Trusted], count: int, state: str, by: str) -> BundleRecord:
    names, keys = ", ".join(peer.name for peer in peers), tuple(peer.keys.fingerprint for peer in peers)
    return BundleRecord(secrets.token_hex(8), OUT, kind, names, keys, desk.clock.now(), by, count, state)


# --- jobs ---


def _chosen(desk: Desk, wanted: Wanted) -> list[str]:
    left = 1 << 30 if wanted.limit is None else wanted.limit
    if left < 1:
        raise ValidationError(f"limit: expected 1 or more, got {left}", "limit")
    ids: list[str] = []
    for queue in wanted.queues or sorted(desk.local.fold.queues):
        ids += desk.local.carriable(queue, wanted.states or CARRIABLE, left - len(ids))
    if not ids:
        fleet = "" if desk.store is desk.local else ", and those that were given to Redis are the fleet's"
        raise NotFound(f"no job that waits here matches; running ones end here, dead ones must be retried first{fleet}")
    return ids


def _claim(desk: Desk, bundle: str, ids: Sequence[str]) -> int:
    count = 0
    for number, start in enumerate(range(0, len(ids), STEP)):
        jobs = desk.local.carry(ids[start : start + STEP], bundle)
        desk.book.went_out(bundle, number, [CarriedEntry(job.id, job.token) for job in jobs])
        count += len(jobs)
    return count


def _jobs(desk: Desk, bundle: str) -> Iterator[CarriedJob]:
    for entries in desk.book.away(bundle).values():
        for entry in entries:
            yield CarriedJob(entry.token, request_of(desk.local.fold.jobs[entry.id]))


# --- results ---


def _owed(desk: Desk, sources: Iterable[str]) -> Iterator[tuple[Guest, GuestEntry, str]]:
    by_id = desk.local.fold.guests.by_id
    for source in sources:
        for entries in desk.book.guests(source).values():
            for entry in entries:
                if by_id[entry.id].done:
                    yield by_id[entry.id], entry, source


# --- the file ---


def _write(desk: Desk, record: BundleRecord, peers: Sequence[Trusted], count: int, records: Iterable[Record]) -> int:
    """Write the file beside its place, and put it there whole."""
    cards = [peer.keys for peer in peers]
    content_key = new_key()
    sender = desk.identity.card.fingerprint
    wrapped = tuple(wrap(card.sealing, content_key, record.id) for card in cards)
    header = Header(record.id, record.kind, sender, record.at, count, wrapped)
    path = desk.path(record.id)
    part = path.with_suffix(".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            size = form.write(file, header, _with_preface(desk, cards, records), content_key, desk.identity)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StoreFull(f"{path}: the bundle cannot be written ({error.strerror}); free space on its disk") from error
    finally:
        _away(part)
    return size


def _away(part: Path) -> None:
    with contextlib.suppress(OSError):
        part.unlink()


def _with_preface(desk: Desk, cards: Sequence[Card], records: Iterable[Record]) -> Iterator[Record]:
    keys = {card.fingerprint for card in cards}
    known = [record for record in desk.book.all() if any(is_in(record, key) for key in keys)]
    applied = [record.id for record in known if record.state == APPLIED][:CONFIRMED]
    yield Preface(desk.identity.card.name, tuple(applied))
    yield from records
