"""Sealed entries and the chain over segments: everything that goes to disk passes through here, as does everything read.

An entry is ``version | key id | nonce | ciphertext`` (AES-256-GCM).  Its associated data binds the kind of entry, the
node and the entry's number, so that nothing can be moved or swapped without failing to open.  A segment's body names
where it stands — node, incarnation, number of its first event, chain before it — and holds the events of one commit;
``chain = sha256(chain before ‖ body)``.  Pure functions over bytes: no disk, no ring file, no clock.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.kernel.errors import StoreDamaged
from engine.kernel.events import AnyEvent, Event, decoder

VERSION = 1
KEY_ID_BYTES = 4
NONCE_BYTES = 12
HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES
#: what sealing adds to a body: header and authentication tag
OVERHEAD_BYTES = HEADER_BYTES + 16
#: the chain before the first segment
NO_CHAIN = bytes(32)


class UnknownKey(StoreDamaged):
    """The entry is sealed with a key that this ring does not hold."""


class Sealer:
    """Seals with the active key and opens with any key it was given."""

    def __init__(self, node: str, keys: Mapping[str, bytes], active: str) -> None:
        self.node = node
        self.active = active
        self._prefix = bytes([VERSION]) + bytes.fromhex(active)
        self._ciphers = {bytes.fromhex(name): AESGCM(key) for name, key in keys.items()}
        self._cipher = self._ciphers[bytes.fromhex(active)]

    def seal(self, kind: str, number: int | str, body: bytes) -> bytes:
        """``body`` as an entry that opens only as this ``kind`` and ``number``."""
        nonce = os.urandom(NONCE_BYTES)
        return b"".join((self._prefix, nonce, self._cipher.encrypt(nonce, body, self._bind(kind, number))))

    def open(self, kind: str, number: int | str, entry: bytes) -> bytes:
        """The body of an entry; ``UnknownKey`` or ``StoreDamaged`` if it is not what it should be."""
        what = f"{kind} {number}"
        if len(entry) < OVERHEAD_BYTES or entry[0] != VERSION:
            raise StoreDamaged(f"{what}: not a sealed entry of version {VERSION} ({len(entry)} bytes)")
        cipher = self._ciphers.get(entry[1 : 1 + KEY_ID_BYTES])
        if cipher is None:
            raise UnknownKey(f"{what}: sealed with key {key_id(entry)}, which is not in the key ring")
        nonce = entry[1 + KEY_ID_BYTES : HEADER_BYTES]
        try:
            return cipher.decrypt(nonce, entry[HEADER_BYTES:], self._bind(kind, number))
        except InvalidTag:
            raise StoreDamaged(f"{what}: changed since it was sealed (authentication failed)") from None

    def _bind(self, kind: str, number: int | str) -> bytes:
        return f"holdfast|{kind}|{self.node}|{number}".encode()


def key_id(entry: bytes) -> str:
    """Which key an entry says it is sealed with."""
    return entry[1 : 1 + KEY_ID_BYTES].hex()


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The body of one commit."""

    node: str
    incarnation: int
    #: number of the first event, counted from 1 without gaps within an incarnation
    first: int
    #: chain before this segment
    before: bytes
    events: list[AnyEvent]


class RawSegment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``Segment`` with its events as they were written."""

    node: str
    incarnation: int
    first: int
    before: bytes
    events: list[msgspec.Raw]


class OpenedSegment(msgspec.Struct, frozen=True, gc=False):
    """A segment as read back; ``garbled`` holds what could not be read of single events."""

    number: int
    incarnation: int
    first: int
    #: events in it, readable or not
    count: int
    before: bytes
    #: chain after this segment
    chain: bytes
    events: list[AnyEvent]
    garbled: list[str] = []


def chain_after(before: bytes, body: bytes) -> bytes:
    """The chain once ``body`` follows ``before``."""
    return hashlib.sha256(before + body).digest()


class SegmentWriter:
    """Encodes commits; not thread-safe, one per journal."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode

    def body(self, node: str, incarnation: int, first: int, before: bytes, events: Sequence[Event]) -> bytes:
        return self._encode((node, incarnation, first, before, events))


class SegmentReader:
    """Decodes segments; not thread-safe, one per reader."""

    def __init__(self) -> None:
        self._whole = msgspec.msgpack.Decoder(Segment)
        self._raw = msgspec.msgpack.Decoder(RawSegment)
        self._events = decoder()

    def read(self, number: int, body: bytes) -> OpenedSegment:
        """The segment in ``body``; single events that make no sense are left out and named."""
        try:
            whole = self._whole.decode(body)
        except msgspec.MsgspecError:
            return self._salvaged(number, body)
        chain = chain_after(whole.before, body)
        count = len(whole.events)
        return OpenedSegment(number, whole.incarnation, whole.first, count, whole.before, chain, whole.events)

    def raw(self, number: int, body: bytes) -> RawSegment:
        """The segment with its events as they were written.  Raises ``StoreDamaged``."""
        try:
            return self._raw.decode(body)
        except msgspec.MsgspecError as error:
            raise StoreDamaged(f"segment {number}: its body makes no sense: {error}") from None

    def _salvaged(self, number: int, body: bytes) -> OpenedSegment:
        raw = self.raw(number, body)
        events: list[AnyEvent] = []
        garbled: list[str] = []
        for place, piece in enumerate(raw.events):
            try:
                events += self._events.decode(b"\x91" + bytes(piece))
            except msgspec.MsgspecError as error:
                garbled.append(f"event {raw.first + place}: {error}")
        chain = chain_after(raw.before, body)
        return OpenedSegment(number, raw.incarnation, raw.first, len(raw.events), raw.before, chain, events, garbled)
