"""From the records that agents keep in Redis to the list that people see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.fleet.base import LATE_SECONDS, LOST_SECONDS, AgentView
from engine.fleet.scripts import script
from engine.kernel.clock import Clock

if TYPE_CHECKING:
    from engine.storage.redis.client import Client

#: seconds that a stopped or lost agent stays on the list
KEPT_SECONDS = 86_400.0
SECOND = 1_000_000
#: seconds that the list is waited for
LIST_TIMEOUT = 1.0

_decode = msgspec.msgpack.Decoder(AgentView).decode


class Record(msgspec.Struct, frozen=True):
    """What Redis holds of an agent."""

    #: microseconds of Redis
    seen: int
    #: ``up`` or ``gone``
    state: str
    view: AgentView


class Roster:
    """The agents of a fleet, as Redis tells, or as it told last."""

    def __init__(self, client: Client, tag: str, clock: Clock) -> None:
        self._client = client
        self._tag = tag
        self._clock = clock
        #: the last answer: records, time of Redis, and our monotonic time then
        self._known: tuple[list[Record], int, float] = ([], 0, 0.0)

    def asked(self) -> list[AgentView]:
        """The agents as they are now; those that are away for a day are forgotten.  Raises ``Unreachable``."""
        at, pairs = self._client.call(script("list"), self._tag, timeout=LIST_TIMEOUT)
        now, kept = int(at), []
        for agent, record in records(pairs):
            if now - record.seen > KEPT_SECONDS * SECOND:
                self.forget(agent, int(KEPT_SECONDS * SECOND))
            else:
                kept.append(record)
        self._known = (kept, now, self._clock.monotonic())
        return views(kept, now)

    def remembered(self, own: AgentView) -> list[AgentView]:
        """The agents as they were when they were last asked for, older by the time since; ``own`` is known better."""
        kept, at, since = self._known
        now = at + int((self._clock.monotonic() - since) * SECOND)
        others = [view for view in views(kept, now) if view.id != own.id]
        return sorted([*others, own], key=lambda view: (view.name, view.id))

    def forget(self, agent: str, away: int) -> int:
        """Take off the list who was silent for ``away`` microseconds: 1 done, 0 unknown, -1 it is there."""
        answer: int = self._client.call(script("forget"), self._tag, agent, away)
        return answer


def records(pairs: Sequence[bytes]) -> Iterator[tuple[str, Record]]:
    """Records by agent; those that another version wrote in a form of its own are left out."""
    for name, raw in zip(pairs[::2], pairs[1::2], strict=True):
        seen, _, state, blob = raw.split(b" ", 3)
        try:
            yield name.decode(), Record(int(seen), state.decode(), _decode(blob))
        except msgspec.MsgspecError:
            continue


def views(found: Sequence[Record], now: int) -> list[AgentView]:
    """The agents as they stand at ``now``, by name."""
    return sorted((_view(record, now) for record in found), key=lambda view: (view.name, view.id))


def _view(record: Record, now: int) -> AgentView:
    presence = _presence(record, now)
    here = presence in ("online", "late", "draining")
    view = record.view if here else msgspec.structs.replace(record.view, busy=0, current=(), cpu=0.0)
    return msgspec.structs.replace(view, presence=presence, seen_at=record.seen / SECOND)


def _presence(record: Record, now: int) -> str:
    age = (now - record.seen) / SECOND
    if record.state != "up":
        return "stopped"
    if age > LOST_SECONDS:
        return "lost"
    return "late" if age > LATE_SECONDS else record.view.presence
