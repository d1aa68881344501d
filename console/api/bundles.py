"""``/v1/airgap/bundles``, ``/identity``, ``/trust``: files between homes that never meet on a network.

``POST /v1/airgap/bundles`` has two forms: JSON asks for a bundle and is answered with the file; a file is taken in and
answered with what came of it.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from airgap.bundles import BundleRecord, BundleView, Taken, Trusted, Wanted
from console.actions import bundles
from console.actions.actor import Actor, authorise
from console.api.answers import actor_of, json
from console.api.bodies import body
from console.context import Console
from engine.kernel.clock import iso
from engine.kernel.errors import StoreFull, ValidationError
from engine.kernel.job import JobState
from engine.storage.carrying import CARRIABLE

MEDIA_TYPE = "application/vnd.holdfast.bundle"
#: media types of a file that is sent
FILES = (MEDIA_TYPE, "application/octet-stream")

_OF_ONE = {404: {"description": "No such bundle"}}
_POST = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "description": "ask for a bundle; answered with the file"}
            },
            MEDIA_TYPE: {"schema": {"type": "string", "format": "binary", "description": "a bundle to take in"}},
        },
    }
}


class ExportBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which bundle is wanted."""

    #: names of trusted homes; one, for results
    to: list[str]
    #: jobs or results
    kind: str = "jobs"
    queues: list[str] = []
    #: available, scheduled, retryable; all of them if left out
    states: list[str] = []
    limit: int | None = None


class TrustBody(msgspec.Struct, forbid_unknown_fields=True):
    """A home to be trusted."""

    card: str
    #: what it is called here; its own name if left out
    name: str = ""


def router(console: Console) -> APIRouter:
    """Routes for bundles and trust."""
    routes = APIRouter(prefix="/v1/airgap", tags=["bundles"])

    @routes.get("/bundles")
    async def list_all(request: Request) -> Response:
        """All bundles that were made or taken in, newest first."""
        found = await asyncio.to_thread(bundles.list_bundles, console, actor_of(request))
        return json({"bundles": [bundle_as_json(view) for view in found]})

    @routes.post("/bundles", openapi_extra=_POST)
    async def make_or_take(request: Request, dry_run: bool = False) -> Response:
        """With JSON: make a bundle and answer its file. With a file: take it in (`dry_run`: only look into it)."""
        if request.headers.get("content-type", "").partition(";")[0].strip() in FILES:
            taken = await _received(console, request, dry_run)
            return json(taken_as_json(console, taken), 200 if dry_run else 201)
        asked = await body(request, ExportBody)
        return _file(*await asyncio.to_thread(_made, console, actor_of(request), asked), 201)

    @routes.get("/bundles/{id}/file", responses=_OF_ONE)
    async def file(request: Request, id: str) -> Response:
        """The file of a bundle once more, as long as it is needed."""
        return _file(*await asyncio.to_thread(bundles.file_of, console, actor_of(request), id))

    @routes.post("/bundles/{id}/release", responses=_OF_ONE)
    async def release(request: Request, id: str) -> Response:
        """Expect nothing more of it: jobs that are away go on here; results of jobs that came are owed no more."""
        count = await asyncio.to_thread(bundles.release_bundle, console, actor_of(request), id)
        return json({"id": id, "released": count})

    @routes.get("/identity")
    async def identity(request: Request) -> Response:
        """The public card of this home, to be trusted by others."""
        card = await asyncio.to_thread(bundles.identity, console, actor_of(request))
        return json({"name": card.name, "card": card.line(), "fingerprint": card.fingerprint})

    @routes.get("/trust")
    async def trusted(request: Request) -> Response:
        """The homes whose bundles are taken in, and to which bundles may be sealed."""
        found = await asyncio.to_thread(bundles.list_trusted, console, actor_of(request))
        return json({"trusted": [trusted_as_json(one) for one in found]})

    @routes.post("/trust")
    async def trust(request: Request) -> Response:
        """Trust the home whose card this is; compare its fingerprint with what that home shows."""
        asked = await body(request, TrustBody)
        made = await asyncio.to_thread(bundles.trust, console, actor_of(request), asked.card, asked.name)
        return json(trusted_as_json(made), 201)

    @routes.delete("/trust/{name}", status_code=204)
    async def distrust(request: Request, name: str) -> Response:
        """Trust a home no more; bundles that it made are refused from now on."""
        await asyncio.to_thread(bundles.distrust, console, actor_of(request), name)
        return Response(status_code=204)

    return routes


def bundle_as_json(view: BundleView) -> dict[str, Any]:
    """A bundle as the API tells it."""
    return msgspec.structs.asdict(view) | {"at": iso(view.at)}


def trusted_as_json(trusted: Trusted) -> dict[str, Any]:
    """A trusted home as the API tells it."""
    known = msgspec.structs.asdict(trusted) | {"at": iso(trusted.at)}
    return known | {"fingerprint": trusted.keys.fingerprint}


def taken_as_json(console: Console, taken: Taken) -> dict[str, Any]:
    """What came of a bundle; names the tasks that are missing here."""
    missing = [task for task in taken.tasks if console.engine.registry.find(task) is None]
    return msgspec.structs.asdict(taken) | {"unknown_tasks": missing}


def _made(console: Console, actor: Actor, asked: ExportBody) -> tuple[BundleRecord, Path]:
    record = _record(console, actor, asked)
    return record, bundles.desk_of(console).path(record.id)


def _record(console: Console, actor: Actor, asked: ExportBody) -> BundleRecord:
    if asked.kind == "jobs":
        return bundles.make_jobs(
            console, actor, asked.to, Wanted(tuple(asked.queues), _states(asked.states), asked.limit)
        )
    if asked.kind != "results":
        raise ValidationError(f"kind: expected jobs or results, got {asked.kind!r:.40}", "kind")
    if len(asked.to) != 1:
        raise ValidationError("to: results go to one home", "to")
    return bundles.make_results(console, actor, asked.to[0], asked.limit)


def _states(names: list[str]) -> tuple[JobState, ...]:
    known = {str(state): state for state in CARRIABLE}
    for name in names:
        if name not in known:
            raise ValidationError(f"states: expected some of {', '.join(known)}, got {name!r:.40}", "states")
    return tuple(known[name] for name in names)


def _file(record: BundleRecord, path: Path, status: int = 200) -> Response:
    told = {"X-Holdfast-Bundle": record.id, "X-Holdfast-Kind": record.kind, "X-Holdfast-Jobs": str(record.jobs)}
    return FileResponse(path, status, told, MEDIA_TYPE, filename=path.name)


async def _received(console: Console, request: Request, dry_run: bool) -> Taken:
    """Write the body to a file as it comes, then take that in."""
    actor = actor_of(request)
    authorise(actor, "bundle.take")
    folder = await asyncio.to_thread(lambda: bundles.desk_of(console).folder)
    path = folder / f"incoming-{secrets.token_hex(8)}.part"
    try:
        with path.open("xb") as file:
            async for piece in request.stream():
                await asyncio.to_thread(file.write, piece)
        return await asyncio.to_thread(_taken, console, actor, path, dry_run)
    except OSError as error:
        raise StoreFull(
            f"the bundle cannot be written to {folder} ({error.strerror}); free space on its disk"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def _taken(console: Console, actor: Actor, path: Path, dry_run: bool) -> Taken:
    with path.open("rb") as file:
        return bundles.take(console, actor, file, dry_run=dry_run)
