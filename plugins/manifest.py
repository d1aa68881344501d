"""What a plugin says about itself: ``plugin.toml``, read and checked.

The manifest is the only place that says under which names, in which queues and with which limits a plugin's tasks run;
its code only brings the functions.  A wrong manifest is one line: file, key, what is wrong.  Nothing here imports the
plugin's code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine import SettingsError

FILE = "plugin.toml"
Setting = str | int | float | bool | list[str]

_PLUGIN = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_VERSION = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.\-]+)?\Z")
_TASK = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\Z")


class Backoff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How attempts of a task are spread after failures; seconds."""

    initial: float = 1.0
    maximum: float = 300.0
    multiplier: float = 2.0
    jitter: bool = True


class TaskManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task of a plugin."""

    #: ``plugin.verb``
    name: str
    description: str = ""
    queue: str = "plugin-jobs"
    max_attempts: int = 3
    #: seconds one attempt may run
    timeout: float = 60.0
    isolation: Literal["thread", "process"] = "thread"
    backoff: Backoff = Backoff()


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plugin may reach; it is handed nothing else."""

    #: ``public`` is every address that is not private, unless the settings open those too
    network: Literal["none", "public"] = "none"
    #: folders it may read, absolute or under home
    read: tuple[str, ...] = ()
    #: the history database
    database: bool = False
    #: names from ``<home>/secrets/<plugin>.toml``
    secrets: bool = False


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of one attempt's child process, where the plugin uses one."""

    memory_mb: int = 512
    cpu_seconds: int = 60


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole ``plugin.toml``."""

    name: str
    version: str
    description: str
    tasks: tuple[TaskManifest, ...]
    #: module inside the plugin's folder that has ``tasks(services)``
    entry: str = "tasks"
    permissions: Permissions = Permissions()
    limits: Limits = Limits()
    #: what an operator may change, with the defaults
    settings: dict[str, Setting] = {}


def read_manifest(folder: Path) -> Manifest:
    """The manifest in ``folder``; ``SettingsError`` says in one line what is wrong with it."""
    file = folder / FILE
    manifest = _decode(file)
    problem = _problem(manifest, folder.name)
    if problem:
        raise SettingsError(f"{file}: {problem}")
    return manifest


def _decode(file: Path) -> Manifest:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Manifest)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {plain(error)}") from error


def plain(error: Exception) -> str:
    """A decoding error as ``tasks[0].timeout: Expected `float`, got `str```."""
    what, _, where = str(error).partition(" - at `$")
    return f"{where.strip('.`')}: {what}" if where else what


def _problem(manifest: Manifest, folder: str) -> str:
    """What no type says, or "" when all is well."""
    if not _PLUGIN.match(manifest.name) or manifest.name != folder:
        return f"name: expected the name of its folder, {folder!r}, in lower case, got {manifest.name!r:.60}"
    if not _VERSION.match(manifest.version):
        return f'version: expected three numbers such as "1.0.0", got {manifest.version!r:.60}'
    if not manifest.entry.isidentifier():
        return f"entry: expected the name of a module in its folder, got {manifest.entry!r:.60}"
    if not manifest.tasks:
        return "tasks: expected at least one [[tasks]] table, got none"
    if manifest.limits.memory_mb < 64 or manifest.limits.cpu_seconds < 1:
        return "limits: expected memory_mb of 64 or more and cpu_seconds of 1 or more"
    return next(filter(None, (_task_problem(t, i, manifest) for i, t in enumerate(manifest.tasks))), "")


def _task_problem(task: TaskManifest, index: int, manifest: Manifest) -> str:
    at = f"tasks[{index}]"
    if not _TASK.match(task.name) or not task.name.startswith(f"{manifest.name}."):
        return f'{at}.name: expected "{manifest.name}.verb" in lower case, got {task.name!r:.60}'
    if any(other.name == task.name for other in manifest.tasks[:index]):
        return f"{at}.name: {task.name!r} is there twice; give each task a name of its own"
    if task.max_attempts < 1:
        return f"{at}.max_attempts: expected 1 or more, got {task.max_attempts}"
    if task.timeout <= 0:
        return f"{at}.timeout: expected seconds above 0, got {task.timeout:g}"
    return ""


def settle_settings(manifest: Manifest, file: Path) -> dict[str, Setting]:
    """The plugin's settings: its defaults, with what the operator wrote into ``file`` over them."""
    if not file.is_file():
        return dict(manifest.settings)
    try:
        chosen = msgspec.toml.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {plain(error)}") from error
    return {**manifest.settings, **{key: _setting(manifest.settings, key, chosen[key], file) for key in chosen}}


def _setting(defaults: Mapping[str, Setting], key: str, value: Any, file: Path) -> Setting:
    if key not in defaults:
        near = difflib.get_close_matches(key, defaults, 1)
        mend = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(defaults)) or 'no settings'}"
        raise SettingsError(f"{file}: {key}: no such setting; {mend}")
    default = defaults[key]
    try:
        kind: Any = list[str] if isinstance(default, list) else type(default)
        return msgspec.convert(value, kind)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {key}: {plain(error)}") from error
