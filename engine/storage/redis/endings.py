"""What ``finish.lua`` is told: notes first, then ends in groups of one lease and one kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.kernel import events as ev

#: most ends in one call
CALL_ENDS = 256

_pack = msgspec.msgpack.encode


class Ends:
    """Ends and notes of one queue, as one call."""

    def __init__(self, ends: Sequence[ev.AttemptEnded], notes: Sequence[ev.Event]) -> None:
        self.notes = notes
        groups: defaultdict[tuple[int, type], list[ev.AttemptEnded]] = defaultdict(list)
        for end in ends:
            groups[end.token, type(end)].append(end)
        self._groups = groups
        #: in the order of their numbers in the script
        self.ends = [end for group in groups.values() for end in group]

    def arguments(self) -> tuple[bytes, bytes]:
        """The second and third argument of ``finish.lua``."""
        noted = [_pack(note) for note in self.notes]
        starts, words, at = [], [], 1
        for note, raw in zip(self.notes, noted, strict=True):
            if type(note) is ev.JobStarted:
                starts.append((note.id, token_text(note.token), note.at))
            elif type(note) is ev.JobProgressed:
                words.append((note.id, at, len(raw)))
            at += len(raw)
        blobs, groups = noted, []
        for (token, kind), group in self._groups.items():
            raws = [_pack(end) for end in group]
            numbers, flags = _said(kind, group)
            groups.append(
                (
                    token_text(token),
                    _LETTERS[kind],
                    [end.id for end in group],
                    [len(raw) for raw in raws],
                    numbers,
                    flags,
                )
            )
            blobs += raws
        return _pack(((len(self.notes), at - 1), starts, words, groups)), b"".join(blobs)

    def stale(self, indexes: Sequence[int]) -> set[int]:
        """Places in ``ends`` of those that came too late."""
        return {index - 1 for index in indexes}


def token_text(token: int) -> str:
    """A token as the scripts compare it."""
    return f"{token:016d}"


def _said(kind: type, group: Sequence[ev.AttemptEnded]) -> tuple[list[float], str]:
    numbers = _NUMBERS.get(kind)
    flags = _FLAGS.get(kind)
    return (
        [numbers(end) for end in group] if numbers else [],
        "".join(["1" if flags(end) else "0" for end in group]) if flags else "",
    )


def _began(end: ev.AttemptEnded) -> bool:
    return bool(end.started_at)


#: the letter of each end, as in its tag on disk
_LETTERS: dict[type, str] = {
    ev.JobCompleted: "C",
    ev.JobCancelled: "X",
    ev.JobDied: "D",
    ev.JobRetryScheduled: "R",
    ev.JobSnoozed: "Z",
    ev.JobReleased: "L",
    ev.JobRescued: "U",
}
_NUMBERS: dict[type, Callable[[Any], float]] = {
    ev.JobRetryScheduled: lambda end: end.run_at - end.at,
    ev.JobSnoozed: lambda end: end.run_at,
}
_FLAGS: dict[type, Callable[[Any], bool]] = {
    ev.JobSnoozed: _began,
    ev.JobReleased: _began,
    ev.JobRescued: lambda end: bool(end.reason == ev.CRASHED),
}
