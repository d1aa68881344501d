"""Keeping several processes running: real ones, that do nothing but end or stay."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from console.cli.crew import FIRST_PAUSE, LONGEST_PAUSE, WELL, Crew
from engine.kernel.clock import SystemClock
from tests.support.waiting import until

STAY = "import sys, time; sys.stdin.read()"


def crew(source: str, size: int = 1) -> Crew:
    return Crew([sys.executable, "-c", source], size, SystemClock())


def test_all_are_started_and_ended() -> None:
    made = crew(STAY, 3)
    assert made.run_once(0.0)[0] == 0
    pids = {member.process.pid for member in made.members if member.process is not None}
    assert len(pids) == 3
    made.end()
    assert all(member.process is not None and member.process.poll() is not None for member in made.members)


def test_one_that_died_is_started_anew_at_once_and_later_each_time_it_does_not_last() -> None:
    made = crew("raise SystemExit(1)")
    [member] = made.members
    now, pauses = 0.0, []
    for _ in range(4):
        made.run_once(now)
        process = member.process
        assert process is not None
        process.wait(60)
        made.run_once(now)
        pauses.append(member.due - now)
        if member.process is not None:
            member.process.wait(60)
            made.run_once(now)
        now = member.due
    assert pauses[0] == 0.0 and pauses[1:] == sorted(pauses[1:])
    assert FIRST_PAUSE < pauses[-1] <= LONGEST_PAUSE
    made.end()


def test_one_that_was_well_for_a_while_is_started_anew_at_once() -> None:
    made = crew("raise SystemExit(1)")
    [member] = made.members
    member.pause = LONGEST_PAUSE
    made.run_once(0.0)
    assert member.process is not None
    member.process.wait(60)
    made.run_once(WELL)
    assert member.process is not None and member.pause == 0.0
    made.end()


def test_wrong_settings_of_one_end_them_all(tmp_path: Path) -> None:
    made = crew("import sys; sys.exit(2) if sys.argv[-1] == '2' else sys.stdin.read()", 2)
    assert made.run(threading.Event()) == 2
    assert all(member.process is None or member.process.poll() is not None for member in made.members)


def test_it_runs_until_it_is_told_to_stop() -> None:
    made, stop = crew(STAY), threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,), name="crew")
    thread.start()
    until(lambda: made.members[0].process is not None, what="it runs")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
