"""History is the same in whichever order the roads of a fleet's events are read."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import open_database
from tests.integration.data.fleets import copy_of, entries, history, record, rows, shuffled

_folders = itertools.count(1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty database, which is costly to make."""
    folder = tmp_path_factory.mktemp("template")
    database = open_database("", folder)
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM marks")
    database.close()
    plain = database.plain()
    plain.all("PRAGMA wal_checkpoint(TRUNCATE)")
    plain.close()
    return folder


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 4), st.integers(1, 8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_between_roads_changes_no_row(
    template: Path, tmp_path: Path, story: int, mix: int, size: int, chunk: int
) -> None:
    told = history(story)
    straight = copy_of(template, tmp_path / str(next(_folders)))
    mixed = copy_of(template, tmp_path / str(next(_folders)))
    record(straight, entries(told))
    record(mixed, entries(shuffled(told, random.Random(mix)), size), chunk=chunk)
    try:
        expected, found = rows(straight), rows(mixed)
        for table in expected:
            assert found[table] == expected[table], table
    finally:
        straight.close()
        mixed.close()
