from __future__ import annotations

import logging
import threading

import pytest

from engine.kernel.clock import FakeClock
from engine.kernel.errors import ValidationError
from engine.kernel.events import Event, JobLogged, JobOutput, JobProgressed
from engine.kernel.job import Job, JobState
from engine.workers.sink import INTERVAL, LINE_LENGTH, LINES, OUTPUTS, AttemptSink


def a_job() -> Job:
    return Job("id", "q", "t", b"{}", 5, "", 0.0, 0.0, 0.0, 1, 0.0, "", JobState.RUNNING, 1)


class Room:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.said: list[Event] = []
        self.wish = False
        self.sink = AttemptSink(a_job(), 7, self.said.append, lambda: self.wish, self.clock)

    def progress(self) -> list[tuple[float, str]]:
        return [(event.value, event.message) for event in self.said if isinstance(event, JobProgressed)]

    def lines(self) -> list[str]:
        return [text for event in self.said if isinstance(event, JobLogged) for _, _, text in event.lines]


@pytest.fixture
def room() -> Room:
    return Room()


def test_progress_is_told_at_most_ten_times_a_second_and_the_last_word_always(room: Room) -> None:
    for number in range(100):
        room.sink.progress(number / 100, str(number))
    assert room.progress() == [(0.0, "0")]
    room.clock.advance(INTERVAL)
    room.sink.progress(0.995, "later")
    room.sink.progress(1.0, "last")
    room.sink.flush()
    room.sink.flush()
    assert room.progress() == [(0.0, "0"), (0.995, "later"), (1.0, "last")]


def test_lines_are_gathered_and_all_told_in_order(room: Room) -> None:
    for number in range(50):
        room.sink.line(logging.INFO, f"{number}")
    assert len(room.said) == 1
    room.sink.flush()
    assert room.lines() == [str(number) for number in range(50)] and len(room.said) == 2


def test_lines_are_bounded_in_number_and_length_and_the_last_says_so(room: Room) -> None:
    for _ in range(LINES * 3):
        room.sink.line(logging.ERROR, "x" * (LINE_LENGTH * 2))
    room.sink.flush()
    assert len(room.lines()) == LINES and {len(text) for text in room.lines()[:-1]} == {LINE_LENGTH}
    assert "no more than" in room.lines()[-1]


def test_levels_are_told_by_name(room: Room) -> None:
    for level in (logging.DEBUG, logging.WARNING, 25):
        room.sink.line(level, "x")
    room.sink.flush()
    levels = [level for event in room.said if isinstance(event, JobLogged) for _, level, _ in event.lines]
    assert levels == ["debug", "warning", "level 25"]


def test_outputs_are_told_at_once_and_bounded(room: Room) -> None:
    for number in range(OUTPUTS):
        room.sink.output("n" * 500, str(number).encode())
    with pytest.raises(ValidationError, match=f"at most {OUTPUTS} outputs"):
        room.sink.output("one more", b"1")
    outputs = [event for event in room.said if isinstance(event, JobOutput)]
    assert len(outputs) == OUTPUTS and {len(output.name) for output in outputs} == {100}


def test_a_wish_to_stop_is_heard(room: Room) -> None:
    assert not room.sink.cancelled()
    room.wish = True
    assert room.sink.cancelled()


def test_many_threads_may_speak_at_once(room: Room) -> None:
    def speak(name: str) -> None:
        for number in range(100):
            room.sink.line(logging.INFO, f"{name}{number}")

    threads = [threading.Thread(target=speak, args=(name,)) for name in "abcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    room.sink.flush()
    assert len(room.lines()) == len(set(room.lines())) == 500
