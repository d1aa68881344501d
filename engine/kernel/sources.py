"""Where settings come from: flag, environment, file, default, in this order; the first that is given counts.

``load`` looks at everything before it gives up, so that a person sees all that is wrong at once, each in one line:
what, where it was set, the mend.  A value is refused where it stands, also when a stronger source hides it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.kernel.errors import SettingsError
from engine.kernel.settings import Option, Settings, options

PREFIX = "HOLDFAST_"
#: variables with the prefix that are no settings: for operator commands, the launcher and the test suite
OTHERS = frozenset({"TOKEN", "URL", "NEW_KEY", "NEW_PASSPHRASE", "WHEELS", "REQUIRE_PROGRAMS", "PYTHON"})


class Given(NamedTuple):
    """A value and the place where it was set."""

    value: Any
    #: as a person finds it: ``--port``, ``HOLDFAST_PORT``, ``port in /etc/holdfast.toml``
    where: str
    #: how the example is written in that place
    mend: str


def load(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings of this start.  ``file`` is read unless a flag or ``HOLDFAST_CONFIG`` names another.

    Raises ``SettingsError`` with one line per problem.
    """
    problems: list[str] = []
    config = _config(flags, environ, file)
    table = _read(config, problems) if config else {}
    problems += unknown(table, environ, config)
    found = {
        option.name: value for option in options() for value in _settle(option, flags, environ, table, config, problems)
    }
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**found | {"config": config})


def _config(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None) -> Path | None:
    named = flags.get("config") or environ.get(f"{PREFIX}CONFIG") or file
    return Path(named).expanduser().absolute() if named else None


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        problems.append(f"config: there is no file {file}; make it or name another with --config")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"config: {file} cannot be read: {error}; mend its rights or name another with --config")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"config: {file} is no TOML: {error}; mend that line")
    return {}


def unknown(table: Mapping[str, Any], environ: Mapping[str, str], file: Path | None) -> Iterator[str]:
    """Keys of the file that are no settings, and variables that look like a misspelt one.

    Other variables with our prefix are left alone: container platforms make some up from a service's name.
    """
    names = [option.name for option in options()]
    for key in table:
        if key not in names or key == "config":
            near = difflib.get_close_matches(key.replace("-", "_"), names, 1)
            yield f"{key} in {file}: there is no such setting; " + (
                f"did you mean {near[0]}?" if near else "take it away"
            )
    for variable in environ:
        name = variable.removeprefix(PREFIX)
        if name == variable or name in OTHERS or name.lower() in names:
            continue
        if near := difflib.get_close_matches(name.lower(), names, 1, 0.75):
            yield f"{variable}: there is no such setting; did you mean {PREFIX}{near[0].upper()}?"


def _settle(
    option: Option,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    table: Mapping[str, Any],
    file: Path | None,
    problems: list[str],
) -> Iterator[Any]:
    """The strongest value of one setting, if any; adds what is wrong to ``problems``."""
    values = []
    for given in _given(option, flags, environ, table, file):
        try:
            values.append(option.parse(given.value))
        except ValueError as error:
            problems.append(f"{option.name}: {error} (from {given.where}); try {given.mend}")
    yield from values[:1]


def _given(
    option: Option, flags: Mapping[str, Any], environ: Mapping[str, str], table: Mapping[str, Any], file: Path | None
) -> Iterator[Given]:
    name, example = option.name, option.example
    flag, variable = "--" + name.replace("_", "-"), PREFIX + name.upper()
    if flags.get(name) is not None:
        yield Given(flags[name], flag, f"{flag} {example}")
    if variable in environ:
        yield Given(environ[variable], variable, f"{variable}={example}")
    if name in table and name != "config":
        yield Given(table[name], f"{name} in {file}", f"{name} = {_toml(example)}")


def _toml(example: str) -> str:
    plain = example in {"true", "false"} or example.replace(".", "", 1).isdigit()
    return example if plain or example.startswith("{") else f'"{example}"'
