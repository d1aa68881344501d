"""``run.py keys``: what seals the store, and what opens its keys.

``rotate`` seals with a new key; a running console does it while it works, else the store is opened here, behind its owner
lock.  ``rewrap`` changes what opens the key ring, on a home where nothing runs: the secrets stay in this process, and come
from a prompt or the environment, never from the command line, which every user of a machine can read.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Mapping, Sequence

from console.cli import remote
from console.cli.options import add_flags, settings_of
from console.cli.places import running_at
from console.cli.tables import print_json
from engine.kernel.bus import Bus
from engine.kernel.clock import SystemClock
from engine.kernel.errors import Conflict, SettingsError
from engine.kernel.settings import Settings
from engine.kernel.values import Secret, secret
from engine.remote import Client

#: source -> the variable of its new secret, the variable that opens with it, its name
SECRETS = {
    "passphrase": ("HOLDFAST_NEW_PASSPHRASE", "HOLDFAST_PASSPHRASE", "passphrase"),
    "environment": ("HOLDFAST_NEW_KEY", "HOLDFAST_KEY", "key (32 bytes in base64)"),
}


def main(argv: Sequence[str]) -> int:
    typed = parser().parse_args(argv)
    code: int = typed.work(typed)
    return code


def parser() -> argparse.ArgumentParser:
    made, commands = remote.commands("keys", "Keys that seal the store.")
    remote.command(commands, "rotate", "seal with a new key from now on, and the older entries bit by bit", rotate)
    about = "change what opens the keys; the console must be stopped"
    rewrapped = commands.add_parser("rewrap", help=about, description=about)
    rewrapped.add_argument("--to", required=True, choices=("file", *SECRETS), help="what opens the keys from then on")
    rewrapped.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON")
    add_flags(rewrapped, ("home", "config", "key_source"))
    rewrapped.set_defaults(work=rewrap)
    return made


def rotate(typed: argparse.Namespace) -> int:
    """Give the store a new key."""
    settings = settings_of(typed)
    if getattr(typed, "url", "") or running_at(settings):
        return remote.answering(rotate_there, typed)
    return report(typed, rotate_here(settings))


def rotate_there(typed: argparse.Namespace, console: Client) -> int:
    """Ask the running console."""
    return report(typed, console.object("POST", "/v1/keys/rotate")["key"])


def rotate_here(settings: Settings) -> str:
    """Open the store of a home where nothing runs; the new key's id.  Raises ``StoreOwned``, ``StoreDamaged``."""
    from airgap.storage import open_journal

    require_keys(settings)
    store = open_journal(settings, SystemClock(), Bus())
    store.open()
    try:
        return store.rotate_keys()
    finally:
        store.close()


def report(typed: argparse.Namespace, key: str) -> int:
    """The id of the key that seals now."""
    if getattr(typed, "json", False):
        print_json({"key": key})
    else:
        print(f"sealing with key {key}")
    return 0


def rewrap(typed: argparse.Namespace) -> int:
    """Have the keys opened by another source, passphrase or key."""
    from airgap.storage import rewrap_keys

    settings = settings_of(typed)
    require_keys(settings)
    rewrap_keys(settings, SystemClock(), typed.to, lambda: new_secret(typed.to))
    if getattr(typed, "json", False):
        print_json({"key_source": typed.to})
        return 0
    also = f" and the new secret in {SECRETS[typed.to][1]}" if typed.to in SECRETS else ""
    print(f"{settings.home} is opened by {typed.to} now; start with HOLDFAST_KEY_SOURCE={typed.to}{also}")
    return 0


def require_keys(settings: Settings) -> None:
    """Raise ``Conflict`` for a home that has no store."""
    from airgap.storage import KEYS_FOLDER

    if not (settings.home / KEYS_FOLDER).exists():
        raise Conflict(f"there is no store in {settings.home} yet; start one with: python3 run.py")


def new_secret(source: str, environ: Mapping[str, str] = os.environ) -> Secret | None:
    """What is to open the keys: from its variable, else asked for twice.  Raises ``SettingsError`` without any."""
    if source not in SECRETS:
        return None
    variable, _, name = SECRETS[source]
    given = secret(environ.get(variable))
    if given is None and sys.stdin.isatty():
        given = secret(getpass.getpass(f"New {name}: "))
        if given != secret(getpass.getpass("Once more: ")):
            raise SettingsError(f"{source}: the two do not match; nothing was changed")
    if given is None:
        raise SettingsError(f"{source}: there is no new one; set {variable}, or run this at a terminal to be asked")
    return given
