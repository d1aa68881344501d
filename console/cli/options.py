"""Turns the settings into flags, and what was typed back into settings.

Every setting that is no secret has a flag of its name; secrets have none, because every user of a machine can read the
command lines of all others.  A wrong command line is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from engine.kernel import sources
from engine.kernel.settings import Option, Settings, options

#: the flags that people use, first in the help
COMMON = ("home", "host", "port", "redis", "database", "tasks", "config", "browser")
#: the flags of commands that talk to a running console
REMOTE = ("home", "host", "port", "config")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"holdfast: {message.removeprefix('argument command: ')}; see {self.prog} --help\n")


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str] | None = None) -> None:
    """Offer the flags of the settings named, of all if none are."""
    flagged = {option.name: option for option in options() if not option.secret and option.name != "queues"}
    common = parser.add_argument_group("settings")
    rarer = parser.add_argument_group("more settings")
    for name in names if names is not None else sorted(flagged, key=lambda name: name not in COMMON):
        _add(common if name in COMMON else rarer, flagged[name])


def _add(group: Any, option: Option) -> None:
    flag = "--" + option.name.replace("_", "-")
    about = option.meaning.replace("%", "%%").replace("`", "")
    if isinstance(option.default, bool):
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=about)
    elif option.name == "tasks":
        group.add_argument(flag, action="append", default=None, metavar="MODULE", help=about + " Repeatable.")
    else:
        group.add_argument(flag, default=None, metavar=_metavar(option), help=about)


def _metavar(option: Option) -> str:
    return "N" if isinstance(option.default, int) else option.name.rsplit("_", 1)[-1].upper()


def settings_of(typed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this call.  Raises ``SettingsError``."""
    flags = {option.name: getattr(typed, option.name, None) for option in options()}
    if flags["tasks"]:
        flags["tasks"] = ",".join(flags["tasks"])
    file = Path("holdfast.toml") if Path("holdfast.toml").is_file() and not flags["config"] else None
    return sources.load(flags, environ, file)


def fail(message: str, code: int) -> int:
    """Print each line of an error for a person; returns the exit code."""
    for line in str(message).splitlines():
        print(f"holdfast: {line}", file=sys.stderr)
    return code
