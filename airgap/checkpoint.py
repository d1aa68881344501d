"""Checkpoints: the whole live state at one segment's end, in sealed chunks, so that older segments need not be replayed.

Chunks are written first, the head last; only a head makes a checkpoint count, so one that was cut short is as good as
none.  Every chunk also says where in the log it stands: a damaged head or chunk costs what is in it and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from airgap.segment import Sealer
from airgap.shelf import Shelf
from engine.kernel.errors import StoreDamaged

KIND = "checkpoint"


class Covered(msgspec.Struct, frozen=True, array_like=True):
    """Where in the log a checkpoint stands: the last segment and event it holds, and the chain there."""

    segment: int
    event: int
    chain: bytes


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Makes a checkpoint count."""

    covered: Covered
    chunks: int
    #: wall time
    at: float


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    covered: Covered
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_chunk = msgspec.msgpack.Decoder(Chunk).decode


def name_of(segment: int, part: int | str) -> str:
    """The entry's name; sorts by segment, chunks in order and the head behind them."""
    return f"{KIND}|{segment:015d}|{part:06d}" if isinstance(part, int) else f"{KIND}|{segment:015d}|{part}"


def head_name(segment: int) -> str:
    return name_of(segment, "head")


def sealed_chunk(sealer: Sealer, covered: Covered, part: int, body: bytes) -> tuple[str, bytes]:
    """Name and entry of one chunk."""
    name = name_of(covered.segment, part)
    return name, sealer.seal(KIND, name, _encode(Chunk(covered, body)))


def sealed_head(sealer: Sealer, covered: Covered, chunks: int, at: float) -> tuple[str, bytes]:
    """Name and entry of the head."""
    name = head_name(covered.segment)
    return name, sealer.seal(KIND, name, _encode(Head(covered, chunks, at)))


def segment_of(name: str) -> int:
    """Which segment's end an entry's checkpoint stands at."""
    return int(name.split("|")[1])


class CheckpointReader:
    """Reads the checkpoint that counts.  ``damaged(name, reason)`` is told of entries that do not open."""

    def __init__(self, shelf: Shelf, sealer: Sealer, damaged: Callable[[str, str], None]) -> None:
        self._shelf = shelf
        self._sealer = sealer
        self._damaged = damaged
        self.covered: Covered | None = None
        self.at = 0.0
        self._names: list[str] = []
        self._choose()

    def _choose(self) -> None:
        """Take the newest checkpoint that has a head."""
        names = [name for name, _ in self._shelf.names(KIND + "|")]
        heads = [name for name in names if name.endswith("|head")]
        if not heads:
            return
        mine = [name for name in names if segment_of(name) == segment_of(heads[-1]) and name != heads[-1]]
        try:
            head = _decode_head(self._sealer.open(KIND, heads[-1], self._shelf.get(heads[-1]) or b""))
        except (StoreDamaged, msgspec.MsgspecError) as error:
            self._damaged(heads[-1], str(error))
            self._names = mine
            self._stand_by_chunks()
            return
        self.covered, self.at = head.covered, head.at
        self._names = [name_of(head.covered.segment, part) for part in range(head.chunks)]

    def _stand_by_chunks(self) -> None:
        for name in self._names:
            try:
                self.covered = self._open(name).covered
            except (StoreDamaged, msgspec.MsgspecError):
                continue
            return

    def chunks(self) -> Iterator[bytes]:
        """The state, chunk by chunk."""
        for name in self._names:
            try:
                chunk = self._open(name)
            except (StoreDamaged, msgspec.MsgspecError) as error:
                self._damaged(name, str(error))
            else:
                yield chunk.body

    def _open(self, name: str) -> Chunk:
        return _decode_chunk(self._sealer.open(KIND, name, self._shelf.get(name) or b""))
