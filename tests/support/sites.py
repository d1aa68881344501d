"""Two homes that never meet, and what a test does with them: run jobs, carry files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airgap import JournalStore
from airgap.bundles import Desk, Taken, Wanted, export_jobs, export_results, take_in
from engine.kernel import events as ev
from engine.kernel.bus import Bus
from engine.kernel.clock import FakeClock
from engine.kernel.job import JobState, JobView, new_id
from engine.storage.base import Want
from tests.support.journals import events_of, store_in


class Site:
    """A home with its desk."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.name = name
        self.clock = FakeClock()
        self.open()

    def open(self) -> None:
        """Open the store, again after a ``close``."""
        bus = Bus()
        self.seen = events_of(bus)
        self.store: JournalStore = store_in(self.home, self.clock, bus, durability="process")
        self.desk = Desk(self.store, self.name)

    def close(self) -> None:
        self.store.close()

    def restart(self, *, checkpoint: bool = False) -> None:
        """Close and open again, from a checkpoint if that is meant."""
        if checkpoint:
            assert self.store.keeper.checkpoint()
        self.close()
        self.open()

    def trusts(self, other: Site) -> None:
        self.desk.trust.add(other.desk.identity.card.line(), own=self.desk.identity.card, by="test")

    # --- jobs ---

    def put(self, count: int = 1, queue: str = "mail", **fields: Any) -> list[str]:
        made = [
            ev.JobEnqueued(
                self.clock.now(), new_id(), queue, "send", b'{"v":1,"args":{}}', **({"max_attempts": 3} | fields)
            )
            for _ in range(count)
        ]
        return [accepted.id for accepted in self.store.put(made)]

    def work(self, result: bytes = b'"done"', most: int = 1_000_000, queue: str = "mail") -> list[str]:
        """Run what is available to its end; the ids."""
        claim = self.store.claim(Want({queue: most}, f"{self.name}-agent", most))
        if claim is None:
            return []
        now = self.clock.now()
        ends = [
            ev.JobCompleted(now, job.id, claim.token, job.attempt, f"{self.name}-agent/1", now - 2, 2.0, result=result,
                            queue=job.queue)
            for job in claim.jobs
        ]  # fmt: skip
        assert self.store.finish(ends) == set()
        return [job.id for job in claim.jobs]

    def view(self, id_: str) -> JobView:
        return self.store.get([id_])[id_]

    def states(self, ids: list[str]) -> set[JobState]:
        views = self.store.get(ids)
        assert set(views) == set(ids)
        return {view.state for view in views.values()}

    def told(self, kind: type[ev.Event]) -> list[Any]:
        """Events of a kind that this site's bus carried since it was opened."""
        return [event for event in self.seen if type(event) is kind]

    # --- bundles ---

    def pack(self, to: Site, **wanted: Any) -> Path:
        """A bundle of jobs for another site."""
        return self.pack_for(to.name, **wanted)

    def pack_for(self, name: str, **wanted: Any) -> Path:
        """The same, for who is trusted under a name."""
        return self.desk.path(export_jobs(self.desk, [name], Wanted(**wanted), by="test").id)

    def pack_results(self, to: Site, limit: int | None = None) -> Path:
        """A bundle of all that another site is owed."""
        return self.pack_results_for(to.name, limit)

    def pack_results_for(self, name: str, limit: int | None = None) -> Path:
        """The same, for who is trusted under a name."""
        return self.desk.path(export_results(self.desk, name, limit, by="test").id)

    def unpack(self, path: Path, **options: Any) -> Taken:
        """Take a bundle in."""
        with path.open("rb") as file:
            return take_in(self.desk, file, by="test", **options)


def two_sites(folder: Path) -> tuple[Site, Site]:
    """Two homes that trust each other."""
    ship, shore = Site(folder / "ship", "ship"), Site(folder / "shore", "shore")
    ship.trusts(shore)
    shore.trusts(ship)
    return ship, shore
