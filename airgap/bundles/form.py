"""The file: a clear header, sealed chunks, a signature over all of it.  Streams both ways, with one chunk in memory.

    HOLDFAST-BUNDLE | version, 2 bytes | length, 4 bytes | header (msgpack)
    length, 4 bytes | chunk — any number of times; a chunk is sealed zlib of a msgpack list of records
    0, 4 bytes | Ed25519 signature over the SHA-256 of all before it

``BundleReader.verify`` reads to the end and checks the signature before one chunk is opened.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from airgap.bundles.identity import Identity
from airgap.bundles.records import Header, Record
from airgap.bundles.sealing import ChunkSealer
from engine.kernel.errors import BundleRefused

MAGIC = b"HOLDFAST-BUNDLE"
VERSION = 1
SIGNATURE_BYTES = 64
#: a chunk is closed at so many records or bytes of them
CHUNK_RECORDS, CHUNK_BYTES = 500, 2**20
#: no header and no chunk is larger; a chunk may have one record of the greatest payload
MOST_HEADER, MOST_CHUNK = 2**20, 2**26

_encode = msgspec.msgpack.Encoder().encode
_header = msgspec.msgpack.Decoder(Header).decode
_records = msgspec.msgpack.Decoder(list[Record]).decode


def write(file: BinaryIO, header: Header, records: Iterable[Record], content_key: bytes, identity: Identity) -> int:
    """Write a bundle; returns its bytes."""
    digest = hashlib.sha256()
    size = 0

    def put(data: bytes) -> None:
        nonlocal size
        digest.update(data)
        file.write(data)
        size += len(data)

    head = _head(header)
    put(head)
    sealer = ChunkSealer(content_key, hashlib.sha256(head).digest())
    for number, (body, last) in enumerate(_with_last(_chunks(records))):
        sealed = sealer.seal(number, zlib.compress(body, 6), last=last)
        put(len(sealed).to_bytes(4, "big") + sealed)
    put(bytes(4))
    file.write(identity.sign(digest.digest()))
    return size + SIGNATURE_BYTES


def _head(header: Header) -> bytes:
    encoded = _encode(header)
    return MAGIC + VERSION.to_bytes(2, "big") + len(encoded).to_bytes(4, "big") + encoded


def _chunks(records: Iterable[Record]) -> Iterator[bytes]:
    """Records in lists, encoded; at least one list."""
    waiting: list[msgspec.Raw] = []
    size = 0
    for record in records:
        raw = _encode(record)
        waiting.append(msgspec.Raw(raw))
        size += len(raw)
        if len(waiting) == CHUNK_RECORDS or size >= CHUNK_BYTES:
            yield _encode(waiting)
            waiting, size = [], 0
    if waiting:
        yield _encode(waiting)


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    held = next(chunks)
    for chunk in chunks:
        yield held, False
        held = chunk
    yield held, True


class BundleReader:
    """A bundle that is there to be read; the file must not change meanwhile.  Raises ``BundleRefused``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise BundleRefused("this file is no bundle of Holdfast, or was cut at its beginning")
        head = MAGIC + self._exactly(6)
        version = int.from_bytes(head[len(MAGIC) : -4], "big")
        if version != VERSION:
            raise BundleRefused(f"it has format {version}, this Holdfast reads {VERSION}; take it in with a newer one")
        encoded = self._exactly(_bounded(head[-4:], MOST_HEADER))
        self._head = head + encoded
        try:
            self.header = _header(encoded)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BundleRefused(f"its header makes no sense ({error}); it was changed") from None

    def verify(self, signing: bytes) -> int:
        """Check the signature over everything, with the sender's key; returns the number of chunks."""
        digest = hashlib.sha256(self._head)
        count = 0
        for piece in self._pieces():
            digest.update(len(piece).to_bytes(4, "big") + piece)
            count += 1
        digest.update(bytes(4))
        signature = self._exactly(SIGNATURE_BYTES)
        if self._file.read(1):
            raise BundleRefused("there is more behind its end; it was changed")
        try:
            Ed25519PublicKey.from_public_bytes(signing).verify(signature, digest.digest())
        except InvalidSignature:
            raise BundleRefused("its signature does not fit; it was changed since it was signed") from None
        return count

    def chunks(self, content_key: bytes, count: int) -> Iterator[list[Record]]:
        """Its records, chunk by chunk; ``count`` is what ``verify`` said."""
        sealer = ChunkSealer(content_key, hashlib.sha256(self._head).digest())
        for number, piece in enumerate(self._pieces()):
            body = _inflated(sealer.open(number, piece, last=number == count - 1))
            try:
                yield _records(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BundleRefused(f"part {number} makes no sense ({error})") from None

    def _pieces(self) -> Iterator[bytes]:
        self._file.seek(len(self._head))
        while size := _bounded(self._exactly(4), MOST_CHUNK):
            yield self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise BundleRefused("it ends too early; copy the file once more")
        return data


def _bounded(length: bytes, most: int) -> int:
    size = int.from_bytes(length, "big")
    if size > most:
        raise BundleRefused("a part of it is larger than any may be; it was changed")
    return size


def _inflated(data: bytes) -> bytes:
    engine = zlib.decompressobj()
    try:
        body = engine.decompress(data, MOST_CHUNK)
    except zlib.error as error:
        raise BundleRefused(f"a part of it cannot be unpacked ({error})") from None
    if not engine.eof:
        raise BundleRefused("a part of it unpacks to more than any may be")
    return body
