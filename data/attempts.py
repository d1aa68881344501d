"""What the end of an attempt says: which state the job takes, what the attempt was, whether it used one up."""

from __future__ import annotations

from data.drafts import AttemptDraft, Draft
from data.masking import storable
from engine.kernel import events as ev
from engine.kernel.job import TERMINAL, JobState

#: characters of a message and of a traceback that are kept
MESSAGE, TRACEBACK = 2_000, 16_000

AVAILABLE, SCHEDULED, RUNNING = JobState.AVAILABLE.value, JobState.SCHEDULED.value, JobState.RUNNING.value
COMPLETED, DEAD = JobState.COMPLETED.value, JobState.DEAD.value
ENDED = frozenset(state.value for state in TERMINAL)

#: kind of end -> (state of the job, state of the attempt, outcome in ``minutes``)
ENDS: dict[type[ev.Event], tuple[str, str, str]] = {
    ev.JobCompleted: (COMPLETED, "completed", "completed"),
    ev.JobRetryScheduled: (JobState.RETRYABLE.value, "failed", "retried"),
    ev.JobSnoozed: (SCHEDULED, "snoozed", "snoozed"),
    ev.JobReleased: (AVAILABLE, "released", "released"),
    ev.JobRescued: (AVAILABLE, "rescued", "rescued"),
    ev.JobCancelled: (JobState.CANCELLED.value, "cancelled", "cancelled"),
    ev.JobDied: (DEAD, "dead", "dead"),
}
#: ends that use up no attempt
WAIVED = frozenset({"snoozed", "released", "rescued"})
#: state of a claim that is no attempt, as far as is known; nobody is shown it
CLAIMED = "claimed"


def has_run(event: ev.AttemptEnded, how: str, started: float) -> bool:
    """Whether an end is that of an attempt: a claim that was handed back before it began is none."""
    return bool(event.token) and (started > 0 or how not in ("released", "cancelled"))


def attempt_of(
    n: int, event: ev.AttemptEnded, how: str, agent: str, worker: str, available_at: float, started: float
) -> AttemptDraft:
    """The attempt that an end tells of."""
    row = AttemptDraft(
        n, event.token, event.attempt, how, agent, worker, available_at, started, event.at, event.run_at, event.cpu,
        event.memory,
    )  # fmt: skip
    if event.reason:
        row.reason = storable(event.reason, MESSAGE)
    failure = event.failure
    if failure is not None:
        row.error_type, row.fingerprint = failure.type, failure.fingerprint
        row.error_message = storable(failure.message, MESSAGE)
        row.traceback = storable(failure.traceback, TRACEBACK)
    return row


def handed_back(n: int, event: ev.AttemptEnded) -> AttemptDraft:
    """The end of a claim that was no attempt; kept because the job was available again from then on."""
    return AttemptDraft(n, event.token, 0, CLAIMED, "", "", 0.0, 0.0, event.at, event.run_at)


def take_failure(event: ev.AttemptEnded, draft: Draft) -> None:
    """The latest failure is the job's, until it completes."""
    failure = event.failure
    if failure is not None:
        draft.error_type, draft.fingerprint = failure.type, failure.fingerprint
        draft.error_message = storable(failure.message, MESSAGE)
    elif type(event) is ev.JobCompleted:
        draft.error_type = draft.fingerprint = draft.error_message = ""


def progressed(event: ev.JobProgressed, draft: Draft) -> None:
    """How far the job is, by its own word."""
    draft.progress = event.value
    draft.progress_message = storable(event.message, 500)
