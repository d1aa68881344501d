"""Serving the application with uvicorn, and stopping in order.

Plain uvicorn leaves with −15 or −2 after a signal and waits for open streams.  Here SIGTERM and SIGINT ask it to stop, event
streams are ended, other requests get a second, and ``serve`` simply returns, so that the launcher can exit 0.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from engine.kernel.errors import SettingsError
from engine.kernel.settings import Settings

#: seconds that open requests are given when stopping
GRACE = 1


class Server(uvicorn.Server):
    """uvicorn without its way of dying."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[int], None] | None, stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, and put the handlers back instead of raising the signal again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self.handle_exit) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread():
            gc.freeze()  # what is loaded by now stays: full collections and the interpreter's end need not walk it (1 s less)
            gc.enable()  # off since ``run.py`` began
        if self.started and self._ready is not None:
            self._ready(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Ask it to stop, from any thread."""
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """The socket to serve on.  Raises ``SettingsError`` if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise SettingsError(f"port: cannot listen on {place} ({error.strerror}); use --port with another one") from None
    listener.set_inheritable(True)
    return listener


def server(app: FastAPI, ready: Callable[[int], None] | None = None) -> Server:
    """A server for an app of ``create_app``; ``ready`` is called with the port once it answers."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=GRACE,
        ws="websockets-sansio",
        ws_max_size=1 << 20,
        proxy_headers=False,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Server(config, ready, app.state.watch.close)


def serve(app: FastAPI, settings: Settings, ready: Callable[[int], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT.  Raises ``SettingsError`` if the address cannot be had."""
    with contextlib.closing(listen(settings)) as listener:
        server(app, ready).run(sockets=[listener])
