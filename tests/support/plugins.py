"""Plugins for tests: the catalog loaded into a registry, its functions by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import Settings
from engine.queue.registry import Registry
from plugins.loader import load_catalog
from plugins.services import House


def functions(home: Path, *, house: dict[str, Any] | None = None, **settings: Any) -> dict[str, Callable[..., Any]]:
    """The bundled tasks' functions by name, as a real registry has them."""
    registry = Registry()
    load_catalog(registry, House(Settings(home=home, **settings), **(house or {})))
    return {name: registry.get(name).func for name in registry.names()}


def configure(home: Path, plugin: str, text: str) -> None:
    """What an operator would write into the plugin's own settings file."""
    file = home / "plugins" / f"{plugin}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
