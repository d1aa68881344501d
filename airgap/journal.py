"""The journal: makes the moves of a fold durable, in the order in which they were made.

Invariants
- Leader commit: there is no writer thread.  Who wants its events durable and finds the lead free commits everything
  that is pending, for all who wait; the others sleep until they are told, or handed the lead.
- One commit is one segment is one entry of the store: wholly there or absent.  Number, chain and event count move on
  only after the write, so a failed write leaves no gap.
- ``append`` only queues and never blocks.  Order of the queue is order on disk; what is appended and never settled rides
  with the next commit.
- After a failed write, batches without ``reserve`` fail with ``StoreFull``; the others stay first in line until written.
- ``then`` runs on the leader's thread after the write, in order; then the commit's events go to ``on_commit`` at once.
- Lock order: lead, then the fold's lock (inside ``then``); ``append`` takes no lock.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import diskcache
import msgspec

from airgap.ballast import Ballast
from airgap.batch import Batch
from airgap.quota import Level, Quota
from airgap.segment import NO_CHAIN, Sealer, SegmentWriter, chain_after
from airgap.shelf import ROW_BYTES, Shelf
from engine.kernel import faults
from engine.kernel.bell import Bell
from engine.kernel.clock import Clock
from engine.kernel.errors import HoldfastError, Stopped, StoreFull
from engine.kernel.events import Event

log = logging.getLogger("holdfast.journal")

#: events after which a commit takes no further batch
COMMIT_EVENTS = 4096
#: seconds between tries to write while the disk refuses
RETRY_FIRST, RETRY_LAST = 0.05, 1.0

#: what a write may fail with when the disk or the database refuses it
WRITE_ERRORS = (OSError, sqlite3.Error, diskcache.Timeout)


class Standing(msgspec.Struct, frozen=True):
    """Where the log ends."""

    #: number of the last segment
    number: int = 0
    #: number of the last event
    event: int = 0
    chain: bytes = NO_CHAIN


class Journal:
    """Appends batches, commits segments.  Made ready by ``begin`` once the log on disk was read."""

    def __init__(
        self,
        shelf: Shelf,
        quota: Quota,
        ballast: Ballast,
        clock: Clock,
        *,
        power_safe: bool,
        on_commit: Callable[[Sequence[Event]], None],
    ) -> None:
        self.shelf = shelf
        self.quota = quota
        self.ballast = ballast
        self._clock = clock
        self.standing = Standing()
        #: bytes that the store takes
        self.used = 0
        #: segments in the store
        self.segments = 0
        #: commits made and bytes written by this process
        self.commits = 0
        self.written = 0
        #: why the last write failed; "" if it did not
        self.trouble = ""
        self._power_safe = power_safe
        self._on_commit = on_commit
        self._writer = SegmentWriter()
        self._sealer: Sealer | None = None
        self._incarnation = 0
        self._lead = threading.Lock()
        self._pending: deque[Batch] = deque()
        self._waiting: deque[Batch] = deque()
        #: taken off ``_pending`` and not written yet: the disk refused or the leader was interrupted
        self._taken: list[Batch] = []
        self._closed = False

    def begin(self, sealer: Sealer, incarnation: int, standing: Standing, used: int, segments: int) -> None:
        """Go on where the log on disk ends."""
        self._sealer = sealer
        self._incarnation = incarnation
        self.standing = standing
        self.used = used
        self.segments = segments
        self._closed = False

    def use_sealer(self, sealer: Sealer) -> None:
        """Seal with these keys from the next commit on.  Needs the lead."""
        self._sealer = sealer

    def append(
        self,
        events: Sequence[Event],
        *,
        sync: bool = True,
        reserve: bool = False,
        then: Callable[[], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> Batch:
        """Queue events for the next commit; see ``Log.append``."""
        batch = Batch(self.settle, events, sync, reserve, then, failed)
        self._pending.append(batch)
        return batch

    @property
    def clear(self) -> bool:
        """Whether everything appended is on disk; means something only to who keeps others from appending."""
        return not self._pending and not self._taken

    def settle(self, batch: Batch) -> None:
        """Commit until ``batch`` is done, or wait for whoever does."""
        batch.bell = bell = Bell()
        delay = RETRY_FIRST
        while not batch.done:
            if not self._try_lead(batch):
                bell.sleep(RETRY_LAST)
            elif not batch.done and self.trouble:
                bell.sleep(delay)
                delay = min(RETRY_LAST, delay * 2)

    def flush(self) -> None:
        """Write all that is pending; gives up on what the disk refuses."""
        with self.held():
            self.commit_all()

    def commit_all(self) -> None:
        """``flush`` for who holds the lead."""
        while self._pending or self._taken:
            self._commit()
            if self.trouble:
                return

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lead: nobody commits meanwhile.  For short works on the store."""
        self._lead.acquire()
        try:
            yield
        finally:
            self._lead.release()
            self._pass_on()

    def close(self) -> None:
        """Write what is pending; what cannot be written fails."""
        self.flush()
        self._closed = True
        with self.held():
            for batch in [*self._taken, *self._drained()]:
                batch.fail(Stopped(f"the store is closed and this was not written: {self.trouble or 'too late'}"))
            self._taken = []

    def _try_lead(self, batch: Batch) -> bool:
        """Take the lead if it is free and commit once.  Who does not get it is in line to be handed it."""
        if not self._lead.acquire(blocking=False):
            self._waiting.append(batch)
            # it may have been given up just before the line above, with nobody in line to be woken
            if not self._lead.acquire(blocking=False):
                return False
        try:
            if not batch.done:
                self._commit()
        finally:
            self._lead.release()
            self._pass_on()
        return True

    def _pass_on(self) -> None:
        """Wake the first who waits in vain, so that it leads."""
        while self._waiting:
            try:
                batch = self._waiting.popleft()
            except IndexError:
                return
            if not batch.done and batch.bell is not None:
                batch.bell.ring()
                return

    def _commit(self) -> None:
        """Write one segment and tell everybody.  Needs the lead."""
        batches = self._taken = self._take()
        if self._closed:
            self._taken = []
            for batch in batches:
                batch.fail(Stopped("the store is closed"))
            return
        if self.quota.level(self.used) == Level.FULL:
            batches = self._taken = self._refuse(StoreFull(self.quota.refusal(self.used)))
        elif not self.ballast.held:
            batches = self._taken = self._refuse(StoreFull(self.ballast.refusal()))
        if not batches:
            return
        events = batches[0].events if len(batches) == 1 else [event for batch in batches for event in batch.events]
        try:
            if events:
                self._write(events, sync=self._power_safe and any(batch.sync for batch in batches))
        except WRITE_ERRORS as error:
            self._refused_by_disk(error)
            return
        self._taken = []
        self.trouble = ""
        self._announce(batches, events)

    def _take(self) -> list[Batch]:
        pending = self._pending
        batches = self._taken
        room = COMMIT_EVENTS - sum(len(batch.events) for batch in batches)
        while pending and (room > 0 or not batches):
            batch = pending.popleft()
            room -= len(batch.events)
            batches.append(batch)
        return batches

    def _drained(self) -> Iterator[Batch]:
        while self._pending:
            yield self._pending.popleft()

    def _write(self, events: Sequence[Event], sync: bool) -> None:
        sealer, last = self._ready_sealer(), self.standing
        number = last.number + 1
        body = self._writer.body(sealer.node, self._incarnation, last.event + 1, last.chain, events)
        entry = sealer.seal("segment", number, body)
        faults.reached("commit.before_write")
        try:
            self.shelf.add(number, entry, self._clock.now(), sync=sync)
        except BaseException:
            if not self._stands(number, entry):
                raise
        faults.reached("commit.after_write")
        self.standing = Standing(number, last.event + len(events), chain_after(last.chain, body))
        self.used += len(entry) + ROW_BYTES
        self.written += len(entry)
        self.commits += 1
        self.segments += 1

    def _stands(self, number: int, entry: bytes) -> bool:
        """Whether a write that raised was made nevertheless."""
        try:
            return self.shelf.get(number) == entry
        except (*WRITE_ERRORS, HoldfastError):
            return False

    def _announce(self, batches: list[Batch], events: Sequence[Event]) -> None:
        try:
            for batch in batches:
                batch.succeed()
            if events:
                self._on_commit(events)
        finally:
            for batch in batches:
                batch.end()

    def _refused_by_disk(self, error: BaseException) -> None:
        if not self.trouble:
            log.error("the journal cannot be written: %s", error)
        self.trouble = f"{type(error).__name__}: {error}"
        refusal = StoreFull(f"{self.shelf.path}: cannot be written ({error}); free space on its disk")
        refusal.__cause__ = error
        self._taken = self._refuse(refusal)
        if self._taken:
            self.ballast.drop()

    def _refuse(self, error: StoreFull) -> list[Batch]:
        """Fail the batches taken that have no claim on the reserve; returns the others."""
        keep = [batch for batch in self._taken if batch.reserve]
        refused = [batch for batch in self._taken if not batch.reserve]
        self._taken = keep
        for batch in refused:
            batch.fail(error)
        return keep

    def _ready_sealer(self) -> Sealer:
        if self._sealer is None:
            raise Stopped("the journal is not open")
        return self._sealer
