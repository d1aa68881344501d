"""Signing in and out: plain pages that need no script.

``/login`` takes a token by form, or the code of a sign-in link, which works once.  The form carries no secret of its own: a
foreign site cannot send it, because the guard refuses a foreign Origin and the cookie is ``SameSite=Strict``.
"""

from __future__ import annotations

import asyncio
from html import escape
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.actions.actor import Forbidden
from console.auth import COOKIE_FIELD, Access, sid_of
from console.brake import TooManyFailures
from console.guard import address_of
from console.sessions import key_of
from console.trail import Trail

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>Sign in · Holdfast</title>
<link rel="stylesheet" href="/static/holdfast.css"><link rel="icon" href="/static/mark.svg" type="image/svg+xml"></head>
<body class="login-page"><main class="login"><form method="post" action="/login">
<h1><img src="/static/mark.svg" alt="" width="32" height="32"> Holdfast</h1>
<p class="muted">Sign in with your token. The link printed at start signs in once without it.</p>
{message}
<input type="text" name="username" value="holdfast" autocomplete="username" hidden>
<label for="token">Token</label>
<input class="inp" id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{next}">
<button class="btn pri" type="submit">Sign in</button>
</form></main></body></html>
"""


def router(access: Access, trail: Trail) -> APIRouter:
    """Routes for signing in and out."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/login")
    async def show(request: Request) -> Response:
        wanted = _own_path(request.query_params.get("next", "/"))
        code = request.query_params.get("token")
        if code is None:
            return _page(wanted)
        return await _sign_in(access, trail, request, code, wanted, link=True)

    @routes.post("/login")
    async def enter(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=4) as form:
            token, wanted = str(form.get("token", "")), _own_path(str(form.get("next", "/")))
        return await _sign_in(access, trail, request, token.strip(), wanted, link=False)

    @routes.post("/logout")
    async def leave(request: Request) -> Response:
        sid = sid_of(request)
        request.session.clear()
        actor = access.session_actor(key_of(sid)) if sid else None
        if sid and actor:
            await asyncio.to_thread(access.sessions.end, sid)
            await asyncio.to_thread(trail.write, actor, "session.end", address_of(request.scope))
        return RedirectResponse("/login", 303)

    return routes


async def _sign_in(access: Access, trail: Trail, request: Request, shown: str, wanted: str, *, link: bool) -> Response:
    address = address_of(request.scope)
    try:
        sid = await asyncio.to_thread(access.sign_in, shown, address, link=link)
    except TooManyFailures as error:
        return _page(wanted, str(error), 429, {"Retry-After": str(round(error.retry_after))})
    except Forbidden as error:
        return _page(wanted, str(error), 403)
    if sid is None:
        used = "This link was used already, or is too old. Sign in with your token, or start Holdfast again for a new link."
        return _page(wanted, used if link else "This token is not known here.", 401)
    request.session.clear()
    request.session[COOKIE_FIELD] = sid
    actor = access.session_actor(key_of(sid))
    if actor:
        await asyncio.to_thread(trail.write, actor, "session.begin", address, {"by": "link" if link else "token"})
    return RedirectResponse(wanted, 303)


def _page(wanted: str, message: str = "", status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    shown = f'<p class="error" role="alert">{escape(message)}</p>' if message else ""
    html = PAGE.format(message=shown, next=escape(wanted, quote=True))
    return HTMLResponse(html, status, {"Content-Security-Policy": POLICY, **(headers or {})})


def _own_path(target: str) -> str:
    """Where to go after signing in: a path of this console and nothing else."""
    parts = urlsplit(target)
    own = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if own and target.isprintable() and not target.startswith("/login") else "/"
