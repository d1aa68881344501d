"""What a linked store shows of itself and lets people do: the link by hand, one view of it, what is the journal's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from airgap.arrivals import Arrivals
from airgap.asking import Asking
from airgap.outbox import Tail
from airgap.reader import JournalReader
from airgap.view import AirView
from engine.kernel.errors import NotFound
from engine.kernel.events import ResyncProved


class LinkFace(Asking):
    """Implements ``airgap.view.Air``; mixed into ``LinkedStore``."""

    arrivals: Arrivals
    _tail: Tail
    _proof: ResyncProved | None
    _pool: Callable[[], Mapping[str, int]]
    _address: str

    def force(self, by: str = "", reason: str = "") -> None:
        """See ``Air.force``."""
        self.link.force(by, reason)

    def release(self, by: str = "") -> None:
        """See ``Air.release``."""
        self.link.release(by)

    def sync(self, by: str = "") -> None:
        """See ``Air.sync``."""
        self.link.sync_now(by)
        self._keeper.wake()

    def amend(self, queue: str, id_: str, result: bytes) -> None:
        """Put a later result in the place of the one that stands.  Raises ``NotFound``, ``Unreachable``."""
        if not self.remote.amend(queue, id_, result):
            raise NotFound(f"job {id_}: Redis keeps its result no longer; what history shows stays as it is")

    def air(self) -> AirView:
        """See ``Air.air``."""
        link, resync, standing = self.link, self.resync, self.local.journal.standing
        return AirView(
            state=link.state,
            since=link.since,
            reason=link.reason,
            forced=link.forced,
            mode=link.mode,
            local_jobs=self.local.job_count(),
            unsynced_events=resync.unsynced(),
            oldest_unsynced_at=self._tail.at(resync.ledger.event) if resync.unsynced() else None,
            sequence=standing.event,
            synced_sequence=min(standing.event, resync.ledger.event),
            progress=resync.progress,
            conflicts=self.arrivals.conflicts,
            synced_total=resync.synced_total,
            failovers=link.failovers,
            last_proof=self._proof,
            stopped=link.stopped,
            address=self._address,
            pool=dict(self._pool()),
            latency=link.latency,
            probed_at=link.probed_at,
        )

    def facts(self) -> dict[str, object]:
        """See ``Store.facts``."""
        return self.local.facts() | {"link": self.link.state}

    def follow_ends(self, told: Callable[[Iterable[str]], None]) -> Callable[[], None]:
        """See ``Remote.follow_ends``; ends in this process are told on the bus."""
        return self.remote.follow_ends(told)

    # --- what is the journal's ---

    def export_keys(self) -> bytes:
        """See ``JournalStore.export_keys``."""
        return self.local.export_keys()

    def reader(self) -> JournalReader:
        """See ``JournalStore.reader``."""
        return self.local.reader()

    def release_segments(self, reader: str, segment: int) -> None:
        """See ``JournalStore.release_segments``."""
        self.local.release_segments(reader, segment)

    def rotate_keys(self) -> str:
        """See ``JournalStore.rotate_keys``."""
        return self.local.rotate_keys()

    def acknowledge_quarantined(self) -> int:
        """See ``JournalStore.acknowledge_quarantined``."""
        return self.local.acknowledge_quarantined()
