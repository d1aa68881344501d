"""NiceGUI's sockets, bound to the session that asked for the page.

NiceGUI lets any socket speak for any page whose id it knows.  Here each of its socket handlers is wrapped: a message counts
only if the socket's session lives and is the one the page was made for.  When a session ends, its pages are sent to
``/login`` and taken away, since a live socket would outlast the cookie.  This is the only module that touches NiceGUI's
internals; ``tests/console`` proves it against the pinned version.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from nicegui import Client, core

from console.auth import Access

#: handlers that speak for a page
_HANDLERS = ("connect", "handshake", "event", "javascript_response", "ack", "log")
#: seconds between two looks for sessions that have run out
SWEEP = 30.0


class Sockets:
    """Watches over the sockets of one process."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Wrap NiceGUI's handlers; again and again is the same as once."""
        handlers = core.sio.handlers["/"]
        for name in _HANDLERS:
            original = getattr(handlers[name], "__wrapped__", handlers[name])
            handlers[name] = self._guarded(name, original)
        self._access.sessions.on_end(self._ended)

    def _guarded(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def guarded(sid: str, data: Any, *rest: Any) -> Any:
            if not self._belongs(name, sid, data):
                return False
            answer = original(sid, data, *rest)
            return await answer if asyncio.iscoroutine(answer) else answer

        return guarded

    def _belongs(self, name: str, sid: str, data: Any) -> bool:
        """Whether the session behind socket ``sid`` lives, and is the one of the page that ``data`` names."""
        environ = data if name == "connect" else core.sio.get_environ(sid)
        key = (environ or {}).get("asgi.scope", {}).get("state", {}).get("session", "")
        if not key or self._access.session_actor(key) is None:
            return False
        page = _page_of_query(data) if name == "connect" else data.get("client_id") if isinstance(data, dict) else None
        client = Client.instances.get(page) if isinstance(page, str) else None
        if name == "connect" and client is None:
            return True  # NiceGUI refuses a page of before a restart in words that make the browser load it anew
        return client is not None and key == session_of(client)

    async def watch(self) -> None:
        """Look after sessions that run out of time, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            for key in {session_of(client) for client in list(Client.instances.values())}:
                if key and self._access.session_actor(key) is None:
                    await close(key)

    def _ended(self, key: str) -> None:
        if self._loop is not None and not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(close(key), self._loop)


def _page_of_query(environ: dict[str, Any]) -> str | None:
    """The page that a socket names as it connects: NiceGUI shakes hands with it at once."""
    return parse_qs(environ.get("QUERY_STRING", "")).get("client_id", [None])[0]


def session_of(client: Client) -> str:
    """The key of the session that a page was made for; "" if it was made without one."""
    request = client._request
    key = request.scope.get("state", {}).get("session", "") if request is not None else ""
    return str(key)


async def close(key: str) -> None:
    """Send all pages of a session to the sign-in page and take them away."""
    clients = [client for client in list(Client.instances.values()) if session_of(client) == key]
    for client in clients:
        client.run_javascript('location.replace("/login")')
    await asyncio.sleep(0.3)
    for client in clients:
        for sid in list(client._socket_to_document_id):
            await core.sio.disconnect(sid)
        client.delete()
