"""``run.py doctor``: looks at the machine, the home folder and the configuration, and changes nothing.

Every line is ``ok``, ``warning`` or ``error``; the last two carry the mend.  Exit code 1 if there is an error.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from console.cli import audit
from console.cli.doctor_redis import redis
from console.cli.findings import Finding, error, line_of, ok, warning
from console.cli.options import Parser, add_flags, settings_of
from console.cli.places import running_at
from console.cli.start import import_from_here
from console.cli.tables import print_json
from engine.kernel.clock import Clock, SystemClock, iso
from engine.kernel.errors import HoldfastError, SettingsError
from engine.kernel.settings import Settings

#: packages whose versions a report of a fault should name
PACKAGES = ("huey", "diskcache", "cryptography", "msgspec", "sqlmodel", "fastapi", "nicegui")
#: optional program -> what it is for
PROGRAMS = {"chromium": "the desktop window and browser tests", "redis-server": "the benchmark beside other systems"}
#: 2026-01-01: a clock before it is not set
RELEASED = 1_767_225_600.0
#: SQLite with upserts that return rows
OLDEST_SQLITE = (3, 35, 0)
GIB = 2**30


def main(argv: Sequence[str]) -> int:
    typed = parser().parse_args(argv)
    found = list(examine(typed))
    if typed.json:
        print_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            print(line_of(finding))
    return 1 if any(finding.level == "error" for finding in found) else 0


def parser() -> argparse.ArgumentParser:
    made = Parser(prog="run.py doctor", description="Check the machine and the configuration; changes nothing.")
    made.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    add_flags(made)
    return made


def examine(typed: argparse.Namespace, clock: Clock | None = None) -> Iterator[Finding]:
    """All findings; wrong settings end the examination, because the rest would look in the wrong places."""
    yield from (python(), packages(), sqlite(), time_of_day(clock or SystemClock()))
    try:
        settings = settings_of(typed)
    except SettingsError as wrong:
        for line in str(wrong).splitlines():
            yield error("settings", line, "mend it and run doctor again")
        return
    yield ok("settings", f"right{f', with {settings.config}' if settings.config else ''}")
    for check in CHECKS:
        yield from guarded(check, settings)
    yield from map(program, PROGRAMS)


def guarded(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    """The findings of one check; what it trips over is a finding too."""
    name = check.__name__.replace("_", " ")
    try:
        yield from check(settings)
    except HoldfastError as wrong:
        yield error(
            name, str(wrong).splitlines()[0], "see above what to do" if not str(wrong) else "mend it as it says"
        )
    except OSError as wrong:
        yield error(name, str(wrong), "check that this user may read it")


def python() -> Finding:
    """Which one runs; the launcher has made sure that it is new enough."""
    return ok("python", f"{platform.python_version()} ({sys.executable})")


def packages() -> Finding:
    found = {name: version_of(name) for name in PACKAGES}
    absent = [name for name, version in found.items() if not version]
    if absent:
        return error("packages", f"{', '.join(absent)} missing", "delete .venv and start run.py again")
    return ok("packages", ", ".join(f"{name} {version}" for name, version in found.items()))


def version_of(package: str) -> str:
    """The installed version, or "" without one."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def sqlite() -> Finding:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return error("sqlite", sqlite3.sqlite_version, "3.35 or newer is needed: use a newer Python")
    return ok("sqlite", sqlite3.sqlite_version)


def time_of_day(clock: Clock) -> Finding:
    if clock.now() < RELEASED:
        return error("clock", f"{iso(clock.now())} is before this version was made", "set the machine's clock")
    return ok("clock", f"{iso(clock.now())}")


def home(settings: Settings) -> Iterator[Finding]:
    """Rights of the folder and what stands in it, and room on its disk."""
    folder = settings.home
    if not folder.exists():
        yield ok("home", f"{folder} is made at first start")
    elif open_to_others(folder):
        yield warning("home", f"{folder} may be read by others", f"chmod 700 {folder}")
    else:
        yield ok("home", f"{folder}, for this user only")
    loose = [file for file in folder.rglob("*") if file.is_file() and open_to_others(file)] if folder.exists() else []
    if loose:
        yield warning(
            "home", f"{len(loose)} files in it may be read by others, such as {loose[0]}", f"chmod 600 {loose[0]}"
        )
    yield room(settings)


def open_to_others(path: Path) -> bool:
    """Whether users other than the owner have any right to it."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def room(settings: Settings) -> Finding:
    """Free space against what the store may take."""
    standing = next(place for place in (settings.home, *settings.home.parents) if place.exists())
    free = shutil.disk_usage(standing).free
    text = f"{free / GIB:.1f} GiB free, the store may take {settings.store_limit / GIB:.1f} GiB"
    if free < GIB // 8:
        return error("disk", text, "make room: new jobs will soon be refused")
    if free < settings.store_limit:
        return warning("disk", text, "make room or lower store_limit")
    return ok("disk", text)


def configuration(settings: Settings) -> Iterator[Finding]:
    """What is allowed and yet unwise."""
    if settings.config and open_to_others(settings.config) and "token" in settings.config.read_text("utf-8"):
        yield warning(
            "settings", f"{settings.config} holds a token and others may read it", f"chmod 600 {settings.config}"
        )
    if settings.host not in {"127.0.0.1", "::1", "localhost"}:
        yield warning(
            "host", f"{settings.host} is open to the network without TLS", "put a TLS proxy before it, or use 127.0.0.1"
        )
    if settings.durability == "process":
        yield warning("durability", "a power cut may lose the last accepted jobs", "set durability to power")
    if settings.durability == "redis":
        yield warning("durability", "accepted jobs are as safe as the Redis is", "set durability to power")


def key_ring(settings: Settings) -> Iterator[Finding]:
    """Whether the keys open; a first start makes them."""
    from airgap.keys import RING_FILE, KeyRing

    folder = settings.home / "keys"
    if not (folder / RING_FILE).exists():
        yield ok("keys", "made at first start")
        return
    secret = {"passphrase": settings.passphrase, "environment": settings.key}.get(settings.key_source)
    ring = KeyRing.open(folder, settings.key_source, secret, make=False)
    yield ok("keys", f"the ring opens by {settings.key_source}, {len(ring.ids)} keys")


def store(settings: Settings) -> Iterator[Finding]:
    """Who owns the sealed store."""
    from airgap.owner import current_owner
    from airgap.storage import LOCK_FILE

    owner = current_owner(settings.home / LOCK_FILE)
    if owner:
        yield ok("store", f"in use by process {owner.pid} on {owner.host} since {iso(owner.since)}")
    else:
        yield ok("store", "free" if (settings.home / "airgap").exists() else "made at first start")


def history(settings: Settings) -> Iterator[Finding]:
    """Whether the database answers, its tables are of this version, and the audit in it is as it was written."""
    from data.database import REVISION, open_database, revision

    if not settings.database and not (settings.home / "holdfast.db").exists():
        yield ok("history", "made at first start")
        return
    database = open_database(settings.database, settings.home, migrate=False)
    try:
        found = revision(database)
        whole = audit.finding(database) if found == REVISION else None
    except Exception as wrong:  # every driver has errors of its own
        yield error("history", f"{database} does not answer: {str(wrong).splitlines()[0]:.200}", "check --database")
        return
    finally:
        database.close()
    yield ok("history", "tables are current" if whole else f"tables of {found or 'none'}, migrated at next start")
    if whole:
        yield whole


def port(settings: Settings) -> Iterator[Finding]:
    """Whether the console could listen."""
    if running := running_at(settings):
        yield ok("port", f"a console is running at {running}")
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as wrong:
            yield error(
                "port", f"{settings.host}:{settings.port}: {wrong.strerror}", "stop what listens there or use --port"
            )
            return
    yield ok("port", f"{settings.host}:{settings.port} is free")


def tasks(settings: Settings) -> Iterator[Finding]:
    """Whether the modules with tasks can be found."""
    import importlib.util

    import_from_here()
    for name in settings.tasks:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            yield error("tasks", f"there is no module {name}", "check --tasks and PYTHONPATH")
        else:
            yield ok("tasks", f"{name} is {found.origin}")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    home,
    configuration,
    key_ring,
    store,
    history,
    redis,
    port,
    tasks,
)


def program(name: str) -> Finding:
    """An optional program."""
    found = shutil.which(name)
    return ok(name, found or f"not installed; only needed for {PROGRAMS[name]}")
