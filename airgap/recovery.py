"""Reading the log back at start: checkpoint, then the segments after it, into an empty fold.

What cannot be opened is set aside and reported, and the rest is loaded; only if *nothing* opens is the key wrong and the
store left untouched.  The chain is checked over neighbours: a segment is taken once the next one continues it, so one
that was exchanged is found even if it was sealed by this node.  A gap in numbers with an unbroken chain lost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from airgap.checkpoint import KIND as CHECKPOINT
from airgap.checkpoint import CheckpointReader, Covered
from airgap.disk import Key
from airgap.journal import Standing
from airgap.quarantine import Quarantine, Quarantined
from airgap.segment import OpenedSegment, Sealer, SegmentReader
from airgap.shelf import ROW_BYTES, Shelf
from engine.kernel.errors import StoreDamaged
from engine.kernel.events import Event

#: kind of the small entries below
NOTE = "note"
#: the entry that names the node, so that even an empty store tells a wrong key
NODE = "node"
#: the entry that says where the log ended when it was closed in order
CLOSED = "closed"
#: entries that say how far a reader is begin so
MARK = "mark|"
#: how far numbers jump when the log was not closed in order: its last segments may be gone, and were perhaps read
JUMP = 1 << 20


class Foldable(Protocol):
    """What a log is read into."""

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Take over a checkpoint."""

    def replay(self, events: Sequence[Event]) -> None:
        """Apply the events of one segment."""


class Recovered(msgspec.Struct, frozen=True):
    """What reading the log back has shown."""

    standing: Standing
    checkpoint: Covered | None
    checkpoint_at: float
    #: bytes that the store takes
    used: int
    #: segments in the store, and those of them that the checkpoint does not cover
    segments: int
    uncovered: int
    #: set aside or found missing this time
    found: list[Quarantined]


def recover(shelf: Shelf, sealer: Sealer, fold: Foldable, now: float) -> Recovered:
    """Load everything; ``StoreDamaged`` if nothing opens with these keys."""
    shelf.check()
    return _Recovery(shelf, sealer, fold, now).run()


class _Recovery:
    def __init__(self, shelf: Shelf, sealer: Sealer, fold: Foldable, now: float) -> None:
        self.shelf = shelf
        self.sealer = sealer
        self.fold = fold
        self.now = now
        self.found: list[Quarantined] = []
        self._quarantine = Quarantine(shelf)
        self._known = {item.what for item in self._quarantine.items()}
        self._reader = SegmentReader()
        self._numbers = shelf.numbers()
        self.standing = Standing()

    def run(self) -> Recovered:
        self._refuse_wrong_key()
        self.found += self._quarantine.take_foreign(self.now)
        checkpoint = CheckpointReader(self.shelf, self.sealer, self._damaged_name)
        if checkpoint.covered is not None:
            self._restore(checkpoint)
        for segment in self._linked(self._opened()):
            self._replay(segment)
        self._compare_with_close()
        self._number_ahead()
        numbers = self.shelf.numbers()
        used = sum(size + ROW_BYTES for _, _, size in numbers)
        used += sum(size + ROW_BYTES for _, size in self.shelf.names())
        covered = checkpoint.covered.segment if checkpoint.covered else 0
        return Recovered(
            self.standing,
            checkpoint.covered,
            checkpoint.at,
            used,
            len(numbers),
            sum(number > covered for number, _, _ in numbers),
            self.found,
        )

    def _refuse_wrong_key(self) -> None:
        """Before anything is touched: at least one entry must open."""
        names = [name for name, _ in self.shelf.names()]
        if not names and not self._numbers:
            return
        if not any(self._opens(kind, key, value) for kind, key, value in self._witnesses(names)):
            raise StoreDamaged(
                f"{self.shelf.path}: none of its {len(names) + len(self._numbers)} entries opens with the key ring in "
                "keys/; nothing was changed. Restore the keys/ that belong to it, or move airgap/ away to start empty"
            )

    def _witnesses(self, names: list[str]) -> Iterator[tuple[str, Key, bytes]]:
        for name in sorted(names, key=lambda name: name != NODE):
            yield (CHECKPOINT if name.startswith(CHECKPOINT) else NOTE), name, self.shelf.get(name) or b""
        for number, row, _ in reversed(self._numbers):
            yield "segment", number, self.shelf.row(row)

    def _opens(self, kind: str, key: Key, value: bytes) -> bool:
        try:
            self.sealer.open(kind, key, value)
        except StoreDamaged:
            return False
        return True

    def _restore(self, checkpoint: CheckpointReader) -> None:
        covered = checkpoint.covered
        assert covered is not None
        try:
            self.fold.restore(checkpoint.chunks())
        except msgspec.MsgspecError as error:
            raise StoreDamaged(
                f"{self.shelf.path}: its checkpoint was written by another version ({error}); "
                "nothing was changed. Start the version that wrote it"
            ) from error
        self.standing = Standing(covered.segment, covered.event, covered.chain)

    def _opened(self) -> Iterator[OpenedSegment]:
        for number, row, _ in self._numbers:
            if number <= self.standing.number:
                continue
            try:
                yield self._reader.read(number, self.sealer.open("segment", number, self.shelf.row(row)))
            except StoreDamaged as error:
                self._set_aside(number, f"segment {number}", str(error))

    def _linked(self, segments: Iterator[OpenedSegment]) -> Iterator[OpenedSegment]:
        """Segments in order, without those that the one behind them does not continue."""
        last: OpenedSegment | None = None
        number, chain = self.standing.number, self.standing.chain
        for segment in segments:
            fits = segment.before == chain
            if not fits:
                self._report_break(number, segment)
            if last is not None:
                if fits or segment.number > number + 1:
                    yield last
                else:
                    self._set_aside(number, f"segment {number}", f"segment {segment.number} does not continue it")
            last, number, chain = segment, segment.number, segment.chain
        if last is not None:
            yield last

    def _report_break(self, number: int, segment: OpenedSegment) -> None:
        """Say what is missing before ``segment``, unless it was set aside and reported then."""
        gap = range(number + 1, segment.number)
        if not gap:
            if number == self.standing.number:
                self._note(f"segment {segment.number}", f"it does not continue the checkpoint at segment {number}")
        elif not any(f"segment {missing}" in self._known for missing in gap[:1000]):
            self._note(
                _between(gap[0], gap[-1]), f"missing: segment {segment.number} does not continue segment {number}"
            )

    def _replay(self, segment: OpenedSegment) -> None:
        for garbled in segment.garbled:
            self._note(f"segment {segment.number}, {garbled.split(':')[0]}", garbled)
        self.fold.replay(segment.events)
        self.standing = Standing(segment.number, segment.first + segment.count - 1, segment.chain)

    def _compare_with_close(self) -> None:
        """If the log was closed in order, it must end where it ended then."""
        entry = self.shelf.get(CLOSED)
        if entry is None:
            return
        try:
            closed = msgspec.msgpack.decode(self.sealer.open(NOTE, CLOSED, entry), type=Standing)
        except (StoreDamaged, msgspec.MsgspecError) as error:
            self._damaged_name(CLOSED, str(error))
            return
        if closed.chain != self.standing.chain and not self.found:
            what = f"segments after {self.standing.number}"
            self._note(what, f"missing: the log was closed at segment {closed.number} and ends earlier or otherwise")

    def _number_ahead(self) -> None:
        """Never use a number twice, also if the last segments went with the power."""
        number = max([self.standing.number, self._quarantine.last_number(), *(n for n, _, _ in self._numbers[-1:])])
        if number and (self.shelf.get(CLOSED) is None or self.found):
            number += JUMP
        self.standing = msgspec.structs.replace(self.standing, number=number)

    def _damaged_name(self, name: str, reason: str) -> None:
        if self.shelf.get(name) is None:
            self._note(name, f"missing: {reason}")
        else:
            self._set_aside(name, name, reason)

    def _set_aside(self, key: Key, what: str, reason: str) -> None:
        self._report(self._quarantine.take(key, what, reason, self.now))

    def _note(self, what: str, reason: str) -> None:
        if what not in self._known:
            self._report(self._quarantine.note(what, reason, self.now))

    def _report(self, item: Quarantined) -> None:
        self._known.add(item.what)
        self.found.append(item)


def _between(first: int, last: int) -> str:
    return f"segment {first}" if first == last else f"segments {first} to {last}"
