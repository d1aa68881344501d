"""One HTTP exchange over a guarded network.

Invariants: the connection goes to an address that was checked, whatever the environment says of proxies; the exchange
ends by one deadline, also against a server that sends a byte now and then; no redirect is followed; at most
``max_answer`` bytes of an answer are read, and none is unpacked.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

import certifi
import httpcore
import msgspec

from engine.kernel.clock import Clock
from plugins.catalog.webhooks.addresses import allowed_addresses

CHUNK = 2**16


class Bounds(msgspec.Struct, frozen=True):
    """How far one exchange may go."""

    connect_seconds: float
    #: from the first byte to the last
    seconds: float
    max_answer: int
    allow_private: bool
    #: certificates to trust beside the usual ones, "" for none
    ca_file: str = ""


class Call(msgspec.Struct, frozen=True):
    """What is sent."""

    method: str
    #: scheme, host in ASCII, port and path with the query
    scheme: str
    host: str
    port: int
    target: str
    headers: dict[str, str]
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    #: names in lower case
    headers: dict[str, str]
    body: bytes
    #: whether there was more of the body
    cut: bool


def exchange(call: Call, bounds: Bounds, clock: Clock, check: Callable[[], None]) -> Answer:
    """Send and read the answer.  Raises ``AddressRefused``, ``OSError`` or an error of httpcore; ``check`` is called
    between pieces of the answer and raises to stop."""
    deadline = Deadline(clock, bounds.seconds)
    url = httpcore.URL(
        scheme=call.scheme.encode(), host=call.host.encode(), port=call.port, target=call.target.encode()
    )
    timeout = {"connect": bounds.connect_seconds, "read": bounds.seconds, "write": bounds.seconds}
    guarded = GuardedNetwork(bounds.allow_private, deadline)
    pool = httpcore.ConnectionPool(ssl_context=_trust(call.scheme, bounds.ca_file), network_backend=guarded)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in call.headers.items()]
    with (
        pool,
        pool.stream(call.method, url, headers=headers, content=call.body, extensions={"timeout": timeout}) as response,
    ):
        return _answer(response, bounds.max_answer, check)


def _answer(response: httpcore.Response, most: int, check: Callable[[], None]) -> Answer:
    body = bytearray()
    for chunk in response.iter_stream():
        check()
        body += chunk
        if len(body) > most:
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    return Answer(response.status, headers, bytes(body[:most]), len(body) > most)


def _trust(scheme: str, ca_file: str) -> ssl.SSLContext | None:
    """Certificates of the system, of certifi, and of ``ca_file``."""
    if scheme != "https":
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Deadline:
    """The moment by which all must be over."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._at = clock.monotonic() + seconds

    def bound(self, timeout: float | None, late: type[Exception]) -> float:
        """``timeout``, or what is left if that is less; raises ``late`` when nothing is."""
        left = self._at - self._clock.monotonic()
        if left <= 0:
            raise late(f"the exchange took longer than {self._seconds:g} s")
        return left if timeout is None else min(timeout, left)


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to checked addresses only, and to nothing but TCP."""

    def __init__(self, allow_private: bool, deadline: Deadline) -> None:
        self._allow_private = allow_private
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failures: list[Exception] = []
        for address in allowed_addresses(host, port, self._allow_private):
            left = self._deadline.bound(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._network.connect_tcp(address, port, left, local_address, socket_options)
                return BoundedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]


class BoundedStream(httpcore.NetworkStream):
    """A connection whose every operation ends by the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(min(max_bytes, CHUNK), self._deadline.bound(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.bound(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.bound(timeout, httpcore.ConnectTimeout)
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
