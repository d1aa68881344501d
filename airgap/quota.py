"""How full the store is, and what that means: pure arithmetic over bytes.

Nine tenths of the limit are for everything; the last tenth is for outcomes of jobs that were accepted, so that a full
store can still be worked empty.
"""

from __future__ import annotations

import enum

import msgspec

#: share of the limit that only outcomes may use
RESERVE = 0.1
WARNING, CRITICAL = 0.7, 0.9


class Level(enum.StrEnum):
    """How full."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    FULL = "full"


class Quota(msgspec.Struct, frozen=True):
    """A limit in bytes."""

    limit: int

    @property
    def room(self) -> int:
        """Bytes that may be used before new jobs are refused."""
        return int(self.limit * (1 - RESERVE))

    def share(self, used: int) -> float:
        """How much of the room is used, 1 for all."""
        return used / self.room

    def level(self, used: int) -> Level:
        share = self.share(used)
        if share >= 1:
            return Level.FULL
        if share >= CRITICAL:
            return Level.CRITICAL
        return Level.WARNING if share >= WARNING else Level.OK

    def refusal(self, used: int) -> str:
        """What to tell someone whose job was refused."""
        return (
            f"the store is full: {used:,} of {self.limit:,} bytes, the last tenth is kept for outcomes; "
            "let jobs finish, delete dead ones, or raise store_limit"
        )
