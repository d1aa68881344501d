"""Engines for tests: in memory and on disk, stopped at the end whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Settings

Start = Callable[..., Engine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Start]:
    """Makes engines; ``home=True`` for one on disk, which a second one on the same home follows."""
    made: list[Engine] = []

    def make(*, home: bool = False, store: Any = None, **settings: Any) -> Engine:
        given = {"workers": 4} | settings
        if home:
            engine = Engine(Settings(home=tmp_path / "home", durability="process", **given))
        else:
            engine = Engine(store=store)
            engine.settings = Settings(home=tmp_path / "unused", **given)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop(timeout=0.5)


@pytest.fixture(params=["memory", "journal"])
def engine(request: pytest.FixtureRequest, make: Start) -> Engine:
    """A running engine with four workers."""
    engine = make(home=request.param == "journal")
    engine.start()
    return engine
