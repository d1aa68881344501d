"""A bad network between a client and a server: a TCP proxy on loopback that drops, delays, resets, and goes deaf one way.

One thread moves bytes with a selector.  Faults hold for connections that are open and for those that come, until ``heal``:

- ``drop``: nothing passes either way, and new connections are accepted and never served (packets are lost);
- ``one_way("up")``: only what the client sends gets through, ``"down"`` only what the server answers;
- ``half_open``: open connections go on, new ones are accepted and never served;
- ``reset``: all connections end with RST now, and new ones at once;
- ``refuse``: open connections end, and nobody listens any more;
- ``delay(seconds)``: what is sent arrives so much later, in order.

After ``heal`` new connections are served; those that lost bytes are ended, as a peer's TCP would end them.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType

UP, DOWN = "up", "down"
#: seconds between two looks at what was delayed
TICK = 0.005
CHUNK = 65_536
BACKLOG = 128


class Pipe:
    """One direction of one connection."""

    def __init__(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        self.way = way
        self.source = source
        self.sink = sink
        #: (when it may arrive, bytes)
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.ended = False

    def deliver(self, now: float) -> None:
        """Pass on what is due.  Raises ``OSError`` when the other side is gone."""
        while self.waiting and self.waiting[0][0] <= now:
            at, data = self.waiting.popleft()
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self.waiting.appendleft((at, data[sent:]))
                return
        if self.ended and not self.waiting:
            raise ConnectionResetError("the other side ended it")


class Partition:
    """A proxy before one server.  Use as a context manager; ``port`` is where clients connect."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._lock = threading.RLock()
        self._pairs: dict[socket.socket, tuple[Pipe, Pipe]] = {}
        #: accepted and never served
        self._ignored: list[socket.socket] = []
        self._deaf: set[str] = set()
        self._refusal = ""
        self._delay = 0.0
        self._stop = threading.Event()
        self._listener = _bound(0)
        self._listener.listen(BACKLOG)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="partition", daemon=True)

    def __enter__(self) -> Partition:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        with self._lock:
            self._end_all()
            self._listener.close()

    @property
    def url(self) -> str:
        """As a Redis."""
        return f"redis://127.0.0.1:{self.port}/0"

    def aim(self, port: int) -> None:
        """Lead to another server: what is open ends."""
        with self._lock:
            self._server = (self._server[0], port)
            self._end_all()

    def drop(self) -> None:
        """Lose everything, both ways."""
        self._set(deaf={UP, DOWN}, refusal="ignore")

    def one_way(self, passes: str) -> None:
        """Lose everything but one direction."""
        self._set(deaf={UP, DOWN} - {passes}, refusal="ignore")

    def half_open(self) -> None:
        """Serve no new connection, without telling."""
        self._set(refusal="ignore")

    def delay(self, seconds: float) -> None:
        """Let everything arrive later, from now on."""
        self._set(delay=seconds)

    def reset(self) -> None:
        """End all connections, and new ones at once."""
        with self._lock:
            self._set(refusal="reset")
            self._end_all()

    def refuse(self) -> None:
        """End all connections and listen no more."""
        with self._lock:
            self._set(refusal="closed")
            self._end_all()
            self._listener.close()
            # bound and not listening: nobody else is given the port meanwhile
            self._listener = _bound(self.port)

    def heal(self) -> None:
        """Be a good network again."""
        with self._lock:
            if self._deaf:
                self._end_all()
            for ignored in self._ignored:
                _reset(ignored)
            self._ignored.clear()
            if self._refusal == "closed":
                self._listener.listen(BACKLOG)
            self._set()

    def _set(self, deaf: set[str] | None = None, refusal: str = "", delay: float = 0.0) -> None:
        with self._lock:
            self._deaf, self._refusal, self._delay = deaf or set(), refusal, delay

    def _end_all(self) -> None:
        for pair in self._pairs.values():
            for pipe in pair:
                _reset(pipe.source)
        self._pairs.clear()
        for ignored in self._ignored:
            _reset(ignored)
        self._ignored.clear()

    def _run(self) -> None:
        while not self._stop.is_set():
            ready = self._ready()
            with self._lock:
                if self._listener in ready:
                    self._accept()
                for client in list(self._pairs):
                    self._pump(client, ready)

    def _ready(self) -> set[socket.socket]:
        """Sockets that may be read, after a tick at most."""
        with selectors.DefaultSelector() as selector:
            with self._lock:
                sockets = [pipe.source for pair in self._pairs.values() for pipe in pair if not pipe.ended]
                for one in sockets if self._refusal == "closed" else (*sockets, self._listener):
                    if one.fileno() >= 0:
                        selector.register(one, selectors.EVENT_READ)
            # whoever heals or resets meanwhile takes the lock: nothing is held here
            return {key.fileobj for key, _ in selector.select(TICK) if isinstance(key.fileobj, socket.socket)}

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self._refusal == "ignore":
            self._ignored.append(client)
        elif self._refusal:
            _reset(client)
        else:
            self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server, 10)
        except OSError:
            _reset(client)
            return
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs[client] = (Pipe(UP, client, server), Pipe(DOWN, server, client))

    def _pump(self, client: socket.socket, ready: set[socket.socket]) -> None:
        pair = self._pairs[client]
        try:
            for pipe in pair:
                if pipe.source in ready:
                    self._read(pipe)
                pipe.deliver(time.monotonic())
        except OSError:
            del self._pairs[client]
            for pipe in pair:
                _reset(pipe.source)

    def _read(self, pipe: Pipe) -> None:
        with suppress(BlockingIOError):
            data = pipe.source.recv(CHUNK)
            if not data:
                pipe.ended = True
            elif pipe.way not in self._deaf:
                pipe.waiting.append((time.monotonic() + self._delay, data))


def _bound(port: int) -> socket.socket:
    """A socket with a port of loopback, any for 0, that does not listen yet."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.setblocking(False)
    return made


def _reset(one: socket.socket) -> None:
    """End a connection with RST."""
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
