"""Reading what a program sent: JSON, its limits, and errors that name the field.

The decoder is strict about types and refuses what JSON does not have (NaN, Infinity, cut-off text); then ``check_values`` looks
at depth and at numbers that the rest of the world cannot read.  Nothing of the sent values is repeated in an error.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from console import mistakes
from engine import JobRequest
from engine.kernel.errors import ValidationError

#: arrays and objects inside each other
DEPTH = 32
#: whole numbers beyond 64 bits get lost in most databases and languages
LEAST, MOST = -(2**63), 2**64 - 1

T = TypeVar("T")


class RetryBody(msgspec.Struct, forbid_unknown_fields=True):
    """How to retry; the body may be left out."""

    #: seconds to spread several jobs over
    over: float = 0.0


class BulkBody(msgspec.Struct, forbid_unknown_fields=True):
    """Several jobs; each is checked alone, so that one wrong one does not stop the others."""

    jobs: list[msgspec.Raw]


class ActionBody(msgspec.Struct, forbid_unknown_fields=True):
    """An action on all jobs that match."""

    action: str
    #: the filter language, or its words as an object: ``{"state": "dead", "queue": "emails"}``
    filter: str | dict[str, str]
    #: seconds to spread retries over
    over: float = 0.0


class LimitsBody(msgspec.Struct, forbid_unknown_fields=True):
    """New limits of a queue; what is left out stays."""

    concurrency: int | msgspec.UnsetType | None = msgspec.UNSET
    rate_limit: str | msgspec.UnsetType | None = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET


class _Strict(JobRequest, forbid_unknown_fields=True):
    """A job request with no names but those it has."""


def decode(raw: bytes | msgspec.Raw, form: type[T]) -> T:
    """``raw`` as ``form``.  Raises ``ValidationError`` naming the field."""
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.ValidationError as error:
        raise mistakes.of(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValidationError(f"the body is no JSON: {error}", "") from None
    except RecursionError:
        raise ValidationError(f"the body may nest {DEPTH} levels deep", "") from None


def job_request(raw: bytes | msgspec.Raw, most: int) -> JobRequest:
    """One job as it was sent; ``most`` bytes at the utmost.  Raises ``ValidationError``."""
    if len(bytes(raw)) > most:
        raise ValidationError(f"a job may have {most:,} bytes, got {len(bytes(raw)):,}", "args")
    request = decode(raw, _Strict)
    check_values(request.args, "args", 1)
    check_values(request.metadata, "metadata", 1)
    return request


def check_values(value: Any, path: str, depth: int) -> None:
    """Refuse deep nesting and numbers beyond 64 bits, anywhere in a JSON value."""
    if isinstance(value, dict | list):
        if depth > DEPTH:
            raise ValidationError(f"{path}: may nest {DEPTH} levels deep", path)
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(item, dict | list):
                check_values(item, f"{path}.{key:.60}" if isinstance(key, str) else f"{path}[{key}]", depth + 1)
            elif isinstance(item, int) and not LEAST <= item <= MOST:
                place = f"{path}.{key:.60}" if isinstance(key, str) else f"{path}[{key}]"
                raise ValidationError(f"{place}: expected a number of 64 bits, got one of {item.bit_length()}", place)


async def body(request: Request, form: type[T]) -> T:
    """The request's body as ``form``; without a body, ``form``'s defaults."""
    raw = await request.body()
    return decode(raw or b"{}", form)


def schema(form: type) -> dict[str, Any]:
    """For the documentation: the JSON schema of a body."""
    described = msgspec.json.schema(form)
    name = described.get("$ref", "").rpartition("/")[2]
    inner = described.get("$defs", {}).get(name, described)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inner}}}}
