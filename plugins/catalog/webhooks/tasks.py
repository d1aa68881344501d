"""The task ``webhooks.deliver``: check the request, sign it, send it once, read what the answer means.

The job's id is the ``webhook-id`` of every attempt, so that a receiver can tell a repetition.  Secrets are named in the
arguments and looked up here; neither they nor the query of an address (which often holds a token) get into a result, an
error or a log line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from engine import Context, Discard
from plugins.services import Services

AGENT = "Holdfast-Webhooks/1"
LONGEST_URL = 4_000
#: headers that the exchange itself sets
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect", "trailer"})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]{0,4000}\Z")


def tasks(services: Services) -> Mapping[str, Callable[..., Any]]:
    """The plugin's functions by task name."""

    def deliver(
        ctx: Context,
        url: str,
        body: Any = None,
        event: str = "",
        secret_name: str | None = None,
        headers: dict[str, str] = {},  # noqa: B006 - never changed
        method: Literal["POST", "PUT", "PATCH"] = "POST",
    ) -> dict[str, Any]:
        """Send ``body`` (text as it is, anything else as JSON) to ``url``, signed with the secret of that name.

        Without ``secret_name`` the secret ``default`` signs, if there is one.  The result holds status, body (cut),
        truncated, content_type, webhook_id, signed and seconds.
        """
        from plugins.catalog.webhooks.delivery import Delivery  # brings the HTTP client, which the start can do without

        content, kind = encoded(body)
        own = {"content-type": kind, "user-agent": AGENT, **({"webhook-event": event} if event else {})}
        given = checked_headers({**own, **{name.lower(): value for name, value in headers.items()}})
        return Delivery(services, ctx, method, url, secret_name).send(content, given)

    return {"webhooks.deliver": deliver}


def encoded(body: Any) -> tuple[bytes, str]:
    """The bytes to send and their type."""
    if isinstance(body, str):
        return body.encode(errors="replace"), "text/plain; charset=utf-8"
    return (msgspec.json.encode(body) if body is not None else b""), "application/json"


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, unless one is ours to set or could break the request; the message never holds a value."""
    for name, value in headers.items():
        if not _NAME.match(name):
            raise Discard(f"headers: {name!r:.60} is no name of a header")
        if name in OURS or (name.startswith("webhook-") and name != "webhook-event"):
            raise Discard(f"headers: {name} is set by the delivery itself; leave it out")
        if not _VALUE.match(value):
            raise Discard(f"headers: the value of {name} holds characters that a header can't have")
    return dict(headers)
