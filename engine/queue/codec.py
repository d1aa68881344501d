"""The envelope a job's arguments travel in: versioned JSON, made and read with msgspec, never pickle.

Invariants: what ``encode`` gives, ``decode`` of this and every later version reads; JSON numbers only (no NaN, no
Infinity); nesting at most ``MAX_DEPTH``; at most ``MAX_PAYLOAD`` bytes before compression, and a reader unfolds no more
than ``_UNFOLD_LIMIT``, so that a small payload cannot become a huge one.  Large envelopes are compressed and begin with
``COMPRESSED``; JSON begins with ``{``.  This module knows no task: types come back through ``arguments.ArgumentValidator``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Literal

import msgspec

from engine.kernel.errors import PayloadUnreadable, ValidationError

VERSION = 1
#: bytes of JSON that one envelope may have
MAX_PAYLOAD = 1024 * 1024
#: objects and arrays inside each other, arguments themselves being the first level
MAX_DEPTH = 32
#: envelopes above this many bytes are compressed
COMPRESS_ABOVE = 32 * 1024
#: first byte of a compressed envelope
COMPRESSED = b"\x01"
#: most that a reader unfolds, whatever limit the writer had
_UNFOLD_LIMIT = 64 * MAX_PAYLOAD


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What a payload holds."""

    v: int
    args: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    correlation_id: str = ""


class _Versioned(msgspec.Struct):
    v: int


def to_plain(value: Any) -> Any:
    """Turn what msgspec does not know into what it does: paths into text, pydantic models into dicts."""
    if isinstance(value, PurePath):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} has no JSON form")


_encoder = msgspec.json.Encoder(enc_hook=to_plain)
_decoder = msgspec.json.Decoder(Envelope)
_version_decoder = msgspec.json.Decoder(_Versioned)


def encode(
    args: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    correlation_id: str = "",
    *,
    limit: int = MAX_PAYLOAD,
) -> bytes:
    """The payload of a job.  Raises ``ValidationError`` naming the field that cannot travel."""
    envelope = Envelope(VERSION, args, metadata or {}, correlation_id)  # type: ignore[arg-type]
    try:
        text = _encoder.encode(envelope)
    except (TypeError, ValueError, RecursionError) as error:
        raise _unencodable(envelope, error) from None
    if len(text) > limit:
        raise ValidationError(f"args: expected at most {limit:,} bytes of JSON, got {len(text):,}", "args")
    if b"null" in text or text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _check_values(envelope)
    return COMPRESSED + zlib.compress(text, 1) if len(text) > COMPRESS_ABOVE else text


def decode(payload: bytes) -> Envelope:
    """The envelope in ``payload``.  Raises ``PayloadUnreadable`` on garbage and on other versions."""
    try:
        envelope = _decoder.decode(payload if payload[:1] == b"{" else _unfold(payload))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _unreadable(payload, error) from None
    if envelope.v != VERSION:
        raise _other_version(envelope.v)
    return envelope


def decoder_for(shape: type, hook: Callable[[type, Any], Any]) -> Callable[[bytes], Envelope]:
    """Decodes, in one go, payloads that are neither compressed nor of another version and whose arguments fit ``shape``;
    raises ``msgspec.MsgspecError`` on all others, which ``decode`` may know better."""
    typed = msgspec.defstruct("TypedEnvelope", [("v", Literal[VERSION]), ("args", shape)], bases=(Envelope,))
    decode: Callable[[bytes], Envelope] = msgspec.json.Decoder(typed, dec_hook=hook).decode  # type: ignore[assignment]
    return decode


def encode_value(value: Any, field: str = "result", *, limit: int = MAX_PAYLOAD) -> bytes:
    """Any one value as JSON: a result or an intermediate output.  Raises ``ValidationError`` naming ``field``."""
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise _cannot_travel(field, error) from None
    if len(text) > limit:
        raise ValidationError(f"{field}: expected at most {limit:,} bytes of JSON, got {len(text):,}", field)
    if b"null" in text or text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _walk(msgspec.to_builtins(value, str_keys=True, enc_hook=to_plain), field, MAX_DEPTH)
    return text


def decode_value(text: bytes) -> Any:
    """The value that ``encode_value`` wrote.  Raises ``PayloadUnreadable``."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise PayloadUnreadable(f"a value of {len(text):,} bytes is not JSON: {error}") from None


def _check_values(envelope: Envelope) -> None:
    for part, values in (("args", envelope.args), ("metadata", envelope.metadata)):
        _walk(msgspec.to_builtins(values, str_keys=True, enc_hook=to_plain), part, MAX_DEPTH)


def _walk(value: Any, path: str, depth: int) -> None:
    """Refuse numbers that JSON does not have, and nesting deeper than ``depth``."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValidationError(f"{path}: expected a number that JSON can hold, got {value}", path)
    elif isinstance(value, (dict, list, tuple, set, frozenset)):
        if depth == 0:
            raise ValidationError(f"{path}: expected at most {MAX_DEPTH} levels of nesting", path.split("[")[0])
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _walk(item, f"{path}.{key}" if isinstance(value, dict) else f"{path}[{key}]", depth - 1)


def _unencodable(envelope: Envelope, error: Exception) -> ValidationError:
    for part, values in (("args", envelope.args), ("metadata", envelope.metadata)):
        for name, value in values.items():
            try:
                _encoder.encode({name: value})
            except (TypeError, ValueError, RecursionError) as reason:
                return _cannot_travel(f"{part}.{name}", reason)
    return _cannot_travel("correlation_id", error)


def _cannot_travel(field: str, error: Exception) -> ValidationError:
    if isinstance(error, RecursionError):
        return ValidationError(f"{field}: expected at most {MAX_DEPTH} levels of nesting", field)
    if isinstance(error, UnicodeEncodeError):
        return ValidationError(f"{field}: expected text that UTF-8 can hold, got a lone surrogate", field)
    return ValidationError(f"{field}: cannot be sent as JSON: {error}", field)


def _unfold(payload: bytes) -> bytes:
    if payload[:1] != COMPRESSED:
        raise PayloadUnreadable(f"payload of {len(payload):,} bytes is no envelope: it begins with {payload[:1]!r}")
    unfolder = zlib.decompressobj()
    try:
        text = unfolder.decompress(payload[1:], _UNFOLD_LIMIT)
    except zlib.error as error:
        raise PayloadUnreadable(f"compressed payload of {len(payload):,} bytes is damaged: {error}") from None
    if not unfolder.eof or unfolder.unused_data:
        raise PayloadUnreadable(f"compressed payload of {len(payload):,} bytes is cut off or too large")
    return text


def _unreadable(payload: bytes, error: Exception) -> PayloadUnreadable:
    try:
        version = _version_decoder.decode(payload if payload[:1] == b"{" else _unfold(payload)).v
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return PayloadUnreadable(f"payload of {len(payload):,} bytes is no envelope: {error}")
    return _other_version(version) if version != VERSION else PayloadUnreadable(f"payload is no envelope: {error}")


def _other_version(version: int) -> PayloadUnreadable:
    return PayloadUnreadable(
        f"payload has version {version}, this program reads version {VERSION}; run the program that wrote it, or update"
    )
