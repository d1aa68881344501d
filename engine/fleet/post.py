"""Messages to agents on their way: how they are written, and the box in which they wait.

A message lies in its agent's box until the agent takes it out, and is heard once it was: if the answer to taking is lost,
the next look into the box tells whether it was taken.  So nothing is heard twice, also by two processes of one name; what
is lost is a message whose agent dies between taking and hearing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from engine.fleet.base import Notice

#: messages that wait for one agent at most; the least important goes first
BOX_MOST = 100
#: seconds that a command is good for: nobody wants to be paused by what was said yesterday
COMMAND_TTL = 300.0


class Command(msgspec.Struct, frozen=True, tag="command"):
    """Something that an agent is to do: one of ``COMMANDS``."""

    id: str
    at: float
    do: str
    args: dict[str, Any] = {}
    by: str = ""
    expires_at: float = 0.0
    #: commands go before messages
    priority: int = 0


class Letter(msgspec.Struct, frozen=True, tag="notice"):
    """A notice on its way."""

    notice: Notice

    @property
    def id(self) -> str:
        return self.notice.id

    @property
    def expires_at(self) -> float:
        return self.notice.expires_at

    @property
    def priority(self) -> int:
        return self.notice.priority


Message = Command | Letter

_decode = msgspec.msgpack.Decoder(Message).decode


def written(message: Message) -> bytes:
    """A message as it travels."""
    return msgspec.msgpack.encode(message)


def read(entry: bytes) -> Message | None:
    """The message of an entry of a box; ``None`` for one that a newer version wrote."""
    try:
        message: Message = _decode(entry.partition(b" ")[2])
        return message
    except msgspec.MsgspecError:
        return None


class Box:
    """An agent's own view of its box.  Used by one thread."""

    def __init__(self, take: Callable[[Sequence[bytes]], Sequence[int]]) -> None:
        self._take = take
        #: entries that were asked for without an answer
        self._asked: set[bytes] = set()
        #: entries that were taken and not heard yet
        self._taken: set[bytes] = set()

    def look(self, entries: Iterable[bytes], now: int) -> list[Message]:
        """What is to be heard at ``now`` (microseconds of Redis), the most important first, the oldest first among those.
        Raises ``Unreachable``."""
        there = set(entries)
        self._taken |= self._asked - there  # that call was carried out
        self._asked = there
        if there:
            asked = sorted(there)
            answers = self._take(asked)
            self._taken |= {entry for entry, was_there in zip(asked, answers, strict=True) if was_there}
            self._asked = set()
        taken, self._taken = self._taken, set()
        found = [message for entry in taken if _good(entry, now) and (message := read(entry)) is not None]
        return sorted(found, key=lambda message: (message.priority, message.id))


def _good(entry: bytes, now: int) -> bool:
    return int(entry.partition(b" ")[0]) > now
