"""What surrounds a start: home folder, log files, the signal to stop, the lines that a person reads, the browser.

How the parts of the house fit together is ``run.py``'s to know; here they are only started, shown and stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from console.cli import logs, places
from engine.fleet.identity import known_id
from engine.kernel import faults
from engine.kernel.errors import SettingsError
from engine.kernel.settings import Settings

if TYPE_CHECKING:
    from console.context import Console

log = logging.getLogger("holdfast")

#: seconds that running jobs are given when stopping; with the server's own second the whole stop stays below five
STOP_SECONDS = 2.8


class StopAsked(BaseException):
    """SIGTERM or SIGINT came before the server took over the signals; no error, so nothing in between may catch it."""


def prepare(settings: Settings) -> None:
    """Home folder, log and fault points, in this order; everything made from now on is for this user only."""
    os.umask(0o077)
    make_home(settings.home)
    logs.to_folder(settings.home / "logs", settings.log_level)
    import_from_here()
    try:
        faults.arm_from(settings.fault)
    except (KeyError, ValueError):
        raise SettingsError(
            f"fault: there is no fault point {settings.fault!r:.80}; see engine/kernel/faults.py"
        ) from None


def import_from_here() -> None:
    """Modules with tasks may stand in the folder from which run.py was called; ours come first."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def make_home(home: Path) -> None:
    """The folder of all state."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"home: {home} cannot be made ({error.strerror}); name another folder with --home"
        ) from None


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Inside, SIGTERM and SIGINT end what is being done and the block is left quietly, cleaned up by its own blocks.

    The value is to be called before one settles down to wait: what a signal raises while the interpreter runs a
    finalizer goes nowhere, and is raised then.
    """
    asked: list[int] = []

    def ask(number: int, _: object) -> NoReturn:
        asked.append(number)
        raise StopAsked

    def check() -> None:
        if asked:
            raise StopAsked

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield check
    except StopAsked:
        log.info("asked to stop")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def with_history(settings: Settings) -> Settings:
    """The settings of a process that reaches the history: jobs about that very history can be sent to it."""
    where = urlsplit(settings.database)
    named = f"{where.hostname}:{where.port}{where.path}" if where.hostname else known_id(settings.home)
    mark = hashlib.sha256(named.encode()).hexdigest()[:8]
    return dataclasses.replace(settings, capabilities=(*settings.capabilities, f"history.{mark}"))


def serve(console: Console, parts: contextlib.ExitStack, check: Callable[[], None]) -> None:
    """Take the port, then start the workers, then answer until asked to stop; ``check`` is that of ``stoppable``."""
    from console.app import create_app
    from console.server import listen, server

    settings = console.settings
    listener = parts.enter_context(contextlib.closing(listen(settings)))
    app = create_app(console)
    console.engine.on_leave = leave
    console.engine.fleet.serves_console()
    console.engine.start()

    def ready(port: int) -> None:
        url = places.base_url(settings, port)
        parts.enter_context(places.address_file(settings.home, url, os.getpid()))
        print(greeting(console, url, console.access.sign_in_link(url)), flush=True)
        log.info("version %s is running at %s as process %d", console.facts.version, url, os.getpid())
        if settings.browser and has_desktop():
            open_browser(console.access.sign_in_link(url))

    made = server(app, ready)
    check()
    made.run(sockets=[listener])
    log.info("stopping")


def leave() -> None:
    """End this process as SIGTERM does; the fleet asked for it."""
    os.kill(os.getpid(), signal.SIGTERM)


def greeting(console: Console, url: str, link: str) -> str:
    """The lines that a person sees once the console answers."""
    lines = [f"Holdfast {console.facts.version} is running on {url}"]
    lines.append(f"  sign in      {link}   (works once, within ten minutes)")
    if console.access.first_token:
        lines.append(f"  admin token  {console.access.first_token}   (shown only now: keep it)")
    return "\n".join([*lines, f"  state        {console.settings.home}", "  stop         Ctrl+C"])


def has_desktop(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a person sits before a screen of this machine."""
    if environ.get("SSH_CONNECTION"):
        return False
    return platform in {"darwin", "win32"} or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def open_browser(link: str) -> None:
    """Open the link; a browser that takes its time holds nobody up."""
    threading.Thread(target=webbrowser.open, args=(link,), name="browser", daemon=True).start()
