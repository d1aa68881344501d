"""A whole console for tests: engine over a sealed store, recorder, API, on a real port of this machine.

The recorder runs in a thread here and in a process of its own in the product; it is the same code.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from airgap import JournalReader, UnknownKey
from console.app import create_app
from console.context import Console, Facts, RecorderState, compose
from console.server import listen, server
from data.database import Database, open_database
from data.recorder import Recorder, follow
from engine import Engine, Settings
from engine.kernel.clock import SystemClock
from engine.kernel.events import Event
from tests.support.waiting import until

ADMIN = "an-admin-token-for-tests"


class Running:
    """A console that answers at ``url``."""

    def __init__(self, console: Console, app: Any, url: str) -> None:
        self.console = console
        self.app = app
        self.url = url

    @property
    def engine(self) -> Engine:
        return self.console.engine

    @property
    def database(self) -> Database:
        return self.console.database

    def http(self, token: str | None = ADMIN, **options: Any) -> httpx.Client:
        """A client that shows a token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers | options.pop("headers", {}), timeout=60.0, **options)

    def ended(self, id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The job as the API tells it once it has ended."""
        with self.http() as http:

            def look() -> dict[str, Any] | None:
                job = http.get(f"/v1/jobs/{id}").json()
                return job if job["state"] in ("completed", "cancelled", "dead") else None

            return until(look, seconds, f"job {id} ends")

    def recorded(self) -> None:
        """Wait until history has everything that the log has now."""
        store: Any = self.engine.store
        head = getattr(store, "local", store).journal.standing.number
        from data import queries

        until(lambda: queries.recorded(self.database)[0] >= head, 60, "history follows")


@contextmanager
def running(home: Path, tasks: Sequence[str] = (), *, pages: bool = False, **options: Any) -> Iterator[Running]:
    """A console at work."""
    settings = Settings(home=home, port=0, durability="process", admin_token=ADMIN, **options)
    engine = Engine(settings, tasks=tasks)
    database = open_database(settings.database, settings.home)
    stop = threading.Event()
    recorder = threading.Thread(target=_record, args=(engine, database, stop), name="recorder")
    recorder.start()
    console = compose(engine, database, settings, Facts("1.2.3", engine.clock.now(), lambda: RecorderState(True)))
    app = create_app(console, pages=pages)
    try:
        with engine, serving(app, settings) as url:
            yield Running(console, app, url)
    finally:
        stop.set()
        recorder.join(60)
        database.close()


class _Reader:
    """The journal as a recorder in this process reads it; takes the ring anew when a key was added."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._open()

    def _open(self) -> None:
        self._reader = JournalReader(self._store.settings.home, self._store.export_keys())

    @property
    def node(self) -> str:
        return self._reader.node

    def head(self) -> int:
        return self._reader.head()

    def read(self, after: int, most: int = 64) -> Iterator[tuple[int, Sequence[Event]]]:
        try:
            yield from self._reader.read(after, most)
        except UnknownKey:
            self.close()
            self._open()

    def close(self) -> None:
        self._reader.close()


def _record(engine: Engine, database: Database, stop: threading.Event) -> None:
    reader = _Reader(engine.store)
    follow(Recorder(database, reader, SystemClock()), stop)
    reader.close()


@contextmanager
def serving(app: Any, settings: Settings) -> Iterator[str]:
    """The app on a real port."""
    listener = listen(settings)
    ready = threading.Event()
    ports: list[int] = []

    def up(port: int) -> None:
        ports.append(port)
        ready.set()

    made = server(app, up)
    thread = threading.Thread(target=lambda: made.run(sockets=[listener]), name="server")
    thread.start()
    try:
        assert ready.wait(60), "the server did not start"
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        made.stop()
        thread.join(60)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"
