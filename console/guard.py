"""Two ASGI guards around everything, for HTTP and WebSocket alike.

``Boundary`` is the outermost: the Host must be one of ours (421), an Origin must be that very host (403), a body must not be
too large (413); it also adds the security headers.  It makes DNS rebinding and cross-site requests fail before any code
of ours or NiceGUI's runs.  ``Doorkeeper`` stands inside the session middleware and asks who it is: a session or a Bearer
token, or 401; people whose browser asks for a page are sent to ``/login``.  Never a redirect on the socket's path.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from console.auth import Access, SignedOut, session_key
from console.problems import problem, problem_of, respond
from engine.kernel.errors import HoldfastError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})

#: bytes that a bulk request may have
BULK_LIMIT = 32 * 1024 * 1024
#: bytes that a bundle may have, which is written to disk as it comes
BUNDLE_LIMIT = 2 * 1024 * 1024 * 1024
LIMITS = {"/v1/jobs/bulk": BULK_LIMIT, "/v1/airgap/bundles": BUNDLE_LIMIT}
#: what a request may have beyond the payload: names, options, keys
ALLOWANCE = 64 * 1024

CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

#: paths that anyone may ask for
OPEN = frozenset({"/login", "/logout", "/healthz", "/readyz", "/favicon.ico"})
OPEN_FOLDERS = ("/static/", "/static-offline-docs/")
#: open to this machine only
OPEN_ON_LOOPBACK = frozenset({"/queue/health"})
#: where programs come with a Bearer token; elsewhere only a session counts
FOR_PROGRAMS = ("/v1/", "/metrics", "/queue/health", "/openapi.json", "/docs")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Boundary:
    """Refuses requests that were never meant for us."""

    def __init__(self, app: ASGIApp, host: str, allowed_hosts: Iterable[str], max_payload: int) -> None:
        self.app = app
        self._named = frozenset(name.strip("[]").lower() for name in allowed_hosts)
        own = frozenset() if host in ANY_ADDRESS else frozenset({host.strip("[]").lower()})
        self._hosts = LOOPBACK | self._named | own
        self._limit = max_payload + ALLOWANCE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await deny(refusal, scope, receive, with_security_headers(send))
        elif scope["type"] == "http":
            await self.app(scope, self._measured(scope, receive), with_security_headers(send))
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_ours(host, scope):
            return respond(problem(421, "this Host is not served here; name it in allowed_hosts if it should be"))
        origins = headers.getlist("origin")
        if not all(self._is_same_origin(origin, host) for origin in origins):
            return respond(problem(403, "requests from another site are refused"))
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._limit_of(scope):
            return respond(problem(413, f"the body may have {self._limit_of(scope):,} bytes"))
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        name = _host_name(f"//{host}")
        return name in self._hosts or (
            name is not None and _is_address(name) and name == (scope.get("server") or ("",))[0]
        )

    def _is_same_origin(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https"):
            return False
        return parts.netloc.lower() == host.lower() or _host_name(origin) in self._named

    def _limit_of(self, scope: Scope) -> int:
        return LIMITS.get(scope["path"], self._limit)

    def _measured(self, scope: Scope, receive: Receive) -> Receive:
        limit, seen = self._limit_of(scope), 0

        async def measured() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, f"the body may have {limit:,} bytes")
            return message

        return measured


class Doorkeeper:
    """Lets in whoever is signed in; ``scope["state"]`` then holds ``actor`` and, for a browser, ``session`` (its key)."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_open(scope):
            await self.app(scope, receive, send)
            return
        try:
            self._admit(scope)
        except HoldfastError as error:
            await deny(_refused(scope, error), scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path in OPEN_ON_LOOPBACK:
            return is_local(scope)
        return scope["type"] == "http" and (path in OPEN or path.startswith(OPEN_FOLDERS))

    def _admit(self, scope: Scope) -> None:
        connection = HTTPConnection(scope)
        state = scope.setdefault("state", {})
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and scope["type"] == "http" and scope["path"].startswith(FOR_PROGRAMS):
            actor = self._access.bearer(token.strip(), address_of(scope))
            if actor is None:
                raise SignedOut("this token is not known here")
        else:
            actor = self._access.session_actor(session_key(connection))
            if actor is None:
                raise SignedOut("sign in, or send Authorization: Bearer <token>")
            _check_origin_of_change(scope, connection.headers)
            state["session"] = session_key(connection)
        state["actor"] = actor


def _check_origin_of_change(scope: Scope, headers: Headers) -> None:
    """A cookie alone changes nothing when another site, or another port of this machine, sends it."""
    if scope.get("method", "GET") not in SAFE and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise SignedOut("requests from another site are refused")


def _refused(scope: Scope, error: HoldfastError) -> Response:
    if isinstance(error, SignedOut) and _is_navigation(scope):
        if Headers(scope=scope).get("sec-fetch-site") == "cross-site":
            return _come_again(scope)
        return RedirectResponse(f"/login?next={quote(_wanted(scope), safe='')}", 303)
    return respond(problem_of(error))


def _is_navigation(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    page = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/_nicegui")
    return page and "text/html" in headers.get("accept", "")


def _come_again(scope: Scope) -> Response:
    """A link from elsewhere comes without our ``SameSite=Strict`` cookie: ask for the same page once more, from here."""
    target = quote(_wanted(scope), safe="/?&=%:+,-._~*@")
    return HTMLResponse(f'<!doctype html><meta http-equiv="refresh" content="0;url={target}"><title>Holdfast</title>')


def _wanted(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    path = "/" + scope["path"].lstrip("/\\")
    return f"{path}?{query}" if query else path


async def deny(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse, also before a WebSocket is accepted."""
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def with_security_headers(send: Send) -> Send:
    """Adds the headers that are not set already."""

    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if headers.get("content-type", "").startswith(("text/html", "application/")):
                headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


def address_of(scope: Scope) -> str:
    """The address that a request comes from."""
    return (scope.get("client") or ("unknown",))[0]


def is_local(scope: Scope) -> bool:
    """Whether it comes from this machine itself, and was not passed on by a proxy."""
    headers = Headers(scope=scope)
    if "x-forwarded-for" in headers or "forwarded" in headers:
        return False
    address = address_of(scope)
    return _is_address(address) and ipaddress.ip_address(address).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
