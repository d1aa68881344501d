"""The web application: guards, routes, docs and, mounted last because it takes every path, the NiceGUI pages.

Order matters from outside in: ``Boundary`` (Host, Origin, size), the signed session cookie, ``Doorkeeper`` (who is it), then
routes.  The pages are imported late, so that the API can be served and tested without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.sessions import SessionMiddleware
from starlette.staticfiles import StaticFiles

from airgap.bundles.gathering import Gathering
from console import api, login, problems
from console.context import Console
from console.guard import Boundary, Doorkeeper

STATIC = Path(__file__).parent / "static"

#: threads for what may wait: a few long bulk actions leave room for everybody's next job
THREADS = 24

DESCRIPTION = """Queues, jobs and their history.

Send `Authorization: Bearer <token>`. Errors are problem documents (RFC 9457). Times are ISO 8601 UTC."""


def create_app(console: Console, *, pages: bool = True) -> FastAPI:
    """Everything that is served on the console's port; ``pages=False`` leaves out NiceGUI."""
    app = FastAPIOffline(
        title="Holdfast",
        version=console.facts.version,
        description=DESCRIPTION,
        lifespan=_lifespan(console),
        docs_url="/docs",
        redoc_url=None,
    )
    problems.install(app)
    app.include_router(login.router(console.access, console.trail))
    api.include(app, console)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_guards(app, console)
    if pages:
        _add_pages(app, console)
    return app


def _add_guards(app: FastAPI, console: Console) -> None:
    """The last added is the outermost."""
    settings, access = console.settings, console.access
    app.add_middleware(Doorkeeper, access=access)
    app.add_middleware(
        SessionMiddleware,
        secret_key=access.secret,
        session_cookie=f"holdfast_{settings.port}",  # cookies know no ports: two consoles on one machine stay apart
        max_age=access.session_seconds,
        same_site="strict",
    )
    app.add_middleware(
        Boundary, host=settings.host, allowed_hosts=settings.allowed_hosts, max_payload=settings.max_payload
    )


def _add_pages(app: FastAPI, console: Console) -> None:
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(console.settings.home / "console"))
    from nicegui import ui

    from console import pages
    from console.sockets import Sockets

    sockets = Sockets(console.access)
    sockets.bind()
    root = pages.build(console)
    app.router.lifespan_context = _also(app, sockets.watch)
    ui.run_with(
        app,
        root=root,
        title="Holdfast",
        favicon=STATIC / "mark.svg",
        binding_refresh_interval=None,
        tailwind=False,
        dark=None,
        reconnect_timeout=10.0,
        show_welcome_message=False,
        storage_secret=console.access.secret,
    )


Lifespan = Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]


def _lifespan(console: Console) -> Lifespan:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="console"))
        console.trail.start()
        gathering = Gathering(console.engine.store)
        gathering.start()
        sampling = asyncio.create_task(console.feed.run())
        yield
        await _ended(sampling)
        await asyncio.to_thread(gathering.stop)
        await asyncio.to_thread(console.trail.stop)

    return lifespan


def _also(app: FastAPI, role: Callable[[], object]) -> Lifespan:
    """The app's lifespan with one more task beside it."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(role())  # type: ignore[arg-type]
        async with inner(app):
            yield
        await _ended(task)

    return lifespan


async def _ended(task: asyncio.Task[object]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
