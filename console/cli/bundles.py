"""``run.py airgap export``, ``import``, ``bundles``, ``trust`` and their like: homes that meet by file only.

A file that is written is on its disk when the command ends; one that could not be written whole is not left behind.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from console.cli import remote
from console.cli.tables import plain, print_json, print_table
from engine.remote import Client

COLUMNS = ("id", "direction", "kind", "peer", "at", "jobs", "done", "state")
TRUSTED = ("name", "fingerprint", "at", "by")
MEDIA_TYPE = "application/vnd.holdfast.bundle"
#: bytes read and sent at a time
PIECE = 2**18


class NoFile(remote.WrongCall):
    """The file that was named cannot be used."""


def add(commands: Any) -> None:
    """Offer them."""
    remote.command(commands, "identity", "the public card of this home, for others to trust", identity)
    trusting = remote.command(
        commands, "trust", "take in bundles of the home whose card this is, and seal to it", trust
    )
    trusting.add_argument("card")
    trusting.add_argument("--name", default="", help="what it is called here; its own name if left out")
    remote.command(commands, "trusted", "homes that are trusted", trusted)
    remote.command(commands, "distrust", "trust a home no more", distrust).add_argument("name")
    _add_export(commands)
    importing = remote.command(commands, "import", "take a bundle in", take)
    importing.add_argument("file", type=Path)
    importing.add_argument("--dry-run", action="store_true", help="only look into it")
    remote.command(commands, "bundles", "bundles that were made and taken in", list_bundles)
    about = "expect nothing more of a bundle: its jobs go on here"
    remote.command(commands, "release-bundle", about, release).add_argument("id")


def _add_export(commands: Any) -> None:
    made = remote.command(
        commands, "export", "write jobs that wait here, or results that are owed, into a file", export
    )
    made.add_argument("file", type=Path)
    whose = made.add_mutually_exclusive_group(required=True)
    whose.add_argument("--to", action="append", metavar="NAME", help="a trusted home; may be repeated")
    whose.add_argument("--again", metavar="ID", help="the file of a bundle that was made before")
    made.add_argument("--results", action="store_true", help="what became of the jobs that came from there")
    made.add_argument("--queue", action="append", default=[], help="jobs of this queue only; may be repeated")
    made.add_argument("--state", action="append", default=[], choices=("available", "scheduled", "retryable"))
    made.add_argument("--limit", type=int, metavar="N", help="so many at most")


def identity(typed: argparse.Namespace, console: Client) -> int:
    """Print the card, and nothing else, so that it can be piped."""
    card = console.object("GET", "/v1/airgap/identity")
    if getattr(typed, "json", False):
        print_json(card)
    else:
        print(card["card"])
    return 0


def trust(typed: argparse.Namespace, console: Client) -> int:
    """Trust a home."""
    made = console.object("POST", "/v1/airgap/trust", body={"card": typed.card, "name": typed.name})
    return told(
        typed, made, f"{made['name']} is trusted; its fingerprint is {made['fingerprint']}: compare it with its own"
    )


def trusted(typed: argparse.Namespace, console: Client) -> int:
    """All of them."""
    found = console.object("GET", "/v1/airgap/trust")
    if getattr(typed, "json", False):
        print_json(found)
    else:
        print_table(found["trusted"], TRUSTED, "no home is trusted yet; trust one with: airgap trust CARD")
    return 0


def distrust(typed: argparse.Namespace, console: Client) -> int:
    """Trust a home no more."""
    console.call("DELETE", f"/v1/airgap/trust/{remote_name(typed.name)}")
    return told(typed, {"name": typed.name}, f"{typed.name} is trusted no more")


def export(typed: argparse.Namespace, console: Client) -> int:
    """Have a bundle made and write it to a file that is not there yet."""
    file = new_file(typed.file)
    try:
        with file:
            headers = fetched(typed, console, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        typed.file.unlink(missing_ok=True)
        raise
    answer = {"id": headers["x-holdfast-bundle"], "jobs": int(headers["x-holdfast-jobs"]), "file": str(typed.file)}
    kind = headers["x-holdfast-kind"]
    return told(typed, answer, f"bundle {answer['id']} with {counted(answer['jobs'], kind)} is in {typed.file}")


def fetched(typed: argparse.Namespace, console: Client, file: BinaryIO) -> Mapping[str, str]:
    """Write the file that the console answers; what it says of it."""
    if typed.again:
        return console.download("GET", f"/v1/airgap/bundles/{remote_name(typed.again)}/file", file.write)
    kind = "results" if typed.results else "jobs"
    asked = {"to": typed.to, "kind": kind, "queues": typed.queue, "states": typed.state, "limit": typed.limit}
    return console.download("POST", "/v1/airgap/bundles", file.write, asked)


def new_file(path: Path) -> BinaryIO:
    """A file of the user's own; what is there is not written over.  Raises ``NoFile``."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise NoFile(f"file: {path} cannot be made ({error.strerror}); name one that is not there yet") from None


def take(typed: argparse.Namespace, console: Client) -> int:
    """Take a bundle in."""
    try:
        with typed.file.open("rb") as file:
            answer = console.upload("/v1/airgap/bundles", pieces(file), MEDIA_TYPE, dry_run=str(typed.dry_run).lower())
    except OSError as error:
        raise NoFile(f"file: {typed.file} cannot be read ({error.strerror})") from None
    return told(typed, answer, "\n".join(lines(answer)))


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """A file bit by bit."""
    while piece := file.read(PIECE):
        yield piece


def lines(answer: dict[str, Any]) -> Iterator[str]:
    """What came of it, in words."""
    yield f"bundle {answer['id']} from {plain(answer['peer'])}: {counted(answer['count'], answer['kind'])}"
    if answer["dry_run"]:
        yield f"only looked at; {answer['known']} known already"
    else:
        names = ("new", "known", "merged", "conflicts", "refused")
        yield ", ".join(f"{answer[name]} {name}" for name in names if answer[name] or name == "new")
    if answer["unknown_tasks"]:
        yield f"no task of these names is loaded here, their jobs wait: {plain(', '.join(answer['unknown_tasks']))}"


def list_bundles(typed: argparse.Namespace, console: Client) -> int:
    """All bundles."""
    found = console.object("GET", "/v1/airgap/bundles")
    if getattr(typed, "json", False):
        print_json(found)
    else:
        print_table(found["bundles"], COLUMNS, "no bundle was made or taken in yet")
    return 0


def release(typed: argparse.Namespace, console: Client) -> int:
    """Expect nothing more of one."""
    answer = console.object("POST", f"/v1/airgap/bundles/{remote_name(typed.id)}/release")
    return told(typed, answer, f"{counted(answer['released'], 'jobs')} released")


def remote_name(name: str) -> str:
    """A name as one part of a path."""
    from urllib.parse import quote

    return quote(name, safe="")


def counted(number: int, kind: str) -> str:
    """So many jobs or results."""
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"


def told(typed: argparse.Namespace, answer: Any, text: str) -> int:
    """The answer as JSON or as text."""
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        print(text)
    return 0
