"""Loads plugins from a folder and registers their tasks.

For each ``<folder>/<name>/plugin.toml`` the module that the manifest names is imported and its ``tasks(services)`` asked
for functions by task name; the manifest says how they run.  Functions and manifest must name the same tasks.  One plugin
that is wrong stops the load with a line that says which: what ships must work, silence would hide it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from engine import HoldfastError, Retry, SettingsError, task
from plugins.manifest import FILE, Manifest, TaskManifest, read_manifest, settle_settings
from plugins.services import House, Services

CATALOG = Path(__file__).with_name("catalog")


class Registry(Protocol):
    """Takes tasks; ``engine.registry`` is one."""

    def register(self, task: Any) -> Any:
        """Add a declared task."""


def load_catalog(registry: Registry, house: House, names: Iterable[str] | None = None) -> list[Manifest]:
    """Register the tasks of the bundled plugins, or of those in ``names``; returns their manifests."""
    return [load_plugin(registry, house, CATALOG / name) for name in _chosen(names)]


def catalog_names() -> list[str]:
    """The bundled plugins."""
    return sorted(file.parent.name for file in CATALOG.glob(f"*/{FILE}"))


def _chosen(names: Iterable[str] | None) -> list[str]:
    there = catalog_names()
    wanted = there if names is None else list(names)
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        raise SettingsError(f"plugins: no bundled plugin {unknown[0]!r:.60}; there are {', '.join(there)}")
    return wanted


def load_plugin(registry: Registry, house: House, folder: Path) -> Manifest:
    """Register the tasks of the plugin in ``folder``, which is a package inside ``plugins.catalog``."""
    manifest = read_manifest(folder)
    options = settle_settings(manifest, house.settings.home / "plugins" / f"{manifest.name}.toml")
    functions = _functions(
        f"plugins.catalog.{folder.name}.{manifest.entry}", Services(house, manifest, options, folder)
    )
    _agree(folder / FILE, manifest, functions)
    for declared in manifest.tasks:
        registry.register(_declare(declared, functions[declared.name]))
    return manifest


def _functions(module: str, services: Services) -> Mapping[str, Callable[..., Any]]:
    try:
        found: Mapping[str, Callable[..., Any]] = importlib.import_module(module).tasks(services)
    except HoldfastError:
        raise
    except Exception as error:
        raise SettingsError(f"plugin {services.manifest.name}: {module} cannot be loaded: {error!r:.300}") from error
    return found


def _agree(file: Path, manifest: Manifest, functions: Mapping[str, Callable[..., Any]]) -> None:
    odd = sorted({declared.name for declared in manifest.tasks} ^ functions.keys())
    if odd:
        where = "its code, not in its manifest" if odd[0] in functions else "its manifest, not in its code"
        raise SettingsError(f"{file}: task {odd[0]!r} is in {where}")


def _declare(declared: TaskManifest, function: Callable[..., Any]) -> Any:
    backoff = declared.backoff
    return task(
        name=declared.name,
        queue=declared.queue,
        max_attempts=declared.max_attempts,
        timeout=declared.timeout,
        isolation=declared.isolation,
        backoff=Retry(
            initial=backoff.initial, maximum=backoff.maximum, multiplier=backoff.multiplier, jitter=backoff.jitter
        ),
    )(function)
