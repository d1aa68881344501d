"""Reaches the running console from the same machine, or any other by ``--url`` and ``--token``.

Where it is: ``--url``, ``HOLDFAST_URL``, the file ``console.json`` that a running console keeps under home, else host and
port of the settings.  Who we are: ``--token``, ``HOLDFAST_TOKEN``, else the token that the console leaves for its own user
in ``keys/cli-token``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from console.cli.options import REMOTE, Parser, add_flags, fail, settings_of
from console.cli.places import base_url, running_at
from engine.kernel.errors import SettingsError
from engine.kernel.settings import Settings
from engine.remote import Client, Refused, Unreachable

START = "start one with: python3 run.py"
#: what the caller wrote is wrong, not the state of things
WRONG_CALL = frozenset({400, 401, 403})


class WrongCall(SettingsError):
    """What was typed cannot be meant; the exit code is 2."""


def parser(command: str, description: str) -> Parser:
    """A parser for an operator command, with the options that all of them share."""
    made = Parser(prog=f"run.py {command}", description=description)
    add_remote(made)
    return made


def commands(name: str, description: str, *, required: bool = True) -> tuple[Parser, Any]:
    """A parser whose first argument is a command, and where ``command`` adds those."""
    made = parser(name, description)
    return made, made.add_subparsers(metavar="COMMAND", required=required, parser_class=type(made))


def command(commands: Any, name: str, about: str, work: Callable[..., int], **values: Any) -> argparse.ArgumentParser:
    """Offer one; ``typed.work`` does it, and finds ``values`` in what was typed."""
    made: argparse.ArgumentParser = commands.add_parser(name, help=about)
    add_remote(made)
    made.set_defaults(work=work, **values)
    return made


def run(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
    """Let the console do what was typed."""
    typed = parser.parse_args(argv)
    return answering(typed.work, typed)


def add_remote(made: argparse.ArgumentParser) -> None:
    """Offer ``--url``, ``--token``, ``--json`` and the settings that say where home is."""
    made.add_argument("--url", default=argparse.SUPPRESS, help="address of the console, such as http://127.0.0.1:8080")
    made.add_argument("--token", default=argparse.SUPPRESS, help="access token; better in HOLDFAST_TOKEN")
    made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON, for programs")
    add_flags(made, REMOTE)


def client_of(typed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Client:
    """A client of the console that was meant."""
    settings = settings_of(typed, environ)
    url = getattr(typed, "url", "") or environ.get("HOLDFAST_URL", "") or running_at(settings) or base_url(settings)
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"url: expected http://… or https://…, got {url!r:.80}; try --url http://127.0.0.1:8080")
    return Client(url, getattr(typed, "token", "") or environ.get("HOLDFAST_TOKEN", "") or own_token(settings, url))


def own_token(settings: Settings, url: str) -> str:
    """The token of this user's own console.  It is only shown to that console, never to another machine."""
    file = settings.home / "keys" / "cli-token"
    if url not in {running_at(settings), base_url(settings)}:
        raise SettingsError(f"token: {url} is not the console of {settings.home}; set HOLDFAST_TOKEN")
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        raise Unreachable(f"no console has run on {settings.home} yet; {START}") from None
    except OSError as error:
        raise SettingsError(f"token: {file} cannot be read ({error.strerror}); set HOLDFAST_TOKEN") from None


def answering(work: Callable[[argparse.Namespace, Client], int], typed: argparse.Namespace) -> int:
    """Run an operator command against the console; a refusal is one line and its exit code."""
    with client_of(typed) as console:
        try:
            return work(typed, console)
        except Refused as error:
            mend = "; give a token with --token or HOLDFAST_TOKEN" if error.status == 401 else ""
            return fail(f"{error}{mend}", 2 if error.status in WRONG_CALL else 1)
        except Unreachable as error:
            return fail(f"{error}; {START}", 1)
