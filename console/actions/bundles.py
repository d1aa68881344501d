"""Making bundles, taking them in, releasing them, and saying which homes are trusted."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from airgap.bundles import (
    BundleRecord,
    BundleView,
    Desk,
    Taken,
    Trusted,
    Wanted,
    export_jobs,
    export_results,
    take_in,
)
from airgap.bundles.cards import Card
from console.actions.actor import Actor, authorise
from console.context import Console
from engine.kernel import events as ev
from engine.storage.base import Accepted


def make_jobs(console: Console, actor: Actor, to: Sequence[str], wanted: Wanted) -> BundleRecord:
    """Claim jobs for a bundle and write it.  Raises ``NotFound``, ``ValidationError``, ``Conflict``, ``StoreFull``."""
    authorise(actor, "bundle.make")
    record = export_jobs(desk_of(console), to, wanted, by=actor.name)
    console.trail.write(actor, "bundle.make", record.id, {"kind": "jobs", "to": record.peer, "jobs": record.jobs})
    return record


def make_results(console: Console, actor: Actor, to: str, limit: int | None = None) -> BundleRecord:
    """Write a bundle of all that a home is owed.  Raises ``NotFound``, ``Conflict``."""
    authorise(actor, "bundle.make")
    record = export_results(desk_of(console), to, limit, by=actor.name)
    console.trail.write(actor, "bundle.make", record.id, {"kind": "results", "to": record.peer, "jobs": record.jobs})
    return record


def file_of(console: Console, actor: Actor, id: str) -> tuple[BundleRecord, Path]:
    """A bundle that was made here, and its file.  Raises ``NotFound``."""
    authorise(actor, "bundle.make")
    desk = desk_of(console)
    return desk.book.get(id), desk.file_of(id)


def take(console: Console, actor: Actor, file: BinaryIO, *, dry_run: bool = False) -> Taken:
    """Take a bundle in, or only look into it.  Raises ``BundleRefused``, ``StoreFull``, ``Conflict``."""
    authorise(actor, "bundle.take")
    taken = take_in(desk_of(console), file, dry_run=dry_run, by=actor.name)
    if not dry_run:
        told = {"kind": taken.kind, "from": taken.peer, "new": taken.new, "known": taken.known}
        console.trail.write(
            actor, "bundle.take", taken.id, told | {"conflicts": taken.conflicts, "refused": taken.refused}
        )
    return taken


def release_bundle(console: Console, actor: Actor, id: str) -> int:
    """Expect nothing more of a bundle; returns how many jobs that frees.  Raises ``NotFound``, ``Conflict``."""
    authorise(actor, "bundle.release")
    count = desk_of(console).release(id, by=actor.name)
    console.trail.write(actor, "bundle.release", id, {"jobs": count})
    return count


def list_bundles(console: Console, actor: Actor) -> list[BundleView]:
    """All bundles, newest first.  Raises ``Conflict`` for a store that keeps none."""
    authorise(actor, "bundle.read")
    return desk_of(console).views()


def identity(console: Console, actor: Actor) -> Card:
    """The public card of this home."""
    authorise(actor, "bundle.read")
    return desk_of(console).identity.card


def list_trusted(console: Console, actor: Actor) -> list[Trusted]:
    """The homes that are trusted, by name."""
    authorise(actor, "bundle.read")
    return desk_of(console).trust.all()


def trust(console: Console, actor: Actor, card: str, name: str = "") -> Trusted:
    """Trust the home whose card this is.  Raises ``ValidationError``, ``Conflict``."""
    authorise(actor, "trust.manage")
    desk = desk_of(console)
    trusted = desk.trust.add(card, own=desk.identity.card, name=name, by=actor.name)
    console.trail.write(actor, "trust.add", trusted.name, {"fingerprint": trusted.keys.fingerprint})
    return trusted


def distrust(console: Console, actor: Actor, name: str) -> None:
    """Trust a home no more.  Raises ``NotFound``."""
    authorise(actor, "trust.manage")
    trusted = desk_of(console).trust.remove(name)
    console.trail.write(actor, "trust.remove", trusted.name, {"fingerprint": trusted.keys.fingerprint})


def desk_of(console: Console) -> Desk:
    """The desk of the engine's store.  Raises ``Conflict`` if it keeps no journal."""

    def put(jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        for queue in {job.queue for job in jobs}:
            console.engine.queue(queue)
        return console.engine.store.put(jobs)

    return Desk(console.engine.store, console.settings.agent_name or platform.node(), put)
