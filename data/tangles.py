"""Weaves events that came late into the attempts of their jobs, so that the rows are those of the right order.

A late event is out of date for the job's state (``data.folding`` set it aside), but what it tells of an attempt is news:
that it ran, why it failed, and since when the *next* one could wait.  For such jobs, which are few, the attempts that
history has are read again; each attempt's wait begins with the last thing before it that made the job available.  Pure
memory; applied once per batch, after the fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data import ranks
from data.attempts import (
    CLAIMED,
    DEAD,
    ENDED,
    ENDS,
    MESSAGE,
    RUNNING,
    WAIVED,
    attempt_of,
    handed_back,
    has_run,
    progressed,
    take_failure,
)
from data.drafts import AttemptDraft, Draft, Late
from data.folding import BatchFold
from data.masking import storable
from data.sums import Wait
from engine.kernel import events as ev
from engine.storage.lanes import REMOTE_TOKENS

#: states of an attempt after which its job may be claimed again
_GOES_ON = frozenset({"failed", "snoozed", "released", "rescued", CLAIMED})
_USE_NONE = frozenset({*WAIVED, CLAIMED})
#: how much the tellings of an attempt weigh
HANDED_BACK, BEGUN, TAKEN_BACK, OVER = 1, 2, 3, 4
_FILLED = ("agent", "worker", "available_at", "started_at")


def untangle(fold: BatchFold, attempts: Iterable[AttemptDraft], retried: Iterable[tuple[int, float, int]]) -> None:
    """Weave in all that ``fold`` set aside; ``attempts`` and ``retried`` (job, time, attempts given) are what history has
    of the jobs."""
    known: dict[int, dict[int, AttemptDraft]] = {}
    for row in attempts:
        known.setdefault(row.job, {})[row.token] = row
    for (n, token), row in fold.attempts.items():
        rows = known.setdefault(n, {})
        rows[token] = _filled(row, rows.get(token))
    wishes: dict[int, list[tuple[float, int]]] = {}
    for n, at, extra in (*retried, *((n, at, extra) for n, at, kind, _, extra in fold.moments if kind == "retried")):
        wishes.setdefault(n, []).append((at, extra))
    for id, late in fold.late.items():
        draft = fold.drafts[id]
        _Tangle(fold, draft, known.get(draft.n, {}), sorted(wishes.get(draft.n, ()))).weave(late)


def _filled(row: AttemptDraft, other: AttemptDraft | None) -> AttemptDraft:
    """``row`` with what it does not know taken from ``other``."""
    if other is not None:
        for name in _FILLED:
            if not getattr(row, name):
                setattr(row, name, getattr(other, name))
    return row


def _weight(row: AttemptDraft) -> int:
    """Which of two tellings of one attempt stands: what Redis took back, its holder may still have ended."""
    if row.state == CLAIMED:
        return HANDED_BACK if row.ended_at else 0
    if row.state == RUNNING:
        return BEGUN
    return TAKEN_BACK if row.state in ("rescued", "released") else OVER


class _Tangle:
    """One job whose events came out of order."""

    def __init__(
        self, fold: BatchFold, draft: Draft, rows: dict[int, AttemptDraft], wishes: Sequence[tuple[float, int]]
    ) -> None:
        self._fold = fold
        self._draft = draft
        self._rows = rows
        self._wishes = wishes
        #: token -> wait that is in the sums
        self._measured = {token: Wait.of(row) for token, row in rows.items() if _weight(row) > BEGUN and row.started_at}

    def weave(self, late: Sequence[Late]) -> None:
        """Take the late events in, and put the waits right."""
        for _, event, _ in late:
            if isinstance(event, ev.JobsClaimed):
                self._claimed(event)
            elif isinstance(event, ev.JobStarted):
                self._started(event)
            elif isinstance(event, ev.AttemptEnded):
                self._ended(event)
            elif isinstance(event, ev.JobProgressed):
                self._progressed(event)
        self._sent_back()
        self._show_last()
        self._put_waits_right()

    def _claimed(self, event: ev.JobsClaimed) -> None:
        self._take(AttemptDraft(self._draft.n, event.token, 0, CLAIMED, event.agent, "", 0.0, 0.0))

    def _started(self, event: ev.JobStarted) -> None:
        agent = event.worker.partition("/")[0]
        self._take(
            AttemptDraft(
                self._draft.n, event.token, event.attempt, RUNNING, agent, event.worker, 0.0, event.at
            )
        )  # fmt: skip

    def _progressed(self, event: ev.JobProgressed) -> None:
        draft = self._draft
        if event.token >= max(draft.token, ranks.token_of(draft.rank), *self._rows):
            progressed(event, draft)

    def _take(self, row: AttemptDraft) -> None:
        """Lay a telling of an attempt beside what is known of it; the weightier one stands."""
        other = self._rows.get(row.token)
        if other is None and not ranks.token_of(self._draft.rank) and row.token > max(self._rows, default=0):
            self._draft.progress, self._draft.progress_message = None, ""
        if other is not None and _weight(other) >= _weight(row):
            row, other = other, row
        if other is not None and _weight(other) == TAKEN_BACK < _weight(row) and not row.run_at:
            row.run_at = other.run_at or other.ended_at  # taken back first: since then the next could wait
        self._rows[row.token] = self._fold.attempts[row.job, row.token] = _filled(row, other)

    def _ended(self, event: ev.AttemptEnded) -> None:
        draft, (_, how, outcome) = self._draft, ENDS[type(event)]
        other = self._rows.get(event.token)
        if other is not None and other.state in (how, CLAIMED) and other.ended_at == event.at:
            return  # told twice
        started = event.started_at or (other.started_at if other is not None else 0.0)
        self._fold.sums.ended_late(event, draft, outcome, started)
        if not has_run(event, how, started):
            self._take(handed_back(draft.n, event))
            return self._leaves_behind(event)
        if event.worker:
            self._fold.fleet.worked(event, event.worker.partition("/")[0])
        draft.attempt += how not in WAIVED
        draft.rescues += type(event) is ev.JobRescued
        agent = event.worker.partition("/")[0] or (draft.agent if draft.token == event.token else "")
        self._take(attempt_of(draft.n, event, how, agent, event.worker, 0.0, started))
        self._leaves_behind(event)

    def _leaves_behind(self, event: ev.AttemptEnded) -> None:
        """What a job shows of an earlier attempt: its error until a later one, its reason until it moves on."""
        draft = self._draft
        later = [row for row in self._rows.values() if row.token > event.token and _weight(row) > BEGUN]
        if all(not row.error_type and row.state != "completed" for row in later):
            take_failure(event, draft)
        if draft.state == RUNNING and not later and not any(at > event.at for at, _ in self._wishes):
            draft.reason = storable(event.reason, MESSAGE)

    def _sent_back(self) -> None:
        """A wish that sent the dead job back gave it more attempts than it had used up then."""
        for at, extra in self._wishes:
            before = [row for row in self._rows.values() if 0.0 < row.ended_at <= at and row.state not in _USE_NONE]
            if before and max(before, key=lambda row: row.ended_at).state == DEAD:
                self._draft.max_attempts = max(self._draft.max_attempts, len(before) + extra)

    def _show_last(self) -> None:
        """A job that no lease holds shows who had it last."""
        draft = self._draft
        last = self._rows.get(max(self._rows, default=0))
        if last is not None and not ranks.token_of(draft.rank) and last.token >= max(draft.token, REMOTE_TOKENS):
            draft.agent, draft.worker, draft.started_at = last.agent or draft.agent, last.worker, last.started_at
            draft.token = 0 if last.ended_at else draft.token

    # --- waits ---

    def _put_waits_right(self) -> None:
        effects = self._effects()
        for row in sorted(self._rows.values(), key=_order):
            if row.state == CLAIMED:
                continue
            bound = row.started_at or _began(row)
            available = max(
                [from_ for when, from_, _ in effects if from_ <= bound and when <= bound] + [row.available_at]
            )
            if available != row.available_at:
                row.available_at = available
                self._fold.attempts[row.job, row.token] = row
            self._measure(row)
        self._wait_of_the_job(effects)

    def _effects(self) -> list[tuple[float, float, float]]:
        """(when, available from, run_at) of all that made the job available, in order."""
        draft = self._draft
        ends = [
            (row.ended_at if row.state in _GOES_ON else row.run_at, row.run_at or row.ended_at, row.run_at)
            for row in self._rows.values()
            if row.ended_at and (row.state in _GOES_ON or row.run_at)
        ]
        base = (draft.created_at, draft.due_at or draft.created_at, draft.due_at)
        return [base, *sorted((*ends, *((at, at, 0.0) for at, _ in self._wishes)))]

    def _measure(self, row: AttemptDraft) -> None:
        before, now = self._measured.get(row.token), Wait.of(row)
        if _weight(row) > BEGUN and row.started_at and now != before:
            self._fold.sums.waited(self._draft, now, before)

    def _wait_of_the_job(self, effects: Sequence[tuple[float, float, float]]) -> None:
        """A job that runs or has ended shows its last wait; one that waits has said so itself."""
        draft = self._draft
        if draft.state == RUNNING or draft.state in ENDED:
            bound = draft.started_at if draft.state != RUNNING or draft.started_at else draft.rank / 8e6
            past = [effect for effect in effects if effect[0] <= (draft.ended_at or bound)]
            if past:
                _, draft.available_at, draft.run_at = past[-1]


def _order(row: AttemptDraft) -> float:
    return row.token if row.token >= REMOTE_TOKENS else row.started_at or row.ended_at


def _began(row: AttemptDraft) -> float:
    return row.token / 1e6 if row.token >= REMOTE_TOKENS else 0.0
