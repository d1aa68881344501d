"""What a batch adds to the sums per minute: how many attempts ended how, how long they ran and had waited."""

from __future__ import annotations

from typing import NamedTuple

from data.attempts import ENDS, WAIVED
from data.drafts import AttemptDraft, Draft, MinuteDraft, MinuteKey
from data.histogram import bucket_of
from engine.kernel import events as ev

#: state of an attempt that has ended -> outcome in ``minutes``
OUTCOMES = {how: outcome for _, how, outcome in ENDS.values()}


class Wait(NamedTuple):
    """A wait as the sums have it: since when, until when, and the end of the attempt that it led to."""

    available_at: float
    started_at: float
    state: str
    ended_at: float

    @staticmethod
    def of(row: AttemptDraft) -> Wait:
        """The wait for an attempt that has ended."""
        return Wait(row.available_at, row.started_at, row.state, row.ended_at)


class Sums:
    """Additions to ``minutes``."""

    def __init__(self) -> None:
        self.minutes: dict[MinuteKey, MinuteDraft] = {}

    def minute(self, at: float, draft: Draft, outcome: str) -> MinuteDraft:
        """What is added for a job's queue, task and tenant in the minute of ``at``."""
        key = (int(at // 60), draft.queue, draft.task, draft.tenant, outcome)
        minute = self.minutes.get(key)
        if minute is None:
            minute = self.minutes[key] = MinuteDraft()
        return minute

    def ended(self, event: ev.AttemptEnded, draft: Draft, outcome: str, started: float) -> None:
        """An attempt ended; it had waited since the job became available."""
        minute = self.ended_late(event, draft, outcome, started)
        if started:
            _wait(minute, started - draft.available_at, 1)

    def ended_late(self, event: ev.AttemptEnded, draft: Draft, outcome: str, started: float) -> MinuteDraft:
        """An attempt ended whose wait will be known by ``waited``."""
        minute = self.minute(event.at, draft, outcome)
        minute.n += 1
        if started and outcome not in WAIVED:
            minute.run_seconds += event.duration
            bucket = bucket_of(event.duration)
            minute.runs[bucket] = minute.runs.get(bucket, 0) + 1
        return minute

    def waited(self, draft: Draft, now: Wait, before: Wait | None) -> None:
        """The wait of an attempt that has ended is known, or known better than ``before``."""
        if before is not None:
            self._wait(draft, before, -1)
        self._wait(draft, now, 1)

    def _wait(self, draft: Draft, wait: Wait, times: int) -> None:
        minute = self.minute(wait.ended_at, draft, OUTCOMES[wait.state])
        _wait(minute, wait.started_at - wait.available_at, times)


def _wait(minute: MinuteDraft, waited: float, times: int) -> None:
    if waited < 0.0:
        waited = 0.0
    minute.wait_seconds += times * waited
    bucket = bucket_of(waited)
    minute.waits[bucket] = minute.waits.get(bucket, 0) + times
