"""Why a waiting job does not run yet: one answer per job, with the mend.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.kernel.clock import iso
from engine.kernel.job import JobState, JobView


class Why(msgspec.Struct, frozen=True):
    """One reason: a word for programs, a sentence and a mend for people."""

    reason: str
    text: str
    mend: str


class Surroundings(msgspec.Struct, frozen=True):
    """What an answer depends on besides the job."""

    now: float
    paused: bool = False
    task_known: bool = True
    #: whether an agent with workers serves the queue
    working: bool = True
    #: running jobs of the queue, and how many may run at once
    running: int = 0
    concurrency: int | None = None
    #: the queue's rate limit in words, if it holds jobs back now
    rate_limited: str = ""
    #: used workers, and all, of the agents that serve the queue
    busy: int = 0
    slots: int = 0
    #: what no agent has of what the job needs, in words
    lacking: str = ""
    #: whether all agents that serve the queue are told to start nothing
    agents_paused: bool = False


def lacking_of(needs: str, offers: Iterable[frozenset[str]]) -> str:
    """Of the capabilities that a job needs, those which the best fitting agent lacks; "" if one has them all."""
    needed = frozenset(needs.split(",")) if needs else frozenset()
    missing = min((needed - offer for offer in offers), key=len, default=needed)
    return ", ".join(sorted(missing))


def why_waiting(job: JobView, around: Surroundings) -> Why | None:
    """The reason that would have to go first; ``None`` for a job that does not wait."""
    if job.state in (JobState.RUNNING, JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD):
        return None
    if job.state == JobState.PENDING:
        return Why("dependency", "It waits for other jobs to end.", "Look at the jobs it depends on.")
    if not around.task_known:
        return Why(
            "no-such-task",
            f"No task {job.task!r} is registered here.",
            "Start Holdfast with the module that declares it (--tasks), or cancel the job.",
        )
    if job.state == JobState.RETRYABLE:
        return Why("backoff", f"It failed and is tried again at {iso(job.run_at)}.", "Retry it now, or wait.")
    if job.state == JobState.SCHEDULED:
        reason = f" ({job.reason})" if job.reason else ""
        return Why("scheduled", f"It starts at {iso(job.run_at)}{reason}.", "Retry it now to start it at once.")
    return _available(job, around)


def _available(job: JobView, around: Surroundings) -> Why:
    if around.paused:
        return Why("paused", f"The queue {job.queue} is paused.", "Resume the queue.")
    if not around.working:
        return Why(
            "no-worker",
            f"No agent that is there takes jobs of the queue {job.queue}.",
            "Start the engine, or an agent for this queue.",
        )
    if around.agents_paused:
        return Why("agents-paused", "All agents that could run it are paused.", "Resume one of them.")
    if around.lacking:
        return Why(
            "capability",
            f"No worker has the capability {around.lacking}.",
            "Start an agent with --capabilities that names all the job needs, or cancel the job.",
        )
    if around.concurrency is not None and around.running >= around.concurrency:
        return Why(
            "concurrency",
            f"{around.running} of {around.concurrency} jobs that the queue {job.queue} allows at once are running.",
            "Wait, or raise the queue's concurrency.",
        )
    if around.rate_limited:
        return Why("rate", f"The queue's rate limit of {around.rate_limited} is used up.", "Wait, or raise the limit.")
    if around.busy >= around.slots:
        return Why("busy", f"All {around.slots} workers are busy.", "Wait, or start with more --workers.")
    return Why("next", "It is next in line.", "Nothing to do.")
