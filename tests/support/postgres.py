"""A PostgreSQL cluster of the tests' own: made with initdb in a temporary folder, reachable on a socket in it only.

PostgreSQL refuses to run as root; there the server runs as the user ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.programs import need
from tests.support.waiting import until


class Cluster:
    """A running server; ``database`` makes empty databases in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str) -> str:
        return f"postgresql://holdfast@/{name}?host={self.folder}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database; dropped at the end."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
            try:
                yield self.url(name)
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for as long as the block runs.  Skips (or fails, where programs are required) without initdb."""
    initdb, postgres = need("initdb"), need("postgres")
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
    user = _owner()
    try:
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        locale = ["--locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--auth=trust", "--username=holdfast"]
        subprocess.run([initdb, "-D", data, *locale], check=True, user=user, cwd=folder, capture_output=True)
        settings = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off", "max_connections=60"]
        command = [postgres, "-D", data, *(part for setting in settings for part in ("-c", setting))]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        try:
            found = Cluster(folder)
            until(lambda: found.answers() or server.poll() is not None, 60, "PostgreSQL answers")
            assert server.poll() is None, (folder / "log").read_text()
            yield found
        finally:
            server.send_signal(signal.SIGINT)  # at once, also if somebody is still connected
            server.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> str | None:
    """Who may run the server: ourselves unless we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
