"""What a plugin is handed when it is loaded.

A plugin never looks for its surroundings: no environment, no global engine, no path of its own making.  It gets one
``Services`` value, cut down to what its manifest asks for, and asking for more is an error that names the permission.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine import Settings, SettingsError
from engine.kernel.clock import Clock, SystemClock
from plugins.manifest import Manifest, Setting, plain


class House(msgspec.Struct, frozen=True):
    """What the composition root gives to the loader."""

    settings: Settings
    #: opens, or hands out, the history database; called when a task first needs it
    open_database: Callable[[], Any] | None = None
    clock: Clock = SystemClock()
    #: where ``HOLDFAST_SECRET_<PLUGIN>_<NAME>`` is looked up
    environ: Mapping[str, str] = {}


class Services(msgspec.Struct, frozen=True):
    """One plugin's share of the house."""

    house: House
    manifest: Manifest
    #: its settings, settled
    options: Mapping[str, Setting]
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.house.settings

    @property
    def clock(self) -> Clock:
        return self.house.clock

    def option(self, name: str) -> Any:
        """One of the plugin's settings."""
        return self.options[name]

    def readable(self) -> tuple[Path, ...]:
        """Folders that the plugin may read: its own, those of its manifest, those in its setting ``folders``."""
        named = (*self.manifest.permissions.read, *self.options.get("folders", ()))  # type: ignore[misc]
        return (*((self.settings.home / name).resolve() for name in named), self.folder.resolve())

    def database(self) -> Any:
        """The history database."""
        self._need("database", self.manifest.permissions.database)
        if self.house.open_database is None:
            raise SettingsError("there is no history database in this process; start it with run.py")
        return self.house.open_database()

    def secret(self, name: str) -> str:
        """A secret of the plugin: from the environment, else from ``<home>/secrets/<plugin>.toml``; ``KeyError`` if
        there is none of that name."""
        self._need("secrets", self.manifest.permissions.secrets)
        variable = f"HOLDFAST_SECRET_{self.manifest.name}_{name}".upper().replace("-", "_")
        found = self.house.environ.get(variable)
        return found if found else read_secrets(self.settings.home / "secrets" / f"{self.manifest.name}.toml")[name]

    def _need(self, permission: str, granted: bool) -> None:
        if not granted:
            raise SettingsError(f"plugin {self.manifest.name} has no permission {permission!r} in its manifest")


def read_secrets(file: Path) -> dict[str, str]:
    """Name → secret from a TOML file that only its owner may read; no file is no secrets.  No message holds a value."""
    try:
        with file.open("rb") as stream:
            if os.name == "posix" and os.fstat(stream.fileno()).st_mode & 0o077:
                raise SettingsError(f"{file}: others may read it; run: chmod 600 {file}")
            return msgspec.toml.decode(stream.read(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.ValidationError as error:
        raise SettingsError(f'{file}: expected lines of name = "secret"; {plain(error)}') from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SettingsError(f"{file}: it is not valid TOML") from None
