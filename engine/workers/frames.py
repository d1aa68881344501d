"""The words between a process that runs tasks and its parent: msgpack records with a length before each, never pickle."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from engine.kernel.job import Failure, Job
from engine.queue.retry import Outcome

_LENGTH = struct.Struct(">I")


class Run(msgspec.Struct, frozen=True, tag="run"):
    """To the child: run this job with the function of that name."""

    job: Job
    module: str
    function: str
    #: wall time at which the attempt is stopped, 0 for none
    deadline: float = 0.0


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The job was received and begins; a child that ends before it says so has not touched the job."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    value: float
    message: str


class Line(msgspec.Struct, frozen=True, tag="line"):
    level: int
    text: str


class Output(msgspec.Struct, frozen=True, tag="output"):
    name: str
    value: bytes


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end of a call: a result (JSON), or an outcome with its failure."""

    result: bytes | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    #: CPU seconds of the call, and bytes of memory the process holds after it
    cpu: float = 0.0
    memory: int = 0


Frame = Run | Begun | Progress | Line | Output | Done
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def write(stream: BinaryIO, frame: Frame) -> None:
    """Send one frame."""
    body = _encoder.encode(frame)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read(stream: BinaryIO) -> Iterator[Frame]:
    """Frames until the other side ends."""
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        body = stream.read(_LENGTH.unpack(head)[0])
        try:
            yield _decoder.decode(body)
        except msgspec.MsgspecError:
            return
