"""The file of a bundle: read back as it was written, in bounded memory; any change is found before anything is opened."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.bundles import form
from airgap.bundles.cards import Card
from airgap.bundles.form import BundleReader
from airgap.bundles.identity import Identity
from airgap.bundles.records import JOBS, CarriedJob, Header, Preface, Record
from airgap.bundles.sealing import ChunkSealer, Wrapped, new_key, wrap
from engine.kernel.errors import BundleRefused
from tests.support.journals import a_job

SENDER, RECIPIENT, STRANGER = (Identity(bytes([seed]) * 64, f"home-{seed}") for seed in (1, 2, 3))


def jobs(count: int, payload: bytes = b"{}") -> Iterator[Record]:
    yield Preface("ship", ("r1",))
    for number in range(count):
        yield CarriedJob(number, a_job(payload=payload))


def written(count: int, to: tuple[Card, ...] = (RECIPIENT.card,), payload: bytes = b"{}", id: str = "b1") -> bytes:
    file = io.BytesIO()
    key = new_key()
    wrapped = tuple(wrap(card.sealing, key, id) for card in to)
    header = Header(id, JOBS, SENDER.card.fingerprint, 1.0, count, wrapped)
    size = form.write(file, header, jobs(count, payload), key, SENDER)
    assert size == len(file.getvalue())
    return file.getvalue()


def read(data: bytes, by: Identity = RECIPIENT) -> list[Record]:
    reader = BundleReader(io.BytesIO(data))
    count = reader.verify(SENDER.card.signing)
    mine = next(one for one in reader.header.recipients if one.recipient == by.card.sealing_id)
    return [record for part in reader.chunks(by.open(mine, reader.header.id), count) for record in part]


@pytest.mark.parametrize("count", [0, 1, 498, 499, 500, 2_000])
def test_what_is_read_is_what_was_written(count: int) -> None:
    preface, *records = read(written(count))
    assert preface == Preface("ship", ("r1",))
    assert [record.token for record in records if isinstance(record, CarriedJob)] == list(range(count))


def test_each_recipient_opens_it_and_nobody_else() -> None:
    data = written(3, (RECIPIENT.card, STRANGER.card))
    assert len(read(data)) == len(read(data, STRANGER)) == 4
    reader = BundleReader(io.BytesIO(written(3)))
    with pytest.raises(BundleRefused, match="does not open with the key of this home"):
        STRANGER.open(reader.header.recipients[0], "b1")
    with pytest.raises(BundleRefused):
        RECIPIENT.open(reader.header.recipients[0], "another bundle")


def test_nothing_of_a_job_can_be_read_in_the_file() -> None:
    data = written(10, payload=b'{"password": "sesame"}' * 10)
    assert b"sesame" not in data and b"mail" not in data


@given(data=st.data())
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    whole = WHOLE
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    with pytest.raises(BundleRefused):
        read(changed)


WHOLE = written(3)


@pytest.mark.parametrize("cut", [0, 5, 20, 100, -70, -1])
def test_a_file_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(BundleRefused, match=r"ends too early|no bundle"):
        read(WHOLE[:cut])


def test_a_newer_format_and_more_behind_the_end_are_refused() -> None:
    with pytest.raises(BundleRefused, match="has format 2, this Holdfast reads 1"):
        BundleReader(io.BytesIO(WHOLE.replace(b"BUNDLE\x00\x01", b"BUNDLE\x00\x02", 1)))
    with pytest.raises(BundleRefused, match="behind its end"):
        read(WHOLE + b"\x00")


def test_another_signature_does_not_make_it_another_homes() -> None:
    reader = BundleReader(io.BytesIO(WHOLE))
    with pytest.raises(BundleRefused, match="signature does not fit"):
        reader.verify(STRANGER.card.signing)


def signed(head: bytes, chunks: list[bytes]) -> bytes:
    """A file that its sender signed, whatever is in it."""
    body = head + b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks) + bytes(4)
    return body + SENDER.sign(hashlib.sha256(body).digest())


def test_even_a_signed_file_cannot_leave_out_or_swap_parts_or_fill_the_memory() -> None:
    key = new_key()
    header = Header("b1", JOBS, SENDER.card.fingerprint, 1.0, 0, (wrap(RECIPIENT.card.sealing, key, "b1"),))
    head = form._head(header)
    sealer = ChunkSealer(key, hashlib.sha256(head).digest())
    empty = zlib.compress(b"\x90")
    first, second = sealer.seal(0, empty, last=False), sealer.seal(1, empty, last=True)
    assert read(signed(head, [first, second])) == []
    for chunks in ([first], [second], [second, first], [first, first, second]):
        with pytest.raises(BundleRefused, match="does not open"):
            read(signed(head, chunks))
    bomb = sealer.seal(0, zlib.compress(bytes(form.MOST_CHUNK + 1)), last=True)
    with pytest.raises(BundleRefused, match="unpacks to more"):
        read(signed(head, [bomb]))
    with pytest.raises(BundleRefused, match="makes no sense"):
        read(signed(head, [sealer.seal(0, zlib.compress(b"\x93\x01"), last=True)]))
    with pytest.raises(BundleRefused, match="cannot be unpacked"):
        read(signed(head, [sealer.seal(0, b"no zlib", last=True)]))


def test_a_header_that_promises_a_giant_part_is_refused_before_it_is_read() -> None:
    with pytest.raises(BundleRefused, match="larger than any may be"):
        BundleReader(io.BytesIO(form.MAGIC + b"\x00\x01" + b"\xff\xff\xff\xff"))
    with pytest.raises(BundleRefused, match="makes no sense"):
        BundleReader(io.BytesIO(form.MAGIC + b"\x00\x01" + (3).to_bytes(4, "big") + b"abc"))


def test_a_wrapped_key_that_was_tampered_with_does_not_open() -> None:
    good = wrap(RECIPIENT.card.sealing, new_key(), "b1")
    for bad in (Wrapped(good.recipient, bytes(32), good.sealed), Wrapped(good.recipient, good.once, good.sealed[:-1])):
        with pytest.raises(BundleRefused):
            RECIPIENT.open(bad, "b1")


def test_a_large_bundle_takes_the_memory_of_a_part(tmp_path: object) -> None:
    class Sink(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    key = new_key()
    header = Header("b1", JOBS, SENDER.card.fingerprint, 1.0, 20_000, ())
    tracemalloc.start()
    try:
        form.write(Sink(), header, jobs(20_000, b"x" * 1_000), key, SENDER)  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
