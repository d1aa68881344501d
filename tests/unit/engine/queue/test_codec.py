from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import PayloadUnreadable, ValidationError
from engine.queue import codec

#: text that UTF-8 can hold
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
arguments = st.dictionaries(texts, values, max_size=6)


@given(arguments, arguments, texts)
def test_what_was_encoded_comes_back(args: dict[str, Any], metadata: dict[str, Any], correlation: str) -> None:
    envelope = codec.decode(codec.encode(args, metadata, correlation))
    assert (envelope.args, envelope.metadata, envelope.correlation_id) == (args, metadata, correlation)


@given(values)
def test_a_result_comes_back(value: Any) -> None:
    assert codec.decode_value(codec.encode_value(value)) == value


@given(st.binary(max_size=200) | st.builds(lambda tail: b'{"v":1,' + tail, st.binary(max_size=50)))
def test_garbage_is_unreadable_and_nothing_else(payload: bytes) -> None:
    try:
        envelope = codec.decode(payload)
    except PayloadUnreadable:
        return
    assert envelope.v == codec.VERSION


@given(arguments, st.data())
def test_a_flipped_bit_of_a_compressed_envelope_never_gives_other_arguments(args: dict[str, Any], data: Any) -> None:
    payload = bytearray(codec.encode({"args": args, "fill": "x" * codec.COMPRESS_ABOVE}))
    where = data.draw(st.integers(0, len(payload) * 8 - 1))
    payload[where // 8] ^= 1 << (where % 8)
    try:
        assert codec.decode(bytes(payload)).args["args"] == args
    except PayloadUnreadable as refused:
        assert "payload" in str(refused)


def test_the_envelope_is_plain_json_that_other_programs_can_read() -> None:
    assert json.loads(codec.encode({"to": "a@b"}, {"by": "me"}, "c-1")) == {
        "v": 1,
        "args": {"to": "a@b"},
        "metadata": {"by": "me"},
        "correlation_id": "c-1",
    }


def test_large_envelopes_are_compressed_and_small_ones_are_not() -> None:
    large = codec.encode({"text": "word " * 20_000})
    assert large[:1] == codec.COMPRESSED and len(large) < 5_000
    assert codec.encode({"text": "word"})[:1] == b"{"
    assert codec.decode(large).args == {"text": "word " * 20_000}


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int


class Box(msgspec.Struct):
    at: datetime.datetime


def test_values_that_json_has_no_word_for_travel_as_text() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    args = {
        "path": Path("/a/b"),
        "id": uuid.UUID(int=1),
        "amount": decimal.Decimal("1.10"),
        "raw": b"\x00\xff",
        "colour": Colour.RED,
        "point": Point(3),
        "box": Box(moment),
        "set": {7},
    }
    assert codec.decode(codec.encode(args)).args == {
        "path": "/a/b",
        "id": "00000000-0000-0000-0000-000000000001",
        "amount": "1.10",
        "raw": "AP8=",
        "colour": "red",
        "point": {"x": 3},
        "box": {"at": "2026-01-02T03:04:05Z"},
        "set": [7],
    }


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), [1.0, {"k": float("-inf")}], Box])
def test_a_value_that_json_cannot_hold_is_refused_with_its_place(bad: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        codec.encode({"fine": 1, "bad": bad})
    assert refused.value.field.startswith("args.bad")


def test_a_nan_inside_a_struct_is_found_too() -> None:
    class Reading(msgspec.Struct):
        celsius: float

    with pytest.raises(ValidationError, match=r"args\.reading\.celsius: expected a number that JSON can hold"):
        codec.encode({"reading": Reading(float("nan"))})


def test_arguments_may_be_32_levels_deep_and_not_33() -> None:
    codec.encode({"deep": nested(codec.MAX_DEPTH - 1)})
    with pytest.raises(ValidationError, match="at most 32 levels"):
        codec.encode({"deep": nested(codec.MAX_DEPTH)})


def test_a_thing_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValidationError, match=r"args\.endless: expected at most 32 levels"):
        codec.encode({"endless": endless})


def test_many_brackets_side_by_side_are_not_deep() -> None:
    codec.encode({"rows": [[n] for n in range(100)], "none": None})


def test_too_large_a_payload_is_refused_with_both_figures() -> None:
    with pytest.raises(ValidationError, match=r"at most 1,048,576 bytes of JSON, got 1,100,0\d\d") as refused:
        codec.encode({"text": "x" * 1_100_000})
    assert refused.value.field == "args"
    with pytest.raises(ValidationError, match="at most 100 bytes"):
        codec.encode({"text": "x" * 100}, limit=100)


def test_a_lone_surrogate_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"metadata\.note: .*surrogate"):
        codec.encode({}, {"note": "\ud800"})
    with pytest.raises(ValidationError, match="correlation_id"):
        codec.encode({}, {}, "\ud800")


def test_bad_values_in_messages_are_not_echoed() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    with pytest.raises(ValidationError) as refused:
        codec.encode({"password": Secret()})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("payload", [b'{"v":2}', b'{"v":2,"args":[1]}', codec.COMPRESSED + zlib.compress(b'{"v":2}')])
def test_another_version_says_so(payload: bytes) -> None:
    with pytest.raises(PayloadUnreadable, match="version 2, this program reads version 1"):
        codec.decode(payload)


def test_fields_added_by_a_later_minor_change_are_passed_over() -> None:
    assert codec.decode(b'{"v":1,"args":{"a":1},"trace":"x"}').args == {"a": 1}


def test_a_small_payload_cannot_unfold_into_a_huge_one() -> None:
    bomb = codec.COMPRESSED + zlib.compress(b'{"v":1,"args":{"x":"' + b"0" * 70_000_000 + b'"}}', 9)
    assert len(bomb) < 100_000
    with pytest.raises(PayloadUnreadable, match="too large"):
        codec.decode(bomb)


def test_a_pickle_is_garbage() -> None:
    import pickle

    with pytest.raises(PayloadUnreadable, match="no envelope"):
        codec.decode(pickle.dumps({"v": 1}))


def test_a_result_that_is_no_json_names_the_field() -> None:
    with pytest.raises(ValidationError, match="result: cannot be sent as JSON"):
        codec.encode_value(object())
    with pytest.raises(ValidationError, match=r"output\.rows: expected at most 5 bytes"):
        codec.encode_value("long text", "output.rows", limit=5)
    with pytest.raises(PayloadUnreadable, match="is not JSON"):
        codec.decode_value(b"{")
