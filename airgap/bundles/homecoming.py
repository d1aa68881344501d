"""Outcomes that come home: each ends its job under the claim that carried it away, or is recorded as a conflict."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from airgap.bundles.book import is_out
from airgap.bundles.desk import Desk
from airgap.bundles.outcomes import end_of, late
from airgap.bundles.records import RELEASED, RETURNED, BundleRecord, CarriedEntry, Outcome, Record
from engine.kernel import events as ev
from engine.kernel.job import TERMINAL, JobView
from engine.storage.carrying import Brought
from engine.storage.redis.conflicts import hash_of


class Tally(msgspec.Struct):
    """What came of the outcomes."""

    new: int = 0
    known: int = 0
    conflicts: int = 0
    refused: int = 0


class Ledger:
    """The jobs of one bundle that went out, while outcomes of them come in."""

    def __init__(self, desk: Desk, record: BundleRecord) -> None:
        self.record = record
        self._desk = desk
        self._parts = desk.book.away(record.id)
        self._places = {
            entry.id: (number, place) for number, entries in self._parts.items() for place, entry in enumerate(entries)
        }
        self._changed: set[int] = set()

    def entry(self, outcome: Outcome) -> CarriedEntry | None:
        """The entry of a job, if it went out under the very claim that is named."""
        place = self._places.get(outcome.id)
        found = self._parts[place[0]][place[1]] if place is not None else None
        return found if found is not None and found.token == outcome.token else None

    def note(self, id_: str, hash_: str) -> None:
        """This outcome stands for the job."""
        number, place = self._places[id_]
        entry = self._parts[number][place]
        self._parts[number][place] = CarriedEntry(entry.id, entry.token, hash_)
        self._changed.add(number)

    def save(self) -> None:
        """Write down what changed."""
        for number in sorted(self._changed):
            self._desk.book.went_out(self.record.id, number, self._parts[number])
        outcomes = [entry.outcome for entries in self._parts.values() for entry in entries]
        done = sum(outcome not in ("", RELEASED) for outcome in outcomes)
        state = RETURNED if done == len(outcomes) else self.record.state
        self._desk.book.save(msgspec.structs.replace(self.record, done=done, state=state))


def take_outcomes(desk: Desk, record: BundleRecord, parts: Iterable[list[Record]]) -> Tally:
    """Bring all outcomes of a bundle home."""
    tally = _Homecoming(desk, record).run(parts)
    desk.tell_fleet()
    return tally


class _Homecoming:
    def __init__(self, desk: Desk, record: BundleRecord) -> None:
        self._desk = desk
        self._record = record
        self._ledgers: dict[str, Ledger | None] = {}
        self._tally = Tally()

    def run(self, parts: Iterable[list[Record]]) -> Tally:
        for records in parts:
            outcomes = [record for record in records if isinstance(record, Outcome)]
            allowed = [outcome for outcome in outcomes if self._ledger(outcome) is not None]
            self._tally.refused += len(outcomes) - len(allowed)
            self._bring(allowed)
        for ledger in self._ledgers.values():
            if ledger is not None:
                ledger.save()
        return self._tally

    def _ledger(self, outcome: Outcome) -> Ledger | None:
        """The ledger that the outcome belongs to; ``None`` if its sender was not given that job."""
        if outcome.bundle not in self._ledgers:
            self._ledgers[outcome.bundle] = self._open(outcome.bundle)
        ledger = self._ledgers[outcome.bundle]
        return ledger if ledger is not None and ledger.entry(outcome) is not None else None

    def _open(self, bundle: str) -> Ledger | None:
        record = self._desk.book.find(bundle)
        if record is None or not is_out(record) or not set(self._record.keys) <= set(record.keys):
            return None
        return Ledger(self._desk, record)

    def _bring(self, outcomes: list[Outcome]) -> None:
        brought = [Brought(o.id, o.token, o.ends) for o in outcomes]  # type: ignore[arg-type]
        not_away = self._desk.local.bring_home(brought) if brought else set()
        conflicts = []
        views = self._desk.store.get(not_away)
        for outcome in outcomes:
            ledger, end = self._ledger(outcome), outcome.ends[-1]
            assert ledger is not None and isinstance(end, ev.AttemptEnded)
            if outcome.id not in not_away:
                ledger.note(outcome.id, hash_of(end))
                self._tally.new += 1
            else:
                conflicts += self._judged(outcome, ledger, end, views)
        if conflicts:
            self._tally.conflicts += len(conflicts)
            self._desk.store.record(conflicts)

    def _judged(
        self, outcome: Outcome, ledger: Ledger, end: ev.AttemptEnded, views: dict[str, JobView]
    ) -> list[ev.ConflictFound]:
        """What an outcome is that came when its job was no more away: known, or a conflict."""
        entry, view = ledger.entry(outcome), views.get(outcome.id)
        assert entry is not None
        stands = end_of(view) if view is not None else None
        first = hash_of(stands) if stands is not None else entry.outcome if entry.outcome != RELEASED else ""
        if entry.outcome != RELEASED and first == hash_of(end):
            ledger.note(outcome.id, first)
            self._tally.known += 1
            return []
        kind = "late" if view is not None and view.state not in TERMINAL else "result"
        id_ = f"{self._record.keys[0]}:{outcome.bundle}:{outcome.id}:{hash_of(end)[:16]}"
        at = self._desk.clock.now()
        return [late(id_, at, self._record.peer, end, kind, first)]
