"""``/v1/jobs``: make, find, read and move jobs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from console import actions, overlay, reading
from console.actions.jobs import Outcome, require_one
from console.api.answers import actor_of, json, reader_of
from console.api.bodies import ActionBody, BulkBody, RetryBody, body, decode, job_request, schema
from console.context import Console
from console.problems import problem_of
from console.records import as_json, line_as_json
from data import filters
from engine import Handle, JobRequest
from engine.kernel.clock import iso
from engine.kernel.errors import HoldfastError, NotFound, ValidationError

#: jobs on a page at the most
MOST_ON_PAGE = 500

_OF_ONE = {404: {"description": "No such job"}, 409: {"description": "Its state does not allow it"}}
_OF_MAKING = {
    200: {"description": "The job that had this idempotency key or unique key first"},
    422: {"description": "Not valid; `field` says where"},
    507: {"description": "The store is full; see Retry-After"},
}


def router(console: Console) -> APIRouter:
    """Routes for jobs."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    _add_making(routes, console)
    _add_reading(routes, console)
    _add_moving(routes, console)
    return routes


def _add_making(routes: APIRouter, console: Console) -> None:
    most = console.settings.max_payload

    @routes.post("", status_code=202, responses=_OF_MAKING, openapi_extra=schema(JobRequest))
    async def enqueue(request: Request) -> Response:
        """Enqueue one job. The same idempotency key again answers 200 and the first job."""
        wanted = job_request(await request.body(), most)
        made = await asyncio.to_thread(_enqueue, console, actor_of(request), wanted)
        return json(made, 202 if made["new"] else 200, {"Location": f"/v1/jobs/{made['id']}"})

    @routes.post("/bulk", status_code=202, openapi_extra=schema(BulkBody))
    async def enqueue_many(request: Request) -> Response:
        """Enqueue up to 10,000 jobs with one durable commit; for each, in order, the job or a problem."""
        raw = await request.body()
        return json({"jobs": await asyncio.to_thread(_enqueue_many, console, actor_of(request), raw)}, 202)


def _add_reading(routes: APIRouter, console: Console) -> None:
    @routes.get("")
    async def list_jobs(
        request: Request,
        state: str = "",
        queue: str = "",
        task: str = "",
        tenant: str | None = None,
        q: Annotated[str, Query(description="the filter language: state:dead queue:emails error:timeout")] = "",
        since: Annotated[str, Query(description="1h, 30m, 7d, or a time")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_ON_PAGE)] = 50,
        cursor: str | None = None,
    ) -> Response:
        """A page of jobs, newest first."""
        scope = reader_of(request, tenant)
        wanted = filters.build(q, state=state, queue=queue, task=task, since=since)
        page = await asyncio.to_thread(reading.jobs, console, wanted, limit=limit, cursor=cursor or None, tenant=scope)
        lines = [line_as_json(job) for job in page.jobs]
        return json({"jobs": lines, "next_cursor": page.next_cursor, "previous_cursor": page.previous_cursor})

    @routes.get("/{id}", responses={404: _OF_ONE[404]})
    async def get(request: Request, id: str) -> Response:
        """One job with attempts, progress, result, error, timeline and why it waits."""
        return json(await asyncio.to_thread(_read, console, id, reader_of(request)))


def _add_moving(routes: APIRouter, console: Console) -> None:
    @routes.post("/actions", openapi_extra=schema(ActionBody))
    async def act(request: Request) -> Response:
        """Retry, cancel or delete all jobs that match a filter; answers how many."""
        asked = await body(request, ActionBody)
        wanted = asked.filter if isinstance(asked.filter, str) else filters.build(**asked.filter)
        work = (actions.apply_to_matching, console, actor_of(request), asked.action, wanted)
        return json(await asyncio.to_thread(*work, over=checked_span(asked.over)))

    @routes.post("/{id}/retry", responses=_OF_ONE)
    async def retry(request: Request, id: str) -> Response:
        """Send a dead job back, or make a waiting one due."""
        await body(request, RetryBody)
        return json(await asyncio.to_thread(_move, console, request, "retry", id))

    @routes.post("/{id}/cancel", responses=_OF_ONE)
    async def cancel(request: Request, id: str) -> Response:
        """Cancel a waiting job, or ask a running one to stop."""
        return json(await asyncio.to_thread(_move, console, request, "cancel", id))

    @routes.delete("/{id}", status_code=204, responses=_OF_ONE)
    async def delete(request: Request, id: str) -> Response:
        """Remove a job that is not running, and its history."""
        await asyncio.to_thread(_move, console, request, "delete", id)
        return Response(status_code=204)


def checked_span(seconds: float) -> float:
    """A span to spread retries over.  Raises ``ValidationError``."""
    if not 0 <= seconds <= 7 * 86_400:
        raise ValidationError(f"over: expected seconds from 0 to 604800, got {seconds:g}", "over")
    return seconds


def _enqueue(console: Console, actor: actions.Actor, wanted: JobRequest) -> dict[str, Any]:
    return _made(console, actions.enqueue(console, actor, wanted))


def _made(console: Console, handle: Handle) -> dict[str, Any]:
    """What the caller hears of a job that was accepted: where it stands, as the engine has it now."""
    view = console.engine.views([handle.id]).get(handle.id)
    found = {"id": handle.id, "new": handle.new}
    if view is None:
        return found | {"state": handle.state}
    return found | {
        "state": view.state.value,
        "task": view.task,
        "queue": view.queue,
        "tenant": view.tenant,
        "created_at": iso(view.created_at),
        "run_at": iso(view.run_at),
        "idempotency_key": overlay.plain_key(view.idempotency_key, view.tenant) or None,
    }


def _enqueue_many(console: Console, actor: actions.Actor, raw: bytes) -> list[dict[str, Any]]:
    items = decode(raw, BulkBody).jobs
    if len(items) > console.settings.max_batch:
        raise ValidationError(f"jobs: expected at most {console.settings.max_batch:,}, got {len(items):,}", "jobs")
    read = [_request_or_error(item, console.settings.max_payload) for item in items]
    wanted = [item for item in read if isinstance(item, JobRequest)]
    answers = iter(actions.enqueue_many(console, actor, wanted))
    outcome = [next(answers) if isinstance(item, JobRequest) else item for item in read]
    return [_line(item) for item in outcome]


def _request_or_error(raw: Any, most: int) -> JobRequest | HoldfastError:
    try:
        return job_request(raw, most)
    except ValidationError as error:
        return error


def _line(item: Handle | HoldfastError) -> dict[str, Any]:
    if isinstance(item, HoldfastError):
        return {"problem": problem_of(item)}
    return {"id": item.id, "new": item.new}


def _read(console: Console, id: str, tenant: str | None) -> dict[str, Any]:
    found = reading.job(console, id, tenant=tenant)
    if found is None:
        raise NotFound(f"there is no job {id:.60}")
    return as_json(found)


def _move(console: Console, request: Request, action: str, id: str) -> dict[str, Any] | None:
    """One action on one job; answers the job as it is then."""
    actor = actor_of(request)
    work = {"retry": actions.retry, "cancel": actions.cancel, "delete": actions.delete}[action]
    outcome: Outcome = work(console, actor, [id])
    require_one(console, actor, id, outcome, {"retry": "retried", "cancel": "cancelled", "delete": "deleted"}[action])
    return None if action == "delete" else _read(console, id, actor.tenant)
