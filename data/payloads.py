"""Opens the envelope of a job for history: JSON text of arguments and metadata, secrets masked.

Arguments are passed on as the bytes they are, without building Python values, unless something in them looks secret.
What cannot be opened is kept out with a note that says why; it never stops the recorder.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from data.masking import mask_json, mask_text, suspicious
from engine.kernel.errors import HoldfastError

_EMPTY = msgspec.Raw(b"{}")


class _Envelope(msgspec.Struct):
    v: int
    args: msgspec.Raw = _EMPTY
    metadata: msgspec.Raw = _EMPTY
    correlation_id: str = ""


_decoder = msgspec.json.Decoder(_Envelope)


class Opened(NamedTuple):
    """A payload as history keeps it."""

    args: str
    metadata: str
    correlation_id: str
    masked: bool
    #: what could not be read, "" for nothing
    note: str


def open_payload(payload: bytes) -> Opened:
    """What is stored of a payload."""
    try:
        return _opened(payload if payload[:1] == b"{" else _unfolded(payload))
    except (msgspec.MsgspecError, HoldfastError, RecursionError, ValueError) as error:
        return Opened(
            "{}", "{}", "", False, f"payload of {len(payload)} bytes cannot be read: {mask_text(str(error))[:300]}"
        )


def _opened(payload: bytes) -> Opened:
    envelope = _decoder.decode(payload)
    if envelope.v != 1:
        return Opened("{}", "{}", "", False, f"payload has version {envelope.v}, expected 1")
    if not suspicious(payload):
        args, metadata = bytes(envelope.args).decode(), bytes(envelope.metadata).decode()
        return Opened(args, metadata, envelope.correlation_id, False, "")
    return _masked(envelope)


def _masked(envelope: _Envelope) -> Opened:
    args, metadata = bytes(envelope.args), bytes(envelope.metadata)
    shown, shown_metadata, correlation = mask_json(args), mask_json(metadata), mask_text(envelope.correlation_id)
    masked = shown is not args or shown_metadata is not metadata or correlation != envelope.correlation_id
    return Opened(shown.decode(), shown_metadata.decode(), correlation, masked, "")


def _unfolded(payload: bytes) -> bytes:
    """The JSON of an envelope that is compressed."""
    from engine.queue import codec

    return msgspec.json.encode(codec.decode(payload))


def result_json(result: bytes | None) -> tuple[str | None, bool]:
    """A job's result as stored, and whether a secret was masked in it."""
    if result is None:
        return None, False
    try:
        shown = mask_json(result)
        return shown.decode(), shown is not result
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode(f"result of {len(result)} bytes is no JSON").decode(), False


def outcome_json(body: bytes) -> tuple[str, bool]:
    """An outcome as it came in a conflict: its JSON and whether it is whole; else its beginning as a JSON text."""
    if not body:
        return "null", True
    try:
        msgspec.json.decode(body)
        return mask_json(body).decode(), True
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode(mask_text(body.decode("utf-8", "replace"))).decode(), False
