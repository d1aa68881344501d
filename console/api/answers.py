"""Writing answers: JSON by msgspec, and who is asking."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from console.actions.actor import Actor, Forbidden, authorise


def actor_of(request: Request) -> Actor:
    """Who asks; the doorkeeper has put it there."""
    actor: Actor = request.state.actor
    return actor


def reader_of(request: Request, tenant: str | None = None) -> str | None:
    """The tenant to read for: the actor's own, or for an actor of all tenants the one asked for."""
    actor = actor_of(request)
    authorise(actor, "read")
    if actor.tenant is not None and tenant not in (None, actor.tenant):
        raise Forbidden(f"{actor.name} belongs to tenant {actor.tenant} and sees no other")
    return actor.tenant if actor.tenant is not None else tenant


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as JSON."""
    return Response(msgspec.json.encode(value), status, dict(headers or {}), "application/json")


def table(
    request: Request, value: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> Response:
    """``value`` as JSON, or ``rows`` as CSV if that is what the client accepts."""
    if "text/csv" not in request.headers.get("accept", ""):
        return json(value)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return Response(text.getvalue(), media_type="text/csv", headers={"Content-Disposition": "attachment"})


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, list | tuple):
        value = " ".join(str(item) for item in value)
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value
