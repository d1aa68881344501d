"""Limits that were set by hand stand above the settings, over restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Engine, ValidationError


def info(engine: Engine, name: str) -> tuple[int | None, str | None, int]:
    found = next(queue for queue in engine.queues() if queue.name == name)
    return found.concurrency, found.rate_limit, found.priority


def test_limits_set_by_hand_are_there_after_a_restart(tmp_path: Path) -> None:
    engine = Engine(home=tmp_path / "home")
    preset = info(engine, "emails")
    engine.set_limits("emails", concurrency=3, rate_limit="5/s")
    engine.set_limits("emails", concurrency=4)
    engine.stop()
    again = Engine(home=tmp_path / "home")
    assert info(again, "emails") == (4, "5/s", preset[2])
    again.set_limits("emails", rate_limit=None)
    assert info(again, "emails") == (4, None, preset[2])
    again.stop()


def test_wrong_limits_are_refused_and_not_kept(tmp_path: Path) -> None:
    engine = Engine(home=tmp_path / "home")
    with pytest.raises(ValidationError, match="rate_limit"):
        engine.set_limits("emails", rate_limit="fast")
    engine.stop()
    again = Engine(home=tmp_path / "home")
    assert info(again, "emails")[1] is None
    again.stop()
