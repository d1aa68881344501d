"""``run.py audit verify``: whether the audit is as it was written.

It reads the database itself, whether a console runs or not, so that nobody need trust the process that is audited.  The
chain has no key: who can write the database can cut off its end or make it all anew.  A head that was kept elsewhere
shows both, so each run prints the head of now and takes one of before.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.cli.findings import Finding, error, line_of, ok
from console.cli.options import Parser, add_flags, settings_of
from console.cli.tables import print_json
from engine.kernel.errors import Conflict, SettingsError
from engine.kernel.settings import Settings

if TYPE_CHECKING:
    from data.database import Database

#: where a changed audit is compared
MEND = "compare it with a backup; somebody, or a damaged disk, has changed the database"


def main(argv: Sequence[str]) -> int:
    typed = parser().parse_args(argv)
    database = existing(settings_of(typed))
    try:
        found = finding(database, typed.head)
    finally:
        database.close()
    if typed.json:
        print_json(found._asdict())
    else:
        print(line_of(found))
    return 0 if found.level == "ok" else 1


def parser() -> argparse.ArgumentParser:
    made = Parser(prog="run.py audit", description="Who did what.")
    commands = made.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    about = "check that no entry was changed or taken out; reads the database itself"
    verified = commands.add_parser("verify", help=about, description=about)
    verified.add_argument(
        "--head", type=head_of, metavar="N:HASH", help="as an earlier run told it: must still be there"
    )
    verified.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    add_flags(verified, ("home", "config", "database"))
    return made


def head_of(text: str) -> tuple[int, str]:
    """``12:ab34…`` as number and hash."""
    number, _, digest = text.partition(":")
    if not number.isascii() or not number.isdigit() or len(digest) != 64:
        raise argparse.ArgumentTypeError("expected the number and hash that audit verify printed, such as 12:ab34…")
    return int(number), digest


def existing(settings: Settings) -> Database:
    """The history database as it stands.  Raises ``Conflict`` if there is none, ``SettingsError`` if it does not answer."""
    from data.database import REVISION, open_database, revision

    none = Conflict(f"there is no audit of this version in {settings.home} yet; start it with: python3 run.py")
    if not settings.database and not (settings.home / "holdfast.db").exists():
        raise none
    database = open_database(settings.database, settings.home, migrate=False)
    try:
        found = revision(database)
    except Exception as wrong:  # every driver has errors of its own
        reason = str(wrong).splitlines()[0]
        raise SettingsError(f"database: {database} does not answer: {reason:.200}; check --database") from None
    if found != REVISION:
        raise none
    return database


def finding(database: Database, before: tuple[int, str] | None = None) -> Finding:
    """Whether the chain is whole, and still has the head of ``before`` in it."""
    from sqlalchemy.exc import SQLAlchemyError

    from data import audit

    try:
        number, digest = audit.head(database)
        broken = audit.verify(database)
        held = before is None or audit.holds(database, *before)
    except SQLAlchemyError as wrong:
        return error("audit", f"it cannot be read: {str(wrong).splitlines()[0]:.200}", MEND)
    if broken is not None:
        return error("audit", f"entry {broken} is not as it was written, or what was before it is gone", MEND)
    if before and not held:
        return error("audit", f"entry {before[0]} is not the one of then: the end was cut off, or all made anew", MEND)
    return ok("audit", f"{number:,} entries, none changed; head {number}:{digest}" if number else "empty")
