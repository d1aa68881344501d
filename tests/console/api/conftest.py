"""One console for all tests of a module; jobs are told apart by their ids."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.console.api import works
from tests.support.consoles import Running, running


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("home"), [works.__name__]) as made:
        yield made
        works.gate.set()


@pytest.fixture
def http(console: Running) -> Iterator[httpx.Client]:
    with console.http() as client:
        yield client


@pytest.fixture(autouse=True)
def _gate_is_shut() -> Iterator[None]:
    works.gate.clear()
    yield
    works.gate.set()
