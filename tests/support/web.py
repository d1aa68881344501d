"""A real HTTP server on loopback that answers by a script, one function for each request."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class Received(msgspec.Struct, frozen=True):
    """One request that came in; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[["Handler"], None]


class Site(ThreadingHTTPServer):
    """The server; ``script`` is worked off, its last function answers all further requests."""

    daemon_threads = True
    #: the exchanges that tests break off would be printed
    handle_error = staticmethod(lambda request, address: None)  # type: ignore[assignment]

    def __init__(self, script: list[Script]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.received: list[Received] = []
        #: set when the test is over: slow answers end
        self.over = threading.Event()
        self.scheme = "http"

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    """Notes the request and has the script answer."""

    server: Site
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        named = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.command, self.path, named, body))
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    do_POST = do_PUT = do_PATCH = do_GET = handle_any

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def answer(status: int = 200, body: bytes = b"ok", headers: Mapping[str, str] = {}) -> Script:
    """Answer plainly."""

    def script(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"content-length": str(len(body)), "content-type": "text/plain", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return script


def drip(handler: Handler) -> None:
    """Begin an answer and send its body a byte at a time, for as long as the test lasts."""
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b".")


def silence(handler: Handler) -> None:
    """Take the request and say nothing."""
    handler.server.over.wait(30)


def hang_up(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


@contextmanager
def site(*script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server for the time of a test."""
    server = Site(list(script) or [answer()])
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="site", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join(30)
