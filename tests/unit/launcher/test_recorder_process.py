"""The supervisor of the recorder, with children that behave in every way a recorder may."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airgap.segment import UnknownKey
from console.cli import recorder
from console.cli.recorder import Followed, Progress, RecorderProcess
from console.cli.recorder_order import Silence
from engine.kernel.clock import FakeClock, SystemClock
from engine.kernel.errors import HoldfastError
from engine.kernel.events import QueuePaused
from engine.kernel.settings import Settings
from engine.storage.base import Stretch
from tests.support.waiting import until

Supervise = Callable[[str], RecorderProcess]


@pytest.fixture
def supervise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervise]:
    """Makes a supervisor whose child runs the given lines instead of run.py."""
    made: list[RecorderProcess] = []
    monkeypatch.setattr(recorder, "FIRST_PAUSE", 0.01)

    def make(lines: str, release: Callable[[str, int], None] = lambda name, mark: None) -> RecorderProcess:
        child = tmp_path / "child.py"
        child.write_text("import json, os, sys\norder = json.loads(sys.stdin.readline())\n" + lines)
        made.append(RecorderProcess(Settings(home=tmp_path), lambda: b"keys", release, child, SystemClock()))
        made[-1].start()
        return made[-1]

    yield make
    for process in made:
        process.stop()


WELL = 'print(json.dumps({"mark": 7, "lag": 0.5}), flush=True)\nos.read(0, 1)\n'


def test_it_is_told_where_and_with_which_keys_and_tells_how_far_it_is(supervise: Supervise, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    process = supervise(
        "open(order['home'] + '/order', 'w').write(json.dumps(order))\n" + WELL, lambda *mark: told.append(mark)
    )  # type: ignore[call-arg]
    until(lambda: process.progress == Progress(7, 0.5))
    until(lambda: told == [("recorder", 7)])
    assert process.running
    assert process.restarts == 0
    order = json.loads((tmp_path / "order").read_text())
    assert order["home"] == str(tmp_path)
    assert base64.b64decode(order["keys"]) == b"keys"


def test_it_ends_with_its_pipe(supervise: Supervise) -> None:
    process = supervise(WELL)
    until(lambda: process.progress.mark == 7)
    process.stop(timeout=60)
    assert not process.running


def test_one_that_dies_is_started_anew_each_time(supervise: Supervise) -> None:
    process = supervise("sys.exit(3)\n")
    until(lambda: process.restarts >= 3)


def test_one_whose_keys_are_old_is_given_new_ones_at_once(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FIRST_PAUSE", 3600.0)
    process = supervise(f"sys.exit({recorder.KEYS_CHANGED})\n")
    until(lambda: process.restarts >= 2)


def test_one_that_hangs_is_killed_in_the_end(supervise: Supervise) -> None:
    process = supervise(
        "import signal, threading\nprint(json.dumps({'mark': 1, 'lag': 0}), flush=True)\nthreading.Event().wait()\n"
    )
    until(lambda: process.progress.mark == 1)
    process.stop(timeout=0.2)
    until(lambda: not process.running)


def test_nonsense_from_it_and_a_store_that_is_closed_stop_nobody(
    supervise: Supervise, caplog: pytest.LogCaptureFixture
) -> None:
    def closed(name: str, mark: int) -> None:
        raise HoldfastError("the store is not open")

    with caplog.at_level(logging.WARNING, "holdfast.recorder"):
        process = supervise("print('nonsense', flush=True)\n" + WELL, closed)  # type: ignore[call-arg]
        until(lambda: process.progress.mark == 7)
    assert "what is no progress" in caplog.text


def test_it_is_told_to_be_silent_while_the_link_is_kept_cut(tmp_path: Path) -> None:
    child, cut = tmp_path / "child.py", threading.Event()
    child.write_text(
        "import json, os, sys, threading\n"
        "order = json.loads(sys.stdin.readline())\n"
        "heard = bytearray(b'h' if order['redis']['silent'] else b's')\n"
        "def listen():\n"
        "    while told := os.read(0, 10): heard.extend(told)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=listen, daemon=True).start()\n"
        "while not threading.Event().wait(0.02):\n"
        "    print(json.dumps({'mark': 1, 'lag': 0.0}), flush=True)\n"
        "    open(sys.argv[0] + '.heard', 'wb').write(bytes(heard))\n"
    )
    heard = tmp_path / "child.py.heard"
    settings = Settings(home=tmp_path, redis="redis://127.0.0.1:1/0")
    cut.set()
    process = RecorderProcess(settings, lambda: b"", lambda name, mark: None, child, SystemClock(), cut.is_set)
    process.start()
    try:
        until(lambda: heard.exists() and heard.read_bytes() == b"h")
        cut.clear()
        until(lambda: heard.read_bytes() == b"hs")
        cut.set()
        until(lambda: heard.read_bytes() == b"hsh")
    finally:
        process.stop()


def test_a_silence_reaches_the_client_whoever_was_first() -> None:
    class Client:
        reason: str | None = None

        def silence(self, reason: str) -> None:
            self.reason = reason

    silence, client = Silence(True), Client()
    silence.bind(client)
    assert client.reason
    silence.hear(b"hs")
    assert client.reason == ""
    silence.hear(b"sh")
    assert client.reason


class Log:
    """Segments 1 to ``end`` with one event each; ``sealed`` and above need a key that the reader does not have."""

    node = ""

    def __init__(self, end: int, sealed: int = 10**9) -> None:
        self.end = end
        self.sealed = sealed
        self.asked: list[int] = []

    def head(self) -> int:
        return self.end

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        self.asked.append(most)
        for number in range(after + 1, min(self.end, after + most) + 1):
            if number >= self.sealed:
                raise UnknownKey("sealed with another key")
            yield Stretch(number, [QueuePaused(0.0, f"q{number}")])


def followed(log: Log, clock: FakeClock) -> Followed:
    return Followed(log, clock, threading.Event())


def test_the_journal_is_read_a_few_segments_at_a_time_and_completely() -> None:
    log = Log(40)
    assert [number for number, *_ in followed(log, FakeClock()).read(0, 512)] == list(range(1, 41))
    assert max(log.asked) == recorder.SLICE


def test_no_more_is_read_than_was_asked_for() -> None:
    assert [number for number, *_ in followed(Log(40), FakeClock()).read(0, 20)] == list(range(1, 21))


def test_history_is_behind_since_it_was_last_level_with_the_journal() -> None:
    clock = FakeClock()
    log = Log(0)
    view = followed(log, clock)
    view.head()
    list(view.read(0))
    clock.advance(100)
    log.end = 5
    view.head()
    list(view.read(0))
    assert view.progress().lag == 100.0
    clock.advance(1)
    list(view.read(5))
    assert view.progress() == Progress(5, 0.0)


def test_a_key_that_is_not_known_ends_the_recorder_after_what_it_could_read() -> None:
    view = followed(Log(40, sealed=20), FakeClock())
    assert [number for number, *_ in view.read(0, 512)] == list(range(1, 20))
    assert view.keys_changed
