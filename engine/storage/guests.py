"""Jobs that came from another site and whose ends are owed to it, until it has them.

A *guest* is named by a value under ``GUESTS`` (whoever takes jobs in writes it before the jobs); from then on the fold
keeps every end of the job, beyond the life of results, so that what happened far from any network can be told weeks later.
Outcomes are numbered in the order in which they became true: "all up to number n" says what was told.  Follows from the
events alone, so a restart rebuilds it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.kernel import events as ev
from engine.kernel.job import TERMINAL

#: keys of the values that name guests begin so
GUESTS = "bundle:guest:"
#: ends of one job that are kept before its outcome; a job that snoozes for months does not fill the memory
KEPT = 20


class GuestEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One job of such a value."""

    id: str
    #: under which its own site has it claimed
    token: int
    #: its outcome, where it did not come about in this store
    end: ev.AnyEvent | None = None


class Guest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one of them."""

    id: str
    #: key of the value that names it
    entry: str
    ends: tuple[ev.AnyEvent, ...] = ()
    #: number of its outcome, 0 while it has none
    done: int = 0


_decode = msgspec.msgpack.Decoder(list[GuestEntry]).decode
_encode = msgspec.msgpack.Encoder().encode


def entries_of(value: bytes) -> list[GuestEntry]:
    """The jobs that a value names."""
    return _decode(value)


def value_of(entries: Iterable[GuestEntry]) -> bytes:
    """A value that names jobs."""
    return _encode(list(entries))


class Guests:
    """The guests of one store.  Not thread-safe: the owner holds a lock."""

    def __init__(self) -> None:
        self.by_id: dict[str, Guest] = {}
        #: number of the last outcome
        self.number = 0
        self._ids: dict[str, set[str]] = {}
        self._done: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.by_id)

    def tally(self, key: str) -> tuple[int, int]:
        """How many guests a value names, and how many of them have an outcome."""
        return len(self._ids.get(key, ())), self._done.get(key, 0)

    def admit(self, key: str, value: bytes) -> None:
        """A value was written: those it names are guests, those it does not name any more are not."""
        entries = entries_of(value)
        self._forget(self._ids.get(key, set()) - {entry.id for entry in entries})
        for entry in entries:
            known = self.by_id.get(entry.id)
            if known is None:
                self._move(Guest(entry.id, key), None)
            elif known.entry != key:  # it came again: whatever was told of it was told under the claim before
                self.number += bool(known.done)
                self._move(Guest(entry.id, key, known.ends, self.number if known.done else 0), known)
            if entry.end is not None and not self.by_id[entry.id].done:
                self.note(entry.end)
        self._ids.setdefault(key, set())

    def dismiss(self, key: str) -> None:
        """A value was deleted."""
        self._forget(self._ids.pop(key, set()))
        self._done.pop(key, None)

    def note(self, event: ev.AttemptEnded | ev.AnyEvent) -> None:
        """An attempt ended; nothing happens if the job is no guest."""
        guest = self.by_id.get(getattr(event, "id", ""))
        if guest is None or not isinstance(event, ev.AttemptEnded):
            return
        ended = event.state in TERMINAL
        if ended:
            self.number += 1
        done = self.number if ended else guest.done
        ends = (*guest.ends, event)[-KEPT:]
        self._move(msgspec.structs.replace(guest, ends=ends, done=done), guest)

    def restore(self, guests: Iterable[Guest], number: int) -> None:
        """Take over what a snapshot has."""
        for guest in guests:
            self._move(guest, self.by_id.get(guest.id))
        self.number = max(self.number, number)

    def _move(self, guest: Guest, known: Guest | None) -> None:
        if known is not None:
            self._leave(known)
        self.by_id[guest.id] = guest
        self._ids.setdefault(guest.entry, set()).add(guest.id)
        self._done[guest.entry] = self._done.get(guest.entry, 0) + bool(guest.done)

    def _leave(self, guest: Guest) -> None:
        self._ids.get(guest.entry, set()).discard(guest.id)
        self._done[guest.entry] = self._done.get(guest.entry, 0) - bool(guest.done)

    def _forget(self, ids: Iterable[str]) -> None:
        for id_ in list(ids):
            self._leave(self.by_id.pop(id_))
