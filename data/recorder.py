"""The recorder: follows logs of events and keeps history up with them.

It reads the journal of its node, and in a fleet the streams of Redis, from marks of its own, folds a batch
(``data.folding``) and writes the rows *and the marks* in one transaction, so that a crash at any point costs nothing and
doubles nothing.  Deciding which jobs exist, running them and showing them is others' work; the engine never waits for
history.  Meant for a process of its own: ``follow`` is its loop, and nothing here imports SQLAlchemy.  One recorder writes
to a database at a time; others wait their turn, and what one has recorded the others pass over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from data import statements as sql
from data.database import Database
from data.drafts import AttemptDraft, Draft
from data.folding import BatchFold
from data.hauls import Entry, Haul, JournalHaul, Loose, StreamHaul
from data.marks import UNNAMED, Marks, read_turn
from data.plain import Plain
from data.tangles import untangle
from data.touched import ids_touched
from data.writing import Writing, parked
from engine.kernel.clock import Clock
from engine.kernel.faults import reached
from engine.storage.base import EventLog, Stretch

log = logging.getLogger("holdfast.recorder")

#: a batch is written once it has so many events
BATCH_EVENTS = 5_000
#: segments asked of the log at once
SEGMENTS = 512
#: seconds between looks at a log that had nothing new
IDLE_SECONDS = 0.1
#: seconds between looks for waiting jobs whose time has come, and how many are moved at once
PROMOTE_SECONDS, PROMOTE_BATCH = 1.0, 2_000
#: seconds between looks for parked events that are too old, and how old
SWEEP_SECONDS, PARKED_SECONDS = 600.0, 86_400.0
#: seconds to wait before the next try when the database could not be written, doubled up to the most
RETRY_SECONDS, RETRY_MOST = 0.5, 15.0


class Streams(Protocol):
    """Entries of the streams of a fleet, read ahead; see ``data.streamed``."""

    def take(self, most: int) -> Sequence[Entry]:
        """Entries that were read, with about ``most`` events; never waits."""

    def begin(self, marks: dict[str, str]) -> None:
        """Read from ``marks`` on; what was read ahead is dropped."""

    def recorded(self, marks: dict[str, str]) -> None:
        """History has the streams up to ``marks``."""


class Recorder:
    """Writes what logs tell into history.  Used by one thread."""

    def __init__(
        self,
        database: Database,
        log: EventLog,
        clock: Clock,
        *,
        name: str = "",
        streams: Streams | None = None,
        fleet: str = "main",
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._name = name or log.node or UNNAMED
        self._streams = streams
        self._fleet = fleet
        self._plain: Plain | None = None
        self._marks: Marks | None = None
        self._promoted_at = -PROMOTE_SECONDS
        self._swept_at = clock.monotonic()
        #: others write between our folding and our writing: fold inside the transaction, so that our turn comes
        self._crowded = False
        #: events passed over because history does not know their jobs
        self.unknown = 0
        #: events passed over because no row can hold them
        self.refused = 0

    @property
    def position(self) -> int:
        """Number of the journal's last segment that is in history."""
        return self._known_marks().journal(self._name).position

    def run_once(self) -> float:
        """Record one batch of each log; returns seconds until the next look, 0 if there is more."""
        if 0 < self._log.head() < self.position:  # an empty log was trimmed, or has nothing to tell yet
            self._start_over()
        streamed = self._record_streams()  # first: what is there happened before what the journal says next
        if self._record_journal() or streamed:
            return 0.0
        now = self._clock.monotonic()
        if now - self._promoted_at >= PROMOTE_SECONDS:
            self._promoted_at = now
            self._alone(sql.PROMOTE, (self._clock.now(), PROMOTE_BATCH))
        if self._streams is not None and now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self._alone(sql.SWEEP_PARKED, (self._clock.now() - PARKED_SECONDS,))
        return IDLE_SECONDS

    def catch_up(self) -> int:
        """Record all that the logs have now; returns the position reached in the journal."""
        while self.run_once() == 0.0:
            pass
        return self.position

    def close(self) -> None:
        """Let go of the database; what was not committed is recorded anew by the next one."""
        if self._plain is not None:
            self._plain.close()
        self._plain = self._marks = None

    def _connection(self) -> Plain:
        if self._plain is None:
            self._plain = self._database.plain()
        return self._plain

    def _known_marks(self) -> Marks:
        """The marks as they were last seen; read where they are not known, and the streams go on from them."""
        if self._marks is None:
            self._marks = Marks(self._connection(), self._fleet)
            if self._streams is not None:
                self._streams.begin(dict(self._marks.streams))
        return self._marks

    def _start_over(self) -> None:
        log.warning(
            "the log begins anew (head %d, recorded %d): history goes on with it", self._log.head(), self.position
        )
        marks, plain = self._known_marks(), self._connection()
        at = marks.journal(self._name).at
        plain.begin()
        plain.many(sql.WRITE_MARK, [(self._name, 0, at, 0)])
        plain.commit()
        self._marks = None

    # --- taking ---

    def _record_streams(self) -> bool:
        if self._streams is None:
            return False
        self._known_marks()
        entries = self._streams.take(BATCH_EVENTS)
        if entries:
            self._record(StreamHaul(entries, self._name), "entries of the streams")
        if self._marks is not None:
            self._streams.recorded(dict(self._marks.streams))
        return bool(entries)

    def _record_journal(self) -> bool:
        before = self.position
        position, stretches = self._stretches(before)
        if position > before:
            self._record(JournalHaul(self._name, before, position, stretches), f"segments up to {position}")
        return position > before

    def _stretches(self, after: int) -> tuple[int, list[Stretch]]:
        """The next segments, and the number of the last of them."""
        taken: list[Stretch] = []
        count = 0
        for stretch in self._log.read(after, SEGMENTS):
            taken.append(stretch)
            after = stretch.number
            count += len(stretch.events)
            if count >= BATCH_EVENTS:
                break
        return after, taken

    # --- recording ---

    def _record(self, haul: Haul, what: str) -> None:
        plain = self._connection()
        try:
            self._write(haul, careful=False)
        except plain.duplicate:
            log.warning("the log tells of jobs that history has already: %s are laid over them", what)
            self._write(haul, careful=True)
        except plain.unfit:
            log.exception("%s hold what history cannot: they are recorded event by event", what)
            self._write_singly(haul)

    def _write_singly(self, haul: Haul) -> None:
        """Record all events but those that no row can hold; the marks move with the last of them."""
        plain = self._connection()
        for portion in haul.fresh(Marks(plain, self._fleet)):
            for event in portion.events:
                try:
                    self._write(Loose(portion, event), careful=True)
                except plain.unfit:
                    self.refused += 1
                    log.error("history cannot hold a %s and goes on without it", type(event).__name__)
        self._write(haul, careful=True, only_marks=True)

    def _write(self, haul: Haul, careful: bool, only_marks: bool = False) -> None:
        """One transaction.  Folding is done before it, so that other writers find the database free half of the time;
        that is safe because nothing is written if anybody else has written meanwhile."""
        plain = self._connection()
        inside = careful or self._crowded
        fold = None if inside else self._folded(haul, careful)
        plain.begin()
        try:
            if inside:
                self._marks = Marks(plain, self._fleet)
            elif read_turn(plain) != self._known_marks().turn:
                return self._overtaken(plain)
            if not haul.fits(self._known_marks()):
                return self._overtaken(plain)
            fold = fold or self._folded(haul, careful, only_marks)
            Writing(plain, fold).write()
            self._write_marks(plain, haul, fold.at)
            reached("recorder.before_commit")
            plain.commit()
        except BaseException:
            self._marks = None
            plain.rollback()
            raise
        self._crowded = False
        self.unknown += fold.unknown
        reached("recorder.after_commit")

    def _write_marks(self, plain: Plain, haul: Haul, at: float) -> None:
        marks = self._known_marks()
        haul.write(plain, marks, at)
        marks.write_turn(plain)

    def _overtaken(self, plain: Plain) -> None:
        plain.rollback()
        log.info("another recorder has written meanwhile: going on from its marks")
        self._crowded, self._marks = True, None

    def _folded(self, haul: Haul, careful: bool, only_marks: bool = False) -> BatchFold:
        plain = self._connection()
        portions = haul.fresh(self._known_marks())
        if only_marks:
            portions = []
        enqueued, touched = ids_touched(portions)
        wanted = touched + enqueued if careful else touched
        known = [Draft(*row) for row in plain.among(sql.LOAD_JOBS, wanted)] if wanted else []
        parks = self._streams is not None
        waiting = parked(plain, enqueued) if parks else {}
        fold = BatchFold(known, plain.all(sql.LAST_JOB)[0][0], waiting=waiting, parks=parks)
        for portion in portions:
            fold.apply(portion.events, direct=portion.direct, stale=portion.stale)
        if fold.late:
            self._untangle(plain, fold)
        return fold

    def _untangle(self, plain: Plain, fold: BatchFold) -> None:
        numbers = [fold.drafts[id].n for id in fold.late]
        attempts = [AttemptDraft(*row) for row in plain.among(sql.LOAD_ATTEMPTS, numbers)]
        untangle(fold, attempts, plain.among(sql.LOAD_RETRIED, numbers))

    def _alone(self, statement: str, values: Sequence[object]) -> None:
        """A statement that is a transaction of its own."""
        plain = self._connection()
        plain.begin()
        try:
            plain.all(statement, values)
            plain.commit()
        except BaseException:
            plain.rollback()
            raise


def follow(recorder: Recorder, stop: threading.Event) -> None:
    """Record until ``stop`` is set; what cannot be written now is tried again, later and later."""
    hold = RETRY_SECONDS
    while not stop.is_set():
        try:
            delay = recorder.run_once()
            hold = RETRY_SECONDS
        except Exception:
            log.exception("history could not be written; next try in %g s", hold)
            recorder.close()
            delay, hold = hold, min(RETRY_MOST, hold * 2)
        if delay:
            stop.wait(delay)
    recorder.close()
