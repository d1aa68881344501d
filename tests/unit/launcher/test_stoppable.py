"""A stop that is asked for while everything is still being made."""

from __future__ import annotations

import signal
import sys

import pytest

from console.cli.start import stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_block_and_its_handlers_are_as_before(number: int) -> None:
    before = signal.getsignal(number)
    reached = []
    with stoppable():
        signal.raise_signal(number)
        reached.append("after the signal")
    assert not reached and signal.getsignal(number) is before


def test_a_signal_that_came_within_a_finalizer_is_heard_before_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    reached = []
    with stoppable() as check:
        Dying()
        reached.append("after the signal")
        check()
        reached.append("after the check")
    assert reached == ["after the signal"]
