"""Errors as RFC 9457 problem documents: what a program gets instead of what it asked for.

``problem_of`` is the one table from errors to status codes.  A document never holds a traceback or a secret; what was not
foreseen is logged here and told as a plain 500 with an id to look for in the log.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.actions.actor import Forbidden
from console.auth import SignedOut
from console.brake import TooManyFailures
from engine.kernel import errors

log = logging.getLogger("holdfast.console")

MEDIA_TYPE = "application/problem+json"

#: error -> (status, title)
_TABLE: dict[type[Exception], tuple[int, str]] = {
    errors.ValidationError: (422, "Not valid"),
    errors.UnknownTask: (422, "No such task"),
    errors.DeclarationError: (422, "Not valid"),
    errors.NotFound: (404, "Not found"),
    errors.Conflict: (409, "Conflict"),
    errors.StoreFull: (507, "The store is full"),
    errors.Stopped: (503, "Stopping"),
    errors.Unreachable: (503, "Redis cannot be reached"),
    Forbidden: (403, "Not allowed"),
    SignedOut: (401, "Not signed in"),
    TooManyFailures: (429, "Too many failures"),
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document; ``field`` names what was wrong in the request."""

    type: str
    title: str
    status: int
    detail: str = ""
    field: str = ""
    #: seconds after which it may work
    retry_after: float | None = None
    #: ids to find it by in the log
    instance: str = ""


def problem(
    status: int, detail: str = "", *, title: str = "", field: str = "", retry_after: float | None = None
) -> Problem:
    """A document for a status code."""
    return Problem("about:blank", title or HTTPStatus(status).phrase, status, detail, field, retry_after)


def problem_of(error: Exception) -> Problem:
    """The document for an error."""
    for kind in type(error).__mro__:
        if kind in _TABLE:
            status, title = _TABLE[kind]
            field = getattr(error, "field", "") or ("task" if isinstance(error, errors.UnknownTask) else "")
            return problem(
                status, str(error), title=title, field=field, retry_after=getattr(error, "retry_after", None)
            )
    if isinstance(error, HTTPException):
        detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
        return problem(error.status_code, detail)
    if isinstance(error, RequestValidationError):
        return _of_parameters(error)
    return _unforeseen(error)


def _of_parameters(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return problem(422, f"{field}: {first['msg']}", title="Not valid", field=field)


def _unforeseen(error: Exception) -> Problem:
    mark = secrets.token_hex(6)
    log.error("request failed unexpectedly [%s]", mark, exc_info=error)
    text = f"this should not have happened; the log tells more under {mark}"
    return msgspec.structs.replace(problem(500, text), instance=f"urn:holdfast:log:{mark}")


def respond(document: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The document as a response."""
    extra = dict(headers or {})
    if document.retry_after is not None:
        extra["Retry-After"] = str(max(1, round(document.retry_after)))
    if document.status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    return Response(msgspec.json.encode(document), document.status, extra, MEDIA_TYPE)


def install(app: Any) -> None:
    """Answer every error of ``app`` with a problem document."""

    async def answer(_: Request, error: Exception) -> Response:
        return respond(problem_of(error), getattr(error, "headers", None))

    for kind in (errors.HoldfastError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)
