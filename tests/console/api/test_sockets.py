"""The console's WebSocket, on the product as it is started: who may open it, and for whose page it may speak."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.consoles import ADMIN
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
SOCKET = "/_nicegui_ws/socket.io/"


class Product:
    """``run.py`` at work."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process
        self.clients = contextlib.ExitStack()

    def browser(self) -> Browser:
        return Browser(self.url, self.clients.enter_context(httpx.Client(base_url=self.url, timeout=60)))


class Browser:
    """A signed-in session with one page open."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self.http = http
        assert self.http.post("/login", data={"token": ADMIN}).status_code == 303
        page = self.http.get("/")
        assert page.status_code == 200
        found = re.search(r"'client_id': '([0-9a-f-]{36})'", page.text)
        assert found
        self.page = found[1]

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    def socket(self, page: str | None = None, **headers: str) -> ClientConnection:
        """A socket that asks to speak for ``page``."""
        query = {
            "EIO": 4, "transport": "websocket", "client_id": page or self.page, "next_message_id": 0,
            "implicit_handshake": "true", "tab_id": "tab-1", "document_id": "doc-1",
        }  # fmt: skip
        address = self.url.replace("http", "ws") + SOCKET + "?" + urlencode(query)
        sent = {"Origin": self.url, "Cookie": self.cookie} | headers
        return connect(
            address, additional_headers={name: value for name, value in sent.items() if value}, open_timeout=60
        )


def opened(socket: ClientConnection) -> bool:
    """Go through the handshakes of engine.io and socket.io; whether the page's socket was accepted."""
    assert str(socket.recv(60)).startswith("0{")
    socket.send("40")
    while True:
        message = str(socket.recv(60))
        if message.startswith(("40", "44")):
            return message.startswith("40")


def asked(socket: ClientConnection, name: str, data: dict[str, Any]) -> Any:
    """Send a socket.io event and wait for its acknowledgement."""
    socket.send("427" + json.dumps([name, data]))
    while True:
        message = str(socket.recv(60))
        if message.startswith("437"):
            return json.loads(message[3:])[0]
        if message == "2":
            socket.send("3")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "--home",
        str(tmp_path_factory.mktemp("home")),
        "--port",
        "0",
        "--no-browser",
    ]
    environ = os.environ | {"HOLDFAST_ADMIN_TOKEN": ADMIN}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        made = Product(found[0], process)
        with made.clients:
            yield made
        if process.poll() is None:
            process.kill()


def test_the_page_s_own_socket_is_accepted(product: Product) -> None:
    browser = product.browser()
    with browser.socket() as socket:
        assert opened(socket)


@pytest.mark.parametrize("origin", ["http://attacker.example", "null", "http://127.0.0.1:1", "http://localhost"])
def test_a_socket_from_another_origin_is_refused(product: Product, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        product.browser().socket(Origin=origin)
    assert refused.value.response.status_code == 403


def test_a_socket_to_another_host_is_refused(product: Product) -> None:
    with pytest.raises(InvalidStatus) as refused:
        product.browser().socket(Host="attacker.example")
    assert refused.value.response.status_code in (400, 421)


@pytest.mark.parametrize(
    "headers", [{"Cookie": ""}, {"Cookie": "holdfast_0=forged"}, {"Cookie": "", "Authorization": f"Bearer {ADMIN}"}]
)
def test_a_socket_without_a_session_is_refused_and_not_redirected(product: Product, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        product.browser().socket(**headers)
    assert refused.value.response.status_code == 401
    polling = httpx.get(product.url + SOCKET + "?EIO=4&transport=polling", headers={"Accept": "*/*"}, timeout=60)
    assert polling.status_code == 401


def test_a_session_cannot_speak_for_another_session_s_page(product: Product) -> None:
    mine, other = product.browser(), product.browser()
    with other.socket(page=mine.page) as socket:
        assert not opened(socket)
    with other.socket() as socket:
        assert opened(socket)
        data = {"client_id": mine.page, "tab_id": "tab-1", "document_id": "doc-1", "next_message_id": 0}
        assert asked(socket, "handshake", data) is False
        assert asked(socket, "event", {"client_id": mine.page, "id": 1, "listener_id": "x", "args": []}) is False


@pytest.mark.parametrize("data", [{}, {"client_id": None}, {"client_id": ["a"]}])
def test_garbage_on_the_socket_harms_nobody(product: Product, data: dict[str, Any]) -> None:
    with product.browser().socket() as socket:
        assert opened(socket)
        for name in ("handshake", "event", "javascript_response", "ack", "log"):
            assert asked(socket, name, data) is False
        assert asked(socket, "event", data) is False


def test_signing_out_closes_the_sockets_of_the_session_and_of_no_other(product: Product) -> None:
    leaving, staying = product.browser(), product.browser()
    with leaving.socket() as gone, staying.socket() as kept:
        assert opened(gone) and opened(kept)
        assert leaving.http.post("/logout").status_code == 303

        def is_closed() -> bool:
            try:
                message = str(gone.recv(60))
                if message == "2":
                    gone.send("3")
                return message == "1" or message.startswith("41")
            except ConnectionClosed:
                return True

        until(is_closed, 60, "the socket is closed")
        assert asked(kept, "event", {"client_id": leaving.page}) is False


def test_the_product_stops_at_once_and_in_order_with_sockets_and_streams_open(product: Product) -> None:
    browser = product.browser()
    http = product.browser().http
    job = http.post("/v1/jobs", json={"task": "maintenance.prune", "delay": 3600})
    assert job.status_code == 202, job.text
    with browser.socket() as socket, http.stream("GET", f"/v1/jobs/{job.json()['id']}/events") as stream:
        assert opened(socket)
        lines = stream.iter_lines()
        assert next(lines) == "event: job"
        product.process.send_signal(signal.SIGTERM)
        assert product.process.wait(30) == 0
