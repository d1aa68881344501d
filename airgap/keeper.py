"""The journal's housekeeping: checkpoints, trimming, sealing old entries with a new key, giving pages back.

Everything is done in steps that hold the lead for about a millisecond, so that no commit waits long, and every step may
be the last before a crash: a checkpoint counts by its head, what was trimmed was covered, what was not resealed yet is
found again at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from airgap import checkpoint
from airgap.checkpoint import Covered
from airgap.journal import WRITE_ERRORS, Journal, Standing
from airgap.keys import KeyRing
from airgap.quota import Level
from airgap.recovery import MARK, NOTE, Recovered
from airgap.resealing import Resealer
from airgap.shelf import ROW_BYTES, Shelf
from engine.kernel import faults
from engine.kernel.clock import Clock
from engine.kernel.errors import StoreDamaged

log = logging.getLogger("holdfast.journal")

#: a checkpoint is due after so many events, segments or bytes
EVENTS, SEGMENTS, BYTES = 100_000, 20_000, 64 * 2**20
#: and at least so many events per job in it, so that a crowd of waiting jobs is not written over and over
EVENTS_PER_JOB, EVENTS_PER_JOB_IN_NEED = 1.0, 0.5
#: at the end of the process a checkpoint is written after so many events, if it holds no more jobs than this
LAST_EVENTS, LAST_JOBS = 10_000, 200_000
#: entries deleted while the lead is held
TRIM_STEP = 256
#: segments sealed with one key: random nonces are safe for 2**32 (NIST SP 800-38D)
KEY_LIFE = 2**31
#: free pages given back to the file system in one step
PAGES = 512
#: seconds between looks
IDLE = 1.0


class Snapshots(Protocol):
    """Whose state is kept."""

    lock: threading.RLock

    def snapshot(self) -> Iterator[bytes]:
        """Chunks of the state; called with ``lock`` held and nothing pending."""

    def job_count(self) -> int:
        """Live jobs."""


class Keeper:
    """Runs ``run_once`` in the thread ``journal-keeper``; every duty can also be called by itself."""

    def __init__(
        self, journal: Journal, ring: KeyRing, store: Snapshots, clock: Clock, retention: float, pinned: str = ""
    ) -> None:
        self._journal = journal
        self._shelf: Shelf = journal.shelf
        self._ring = ring
        self._store = store
        self._clock = clock
        self._retention = retention
        #: reader whose unread segments are never deleted, whatever the need
        self._pinned = pinned
        #: reader -> last segment that it has read
        self.marks: dict[str, int] = {}
        self.covered: Covered | None = None
        self.covered_at = 0.0
        self._resealer = Resealer(journal, ring)
        self._since_segments = 0
        self._since_bytes = journal.used
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        #: one duty at a time, whoever calls it
        self._duty = threading.Lock()

    def resume(self, found: Recovered) -> None:
        """Go on from what was read back at start."""
        self.covered, self.covered_at = found.checkpoint, found.checkpoint_at
        # what was read back counts as written since, so that a long log is shortened soon
        self._since_segments -= found.uncovered
        for name, mark in self._shelf_marks():
            self.marks[name] = mark

    def release(self, reader: str, segment: int) -> None:
        """``reader`` has read and kept everything up to ``segment``; it is remembered over restarts."""
        if segment <= self.marks.get(reader, -1):
            return
        self.marks[reader] = segment
        with self._journal.held():
            entry = self._ring.sealer().seal(NOTE, MARK + reader, str(segment).encode())
            self._shelf.put(MARK + reader, entry, sync=False)

    def _shelf_marks(self) -> Iterator[tuple[str, int]]:
        for name, _ in self._shelf.listed(MARK):
            try:
                yield name[len(MARK) :], int(self._ring.sealer().open(NOTE, name, self._shelf.get(name) or b""))
            except (StoreDamaged, ValueError) as error:
                log.warning("the mark %s is unreadable, its reader will tell it again: %s", name, error)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal-keeper", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Shorten the log for the next start if that is soon done, and stop."""
        events = self._journal.standing.event - (self.covered.event if self.covered else 0)
        if events >= LAST_EVENTS and self._store.job_count() <= LAST_JOBS and not self._journal.trouble:
            self._guarded(self.checkpoint)
        self.stop()

    def stop(self) -> None:
        """End the thread, in the middle of a checkpoint if need be."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def run_once(self, now: float) -> float:
        """Do what is due at wall time ``now``; returns the seconds until the next look."""
        with self._journal.held():
            self._journal.ballast.restore()
        if self._journal.standing.number - self._ring.since >= KEY_LIFE:
            self.rotate()
        if self._checkpoint_is_due():
            self.checkpoint()
        more = self.trim(now)
        more = self.reseal_some() or more
        return 0.0 if more else IDLE

    # --- checkpoint ---

    def _checkpoint_is_due(self) -> bool:
        standing = self._journal.standing
        events = standing.event - (self.covered.event if self.covered else 0)
        if events <= 0:
            return False
        if self._journal.quota.level(self._journal.used) != Level.OK:
            return events >= EVENTS_PER_JOB_IN_NEED * self._store.job_count()
        many = (
            events >= EVENTS or self._segments_since() >= SEGMENTS or self._journal.written - self._since_bytes >= BYTES
        )
        return many and events >= EVENTS_PER_JOB * self._store.job_count()

    def _segments_since(self) -> int:
        return self._journal.commits - self._since_segments

    def checkpoint(self) -> bool:
        """Write the state down; whether that was done (not while the disk refuses)."""
        with self._duty:
            begun = self._begin()
            if begun is None:
                return False
            covered, chunks, commits, written = begun
            if not self._write(covered, chunks):
                return False
            self._since_segments, self._since_bytes = commits, written
            return True

    def _begin(self) -> tuple[Covered, Iterator[bytes], int, int] | None:
        """A moment at which the state is exactly what the log says, and the state at that moment."""
        while not self._stopping:
            with self._journal.held():
                self._journal.commit_all()
                if self._journal.trouble:
                    return None
                with self._store.lock:
                    if self._journal.clear:
                        at: Standing = self._journal.standing
                        chunks = self._store.snapshot()
                        covered = Covered(at.number, at.event, at.chain)
                        return covered, chunks, self._journal.commits, self._journal.written
        return None

    def _write(self, covered: Covered, chunks: Iterator[bytes]) -> bool:
        """Put a checkpoint in the place of the last one; given up when the process ends."""
        old = [(name, size) for name, size in self._named(checkpoint.KIND + "|")]
        sealer = self._ring.sealer()
        count = 0
        faults.reached("checkpoint.before_write")
        for count, chunk in enumerate(chunks, 1):
            self._put(*checkpoint.sealed_chunk(sealer, covered, count - 1, chunk), sync=False)
            faults.reached("checkpoint.after_chunk")
            if self._stopping:
                return False
        self.covered_at = self._clock.now()
        self._put(*checkpoint.sealed_head(sealer, covered, count, self.covered_at), sync=True)
        self.covered = covered
        faults.reached("checkpoint.after_head")
        self._drop([(name, size) for name, size in old if checkpoint.segment_of(name) != covered.segment])
        return True

    def _put(self, name: str, entry: bytes, *, sync: bool) -> None:
        with self._journal.held():
            self._shelf.put(name, entry, sync=sync)
            self._journal.used += len(entry) + ROW_BYTES

    def _named(self, prefix: str) -> list[tuple[str, int]]:
        with self._journal.held():
            return self._shelf.listed(prefix)

    def _drop(self, entries: list[tuple[str, int]]) -> None:
        for start in range(0, len(entries), TRIM_STEP):
            step = entries[start : start + TRIM_STEP]
            with self._journal.held():
                self._shelf.delete([name for name, _ in step])
                self._journal.used -= sum(size + ROW_BYTES for _, size in step)

    # --- trimming ---

    def trim(self, now: float) -> bool:
        """Delete some segments that nobody needs; whether there may be more."""
        with self._duty:
            if self.covered is None:
                return False
            with self._journal.held():
                rows = [row for row in self._shelf.oldest(TRIM_STEP) if self._may_go(*row, now)]
                if rows:
                    self._shelf.delete([number for number, _, _ in rows])
                    self._journal.used -= sum(size + ROW_BYTES for _, size, _ in rows)
                    self._journal.segments -= len(rows)
                    self._shelf.give_back(PAGES)
            if rows:
                faults.reached("trim.after_delete")
            return len(rows) == TRIM_STEP

    def _may_go(self, number: int, size: int, written_at: float, now: float) -> bool:
        """Covered by the checkpoint; and read by all readers and old enough, or in the way."""
        if self.covered is None or number > self.covered.segment:
            return False
        if self._pinned and number > self.marks.get(self._pinned, 0):
            return False
        read = number <= min(self.marks.values(), default=number)
        level = self._journal.quota.level(self._journal.used)
        if level in (Level.CRITICAL, Level.FULL):
            return True
        return read and (level == Level.WARNING or now - written_at >= self._retention)

    # --- keys ---

    def rotate(self) -> str:
        """Seal with a new key from now on, and everything older bit by bit; returns the new key's id."""
        with self._journal.held():
            name = self._ring.rotate(self._journal.standing.number)
            self._journal.use_sealer(self._ring.sealer())
        self._wake.set()
        return name

    def reseal_some(self) -> bool:
        """Seal a few entries with the active key; whether there is more to do."""
        with self._duty:
            return self._resealer.step()

    def _run(self) -> None:
        delay = IDLE
        while not self._stopping:
            self._wake.wait(delay)
            self._wake.clear()
            delay = 0.0 if self._stopping else self._guarded(lambda: self.run_once(self._clock.now()))

    def _guarded(self, duty: Callable[[], float]) -> float:
        try:
            return duty()
        except (*WRITE_ERRORS, StoreDamaged) as error:
            log.error("journal housekeeping failed, next try in %d s: %s", 10 * IDLE, error)
            return 10 * IDLE
