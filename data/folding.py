"""Folds a batch of events into rows of history: one draft per job, one per attempt, sums per minute.

Pure memory: knows neither database nor log.  ``known`` holds the drafts of jobs that earlier batches recorded.  Applying
the same events to the same drafts gives the same rows, so a batch that was not committed is simply folded again.

Events of one job may come by several roads, in any order between them (``data.ranks``).  What is out of date changes no
state; it is set aside in ``late`` and woven into the attempts afterwards (``data.tangles``).  Events of jobs that history
does not know yet are counted, and in a fleet kept in ``parked`` until the job's own beginning arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from data import ranks
from data.attempts import (
    AVAILABLE,
    DEAD,
    ENDED,
    ENDS,
    MESSAGE,
    RUNNING,
    SCHEDULED,
    WAIVED,
    attempt_of,
    handed_back,
    has_run,
    progressed,
    take_failure,
)
from data.batches import Batch
from data.drafts import AttemptDraft, Draft
from data.masking import storable
from data.payloads import open_payload, result_json
from engine.kernel import events as ev
from engine.storage.lanes import REMOTE_TOKENS

#: characters of a log line that are kept
LINE = 2_000


class BatchFold(Batch):
    """Folds events into the rows of a batch."""

    def apply(self, events: Sequence[ev.Event], *, direct: bool = False, stale: Collection[str] = ()) -> None:
        """Fold events in, in their order.  ``direct`` ones are moves of Redis itself; ``stale`` names jobs whose ends
        here came too late."""
        self._direct, self._stale = direct, stale
        for event in events:
            applier = APPLIERS.get(type(event))
            if applier is not None:
                applier(self, event)
        if events:
            self.at = max(self.at, getattr(events[-1], "at", 0.0))

    # --- one method for each kind of event ---

    def _enqueued(self, event: ev.JobEnqueued) -> None:
        if event.id in self.drafts:
            return
        waits = event.run_at > event.at
        draft = Draft(
            self._next_n, event.id, event.queue, event.task, event.tenant, event.at, event.run_at if waits else 0.0,
            SCHEDULED if waits else AVAILABLE, event.run_at if waits else event.at, event.run_at, event.max_attempts,
            priority=event.priority, expires_at=event.expires_at, timeout=event.timeout,
            idempotency_key=event.idempotency_key, unique_key=event.unique, needs=event.needs,
        )  # fmt: skip
        opened = open_payload(event.payload)
        draft.args, draft.metadata, draft.correlation_id, draft.masked, draft.note = opened
        self._next_n += 1
        self.drafts[event.id] = draft
        self.sums.minute(event.at, draft, "enqueued").n += 1
        if self._parks:
            self._unpark(event.id)

    def _unpark(self, id: str) -> None:
        """What came before the job is folded in behind it."""
        kept = self._waiting.get(id, ())
        if kept:
            self.arrived.append(id)
        direct, stale = self._direct, self._stale
        for parked in (*kept, *self.parked.pop(id, ())):
            self.apply((parked.event,), direct=parked.direct, stale=(id,) if parked.stale else ())
        self._direct, self._stale = direct, stale

    def _claimed(self, event: ev.JobsClaimed) -> None:
        rank = ranks.of_lease(event.token, event.at, ranks.CLAIMED, self._direct)
        for id in event.ids:
            draft = self.drafts.get(id)
            if draft is None:
                self._unheard(id, ev.JobsClaimed(event.at, event.token, event.agent, [id]))
                continue
            self.changed[id] = draft
            if draft.state in ENDED and event.token < REMOTE_TOKENS:
                continue
            if self._news(draft, rank):
                self._enter(draft, event.token)
                self._becomes(draft, RUNNING)
                draft.agent = event.agent
            elif event.token >= REMOTE_TOKENS:
                self._claimed_late(draft, event, rank)
        self.fleet.seen(event.agent, event.at)

    def _claimed_late(self, draft: Draft, event: ev.JobsClaimed, rank: int) -> None:
        if ranks.token_of(draft.rank) != event.token or not draft.agent:
            self._set_aside(draft, event, rank)
        if ranks.token_of(draft.rank) == event.token and not draft.agent:
            draft.agent = event.agent

    def _started(self, event: ev.JobStarted) -> None:
        draft = self._touched(event.id, event)
        if draft is None:
            return
        rank = ranks.of_lease(event.token, event.at, ranks.STARTED, self._direct)
        if not self._news(draft, rank):
            return self._started_late(draft, event, rank)
        if draft.token != event.token:
            self._enter(draft, event.token)
        self._becomes(draft, RUNNING)
        agent = event.worker.partition("/")[0] or draft.agent
        draft.started_at, draft.worker, draft.agent = event.at, event.worker, agent
        draft.progress, draft.progress_message = None, ""
        self.attempts[draft.n, event.token] = AttemptDraft(
            draft.n, event.token, event.attempt, RUNNING, agent, event.worker, draft.available_at, event.at
        )

    def _started_late(self, draft: Draft, event: ev.JobStarted, rank: int) -> None:
        self._set_aside(draft, event, rank)
        if ranks.token_of(draft.rank) == event.token:
            draft.started_at = draft.started_at or event.at
            draft.worker = draft.worker or event.worker
            draft.agent = draft.agent or event.worker.partition("/")[0]

    def _ended(self, event: ev.AttemptEnded) -> None:
        draft, token = self._touched(event.id, event), event.token
        if draft is None:
            return
        state, how, outcome = ENDS[type(event)]
        stage = ranks.ENDED
        if self._direct:
            stage = ranks.SETTLED if state in ENDED else ranks.GIVEN_BACK
        rank = ranks.of_lease(token, event.at, stage, self._direct)
        if rank == draft.rank and ranks.token_of(rank):
            return
        contested = ranks.is_contested(draft.rank, token)
        news = event.id not in self._stale and self._news(draft, rank)
        if not news or contested:
            self._set_aside(draft, event, rank)
            if not news:
                return
        if token and draft.token != token and not contested:
            self._enter(draft, token)
        started = event.started_at or draft.started_at if token else 0.0
        if event.worker:
            draft.worker, draft.agent = event.worker, event.worker.partition("/")[0]
        self._ends(draft, event, state, started)
        if not contested:
            self._attempt_ends(draft, event, how, outcome, started)
        if draft.state not in ENDED:
            draft.run_at = event.run_at
            draft.available_at = event.run_at or event.at

    def _attempt_ends(self, draft: Draft, event: ev.AttemptEnded, how: str, outcome: str, started: float) -> None:
        if has_run(event, how, started):
            agent, worker = draft.agent, event.worker or draft.worker
            row = attempt_of(draft.n, event, how, agent, worker, draft.available_at, started)
            self.attempts[draft.n, event.token] = row
            draft.attempt += how not in WAIVED
            draft.rescues += type(event) is ev.JobRescued
        elif event.token >= REMOTE_TOKENS:
            self.attempts[draft.n, event.token] = handed_back(draft.n, event)
        self.sums.ended(event, draft, outcome, started)
        if event.worker:
            self.fleet.worked(event, draft.agent)

    def _ends(self, draft: Draft, event: ev.AttemptEnded, state: str, started: float) -> None:
        self._becomes(draft, state)
        draft.cancelling = False
        if event.token:
            draft.token = 0
        if started:
            draft.started_at = started
        if state in ENDED:
            draft.ended_at = event.at
        draft.reason = storable(event.reason, MESSAGE) if event.reason else ""
        if event.failure is not None or draft.error_type:
            take_failure(event, draft)
        if event.result is not None:
            draft.result, masked = result_json(event.result)
            draft.masked = draft.masked or masked

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        draft = self._touched(event.id, event)
        if draft is None:
            return
        fresh = draft.state not in ENDED and event.at >= draft.available_at
        if not self._direct or (fresh and ranks.timed(event.at, True) >= draft.rank):
            draft.cancelling = True
        self.moments.append((draft.n, event.at, "cancel_requested", storable(event.by, 200), 0))

    def _retried(self, event: ev.JobRetried) -> None:
        draft = self._touched(event.id, event)
        if draft is None or (draft.state == RUNNING and not self._direct):
            return
        self.moments.append((draft.n, event.at, "retried", storable(event.by, 200), event.extra))
        rank = ranks.timed(event.at, self._direct)
        if not self._news(draft, rank):
            return self._set_aside(draft, event, rank)
        if draft.state == DEAD:
            draft.max_attempts = max(draft.max_attempts, draft.attempt + event.extra)
            draft.expires_at = 0.0
        later = event.run_at > event.at
        self._becomes(draft, SCHEDULED if later else AVAILABLE)
        draft.run_at = event.run_at if later else 0.0
        draft.available_at = event.run_at if later else event.at
        draft.cancelling = False
        draft.reason = ""

    def _deleted(self, event: ev.JobDeleted) -> None:
        draft = self._touched(event.id, event)
        if draft is None:
            return
        del self.drafts[event.id]
        self.changed.pop(event.id, None)
        self.late.pop(event.id, None)
        self.deleted.append(draft.n)

    def _progressed(self, event: ev.JobProgressed) -> None:
        draft = self._touched(event.id, event)
        if draft is None:
            return
        if event.token >= REMOTE_TOKENS:
            rank = ranks.leased(event.token, ranks.STARTED)
            if not self._news(draft, rank):
                return self._progressed_late(draft, event, rank)
            if draft.token != event.token:
                self._enter(draft, event.token)
            self._becomes(draft, RUNNING)
        elif draft.state in ENDED:
            return
        progressed(event, draft)

    def _progressed_late(self, draft: Draft, event: ev.JobProgressed, rank: int) -> None:
        lease = ranks.token_of(draft.rank)
        if lease == event.token:
            progressed(event, draft)
        elif not lease:
            self._set_aside(draft, event, rank)

    def _logged(self, event: ev.JobLogged) -> None:
        draft = self._known(event.id, event)
        if draft is None:
            return
        for at, level, text in event.lines:
            self.logs.append((draft.n, event.attempt, at, level[:20], storable(text, LINE)))

    def _output(self, event: ev.JobOutput) -> None:
        draft = self._known(event.id, event)
        if draft is None:
            return
        key = draft.n, event.name[:200]
        if key not in self.outputs or self.outputs[key][1] <= event.at:
            value, _ = result_json(event.value)
            self.outputs[key] = (event.attempt, event.at, value or "null")


#: plain functions: bound methods held by the fold would tie it to itself, and its jobs would outlive it
APPLIERS: dict[type[ev.Event], Callable[[BatchFold, Any], None]] = {
    ev.JobEnqueued: BatchFold._enqueued,
    ev.JobsClaimed: BatchFold._claimed,
    ev.JobStarted: BatchFold._started,
    ev.CancelRequested: BatchFold._cancel_requested,
    ev.JobRetried: BatchFold._retried,
    ev.JobDeleted: BatchFold._deleted,
    ev.JobProgressed: BatchFold._progressed,
    ev.JobLogged: BatchFold._logged,
    ev.JobOutput: BatchFold._output,
    ev.QueuePaused: lambda fold, event: fold.fleet.paused(event),
    ev.QueueResumed: lambda fold, event: fold.fleet.paused(event),
    ev.AgentStarted: lambda fold, event: fold.fleet.started(event),
    ev.AgentStopped: lambda fold, event: fold.fleet.stopped(event),
    ev.LinkChanged: lambda fold, event: fold.link.changed(event),
    ev.ConflictFound: lambda fold, event: fold.link.found(event),
    ev.ConflictResolved: lambda fold, event: fold.link.resolved(event),
    ev.ResyncProved: lambda fold, event: fold.link.proved(event),
    **dict.fromkeys(ENDS, BatchFold._ended),
}
