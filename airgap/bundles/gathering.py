"""Outcomes of guests that ended elsewhere in a fleet, gathered before the fleet forgets them.

What ends in this home's own store the fold keeps by itself.  A guest that was given to Redis may end at another node, whose
outcome Redis keeps for a day or so; here it is asked for from time to time and written down with the guest.
"""

from __future__ import annotations

import logging
import threading

from airgap.bundles.desk import Desk
from airgap.bundles.outcomes import end_of
from airgap.bundles.records import IN, JOBS
from engine.kernel.errors import HoldfastError
from engine.storage.base import Store
from engine.storage.guests import GuestEntry

log = logging.getLogger("holdfast.bundles")

#: seconds between two rounds
PERIOD = 300.0


def gather(desk: Desk, bundle: str) -> int:
    """Write down what the store tells of guests of a bundle that have no outcome yet; returns how many have one now.

    ``desk.local.carrying`` is held.
    """
    by_id = desk.local.fold.guests.by_id
    changed: dict[str, list[GuestEntry]] = {}
    found = 0
    for key, entries in desk.book.guests(bundle).items():
        views = desk.store.get([entry.id for entry in entries if not by_id[entry.id].done])
        ends = {id_: end for id_, view in views.items() if (end := end_of(view)) is not None}
        if ends:
            changed[key] = [GuestEntry(entry.id, entry.token, ends.get(entry.id, entry.end)) for entry in entries]
            found += len(ends)
    if changed:
        desk.book.rewrite(changed)
    return found


class Gathering:
    """Runs ``run_once`` in the thread ``bundle-gathering``, at a home that has a link."""

    def __init__(self, store: Store) -> None:
        self._desk = Desk(store) if hasattr(store, "local") else None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; nothing happens at a home without a link."""
        if self._desk is not None:
            self._thread = threading.Thread(target=self._run, args=(self._desk,), name="bundle-gathering", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def run_once(self, desk: Desk) -> float:
        """One round; returns the seconds until the next."""
        for record in desk.book.all():
            if record.direction == IN and record.kind == JOBS and not self._stopping.is_set():
                with desk.local.carrying:
                    gather(desk, record.id)
        return PERIOD

    def _run(self, desk: Desk) -> None:
        delay = PERIOD
        while not self._stopping.wait(delay):
            try:
                delay = self.run_once(desk)
            except HoldfastError as error:
                delay = PERIOD
                log.warning("outcomes of jobs that came in bundles could not be gathered yet: %s", error)
