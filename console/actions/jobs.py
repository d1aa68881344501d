"""Making, retrying, cancelling and deleting jobs.

An actor of a tenant makes jobs for that tenant only, and an id of another tenant's job is to it as if there were none.
Nothing is changed unless the actor may; what was changed stands in the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from console import mistakes, reading
from console.actions.actor import Actor, Forbidden, authorise
from console.actions.masked import unmask
from console.context import Console
from console.overlay import UNRECORDED
from engine import JobRequest
from engine.kernel.errors import Conflict, HoldfastError, NotFound
from engine.kernel.job import TERMINAL

if TYPE_CHECKING:
    from engine import Handle


class Outcome(msgspec.Struct, frozen=True):
    """What became of an action on several jobs."""

    #: jobs that were meant
    matched: int
    #: jobs that moved, or were asked to stop
    done: int
    #: jobs whose state did not allow it, or that are gone
    unchanged: int

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.matched + other.matched, self.done + other.done, self.unchanged + other.unchanged)


NOTHING = Outcome(0, 0, 0)


def enqueue(console: Console, actor: Actor, request: JobRequest) -> Handle:
    """Accept one job.  Raises ``ValidationError``, ``UnknownTask``, ``StoreFull``, ``Stopped``, ``Forbidden``."""
    answer = enqueue_many(console, actor, [request])[0]
    if isinstance(answer, HoldfastError):
        raise answer
    return answer


def enqueue_many(console: Console, actor: Actor, requests: Sequence[JobRequest]) -> list[Handle | HoldfastError]:
    """Accept jobs with one durable commit; each item, in order, is the job or why it was refused."""
    authorise(actor, "job.enqueue")
    allowed = [_for_tenant(actor, request) for request in requests]
    good = [request for request in allowed if isinstance(request, JobRequest)]
    answers = iter(console.engine.submit(good) if good else ())
    outcome = [next(answers) if isinstance(item, JobRequest) else item for item in allowed]
    made = [(item.id, request.task) for item, request in zip(outcome, requests, strict=True) if _is_new(item)]
    if made:
        console.trail.note_enqueued(actor, made)
    return outcome


def retry(console: Console, actor: Actor, ids: Iterable[str], *, over: float = 0.0) -> Outcome:
    """Send dead jobs back and make waiting ones due, spread over ``over`` seconds."""
    meant = _within(console, actor, "job.retry", ids)
    moved = console.engine.retry(meant, by=actor.name, over=over)
    return _told(console, actor, "job.retry", meant, moved)


def cancel(console: Console, actor: Actor, ids: Iterable[str]) -> Outcome:
    """Cancel waiting jobs and ask running ones to stop."""
    meant = _within(console, actor, "job.cancel", ids)
    found = console.engine.cancel(meant, by=actor.name)
    return _told(console, actor, "job.cancel", meant, {id for id, state in found.items() if state not in TERMINAL})


def delete(console: Console, actor: Actor, ids: Iterable[str]) -> Outcome:
    """Remove jobs that are not running, and their history."""
    meant = _within(console, actor, "job.delete", ids)
    known = reading.tenants(console, meant)
    removed = console.engine.delete([id for id in meant if id in known], by=actor.name)
    console.forgotten.add(removed)
    return _told(console, actor, "job.delete", meant, removed)


def run_again(console: Console, actor: Actor, id: str, edits: Mapping[str, Any] | None = None) -> Handle:
    """Enqueue a new job like ``id``, with ``edits`` to the fields of ``JobRequest``.

    Arguments that history has masked are filled in from the live job; where it is gone, ``Conflict`` asks for them.  A job
    that ended a moment ago may be known by its end only, which is a ``Conflict`` too.
    """
    authorise(actor, "job.enqueue")
    seen = reading.job(console, id, tenant=actor.tenant)
    if seen is None:
        raise NotFound(f"there is no job {id}")
    if seen.note == UNRECORDED:
        raise Conflict(f"job {id}: {UNRECORDED}; try again in a moment")
    view = console.engine.views([id]).get(id)
    wanted = dict(edits or {})
    wanted["args"] = unmask(wanted.get("args", seen.args), view)
    base = {
        "task": seen.task,
        "queue": seen.queue,
        "priority": seen.priority,
        "tenant": seen.tenant,
        "timeout": seen.timeout or None,
        "max_attempts": seen.max_attempts,
        "correlation_id": seen.correlation_id or None,
        "metadata": seen.metadata,
    }
    return enqueue(console, actor, _request(base | wanted))


def _request(fields: Mapping[str, Any]) -> JobRequest:
    try:
        return msgspec.convert(fields, JobRequest)
    except msgspec.ValidationError as error:
        raise mistakes.of(str(error)) from None


def run_sample(console: Console, actor: Actor) -> Handle:
    """Enqueue the sample job that ships with the catalog."""
    if console.facts.sample is None:
        raise NotFound("this installation has no sample job")
    return enqueue(console, actor, console.facts.sample())


def _for_tenant(actor: Actor, request: JobRequest) -> JobRequest | HoldfastError:
    """The request with the actor's tenant filled in, or why another tenant's name is refused."""
    if actor.tenant is None or request.tenant == actor.tenant:
        return request
    if request.tenant:
        return Forbidden(f"{actor.name} belongs to tenant {actor.tenant} and cannot make jobs for another")
    return msgspec.structs.replace(request, tenant=actor.tenant)


def _is_new(item: Handle | HoldfastError) -> bool:
    return not isinstance(item, HoldfastError) and item.new


def _within(console: Console, actor: Actor, action: str, ids: Iterable[str]) -> list[str]:
    """The ids among ``ids`` that ``actor`` may know of."""
    authorise(actor, action)
    asked = list(dict.fromkeys(ids))
    if actor.tenant is None:
        return asked
    owners = reading.tenants(console, asked)
    return [id for id in asked if owners.get(id) == actor.tenant]


def _told(console: Console, actor: Actor, action: str, meant: Sequence[str], moved: Iterable[str]) -> Outcome:
    done = sorted(set(moved))
    if done:
        target = done[0] if len(done) == 1 else f"{len(done)} jobs"
        console.trail.write(actor, action, target, {"ids": ",".join(done[:20])})
    return Outcome(len(meant), len(done), len(meant) - len(done))


def require_one(console: Console, actor: Actor, id: str, outcome: Outcome, verb: str) -> None:
    """Turn "nothing moved" on a single job into ``NotFound`` or ``Conflict``."""
    if outcome.done:
        return
    seen = reading.job(console, id, tenant=actor.tenant)
    if seen is None:
        raise NotFound(f"there is no job {id}")
    raise Conflict(f"the job is {seen.state} and cannot be {verb}")
