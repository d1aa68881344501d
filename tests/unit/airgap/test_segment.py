"""Sealed entries: open as what they were sealed as, and as nothing else."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.segment import NO_CHAIN, Sealer, SegmentReader, SegmentWriter, UnknownKey, chain_after, key_id
from engine.kernel.errors import StoreDamaged
from engine.kernel.events import QueuePaused
from tests.support.journals import a_job

KEY = bytes(range(32))
SEALER = Sealer("node", {"0a0b0c0d": KEY}, "0a0b0c0d")


@given(st.binary(max_size=500))
def test_what_was_sealed_opens_again(body: bytes) -> None:
    assert SEALER.open("segment", 7, SEALER.seal("segment", 7, body)) == body


@given(st.binary(min_size=1, max_size=200), st.data())
def test_an_entry_with_any_bit_flipped_does_not_open(body: bytes, data: st.DataObject) -> None:
    entry = bytearray(SEALER.seal("segment", 7, body))
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreDamaged):
        SEALER.open("segment", 7, bytes(entry))


@pytest.mark.parametrize(("kind", "number"), [("segment", 8), ("checkpoint", 7), ("segment", "7x")])
def test_an_entry_opens_only_in_its_place(kind: str, number: int | str) -> None:
    entry = SEALER.seal("segment", 7, b"body")
    with pytest.raises(StoreDamaged, match="changed since it was sealed"):
        SEALER.open(kind, number, entry)


def test_an_entry_of_another_node_does_not_open() -> None:
    other = Sealer("other", {"0a0b0c0d": KEY}, "0a0b0c0d")
    with pytest.raises(StoreDamaged):
        SEALER.open("segment", 7, other.seal("segment", 7, b"body"))


def test_an_entry_of_an_unknown_key_says_which() -> None:
    other = Sealer("node", {"ffffffff": os.urandom(32)}, "ffffffff")
    entry = other.seal("segment", 7, b"body")
    assert key_id(entry) == "ffffffff"
    with pytest.raises(UnknownKey, match="ffffffff"):
        SEALER.open("segment", 7, entry)


@pytest.mark.parametrize("entry", [b"", b"\x01", b"\x02" + bytes(60), b"\x01" * 33])
def test_what_is_no_entry_of_this_version_is_refused(entry: bytes) -> None:
    with pytest.raises(StoreDamaged):
        SEALER.open("segment", 7, entry)


def test_a_payload_is_not_to_be_seen_in_its_entry() -> None:
    assert b"secret" not in SEALER.seal("segment", 1, b"secret" * 10)


def test_a_segment_reads_back_with_its_place_and_chain() -> None:
    events = [a_job("one"), QueuePaused(1.0, "mail")]
    body = SegmentWriter().body("node", 3, 11, NO_CHAIN, events)
    segment = SegmentReader().read(5, body)
    assert segment.events == events
    assert (segment.number, segment.incarnation, segment.first, segment.count) == (5, 3, 11, 2)
    assert segment.chain == chain_after(NO_CHAIN, body)


def test_an_event_that_makes_no_sense_is_left_out_and_named() -> None:
    body = msgspec.msgpack.encode(("node", 1, 11, NO_CHAIN, [a_job("one"), ["?", 1], a_job("two")]))
    segment = SegmentReader().read(5, body)
    assert [event.id for event in segment.events] == ["one", "two"]  # type: ignore[union-attr]
    assert segment.count == 3
    assert segment.garbled[0].startswith("event 12:")


def test_a_body_that_is_no_segment_is_refused() -> None:
    with pytest.raises(StoreDamaged, match="segment 5"):
        SegmentReader().read(5, b"\xc1garbage")
