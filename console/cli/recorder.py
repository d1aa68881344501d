"""The recorder as a process of its own, and the supervisor that keeps it alive.

The recorder follows the journal, and in a fleet the streams of Redis, and writes history; inside the engine's process it
would halve the engine.  The supervisor starts ``run.py recorder``, hands it what it needs over a pipe (keys and passwords
are never in arguments, environment or files) and starts it anew when it dies, later each time.  The pipe stays open: its
end tells the child that the parent is gone, also after ``kill -9``, so no recorder outlives its engine.  The child answers
with a line a second: how far it is.
"""

from __future__ import annotations

import base64
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from airgap.reader import JournalReader
from airgap.segment import UnknownKey
from console.cli import logs
from console.cli.recorder_order import HUSH, SPEAK, Order, Progress, Silence, redis_order, streams_of
from data.database import open_database
from data.recorder import Recorder, follow
from data.streamed import StreamFollower
from engine.kernel import faults
from engine.kernel.clock import Clock, SystemClock
from engine.kernel.errors import HoldfastError
from engine.kernel.settings import Settings
from engine.storage.base import EventLog, Stretch

log = logging.getLogger("holdfast.recorder")

#: the keys that it was given open the newest segments no more: the supervisor hands over the new ring at once
KEYS_CHANGED = 75
#: seconds before it is started anew, the first time and at most
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
#: a recorder that ran so many seconds was well
WELL = 60.0
REPORT_SECONDS = 0.5
#: how far it stands back for the engine, and a Redis on this machine: history may be late, jobs may not
BEHIND = 10
#: collections of garbage are rarer than by default: events make little of it
COLLECT = (20_000, 20, 50)
#: segments read at once
SLICE = 16


class RecorderProcess:
    """Keeps one recorder running.  ``keys`` is asked at each start, so that a rotation is followed; ``release`` is told up
    to which segment history has the journal; ``silent`` says whether nothing may be sent to Redis now."""

    def __init__(
        self,
        settings: Settings,
        keys: Callable[[], bytes],
        release: Callable[[str, int], None],
        launcher: Path,
        clock: Clock,
        silent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._silent = silent
        self._told_silent = False
        self._settings = settings
        self._keys = keys
        self._release = release
        self._launcher = launcher
        self._clock = clock
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="recorder-supervisor", daemon=True)
        #: times it was started anew
        self.restarts = 0
        self.progress = Progress(0, 0.0)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Let it finish its batch, and end it."""
        self._stopping.set()
        if (process := self._process) is not None:
            _close(process.stdin)
        self._thread.join(timeout)
        if self._thread.is_alive() and process is not None:
            process.kill()
            self._thread.join(1.0)

    @property
    def pid(self) -> int | None:
        """Of the running recorder."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _supervise(self) -> None:
        pause, fault = FIRST_PAUSE, self._settings.fault
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            code = self._run_safely(fault)
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if self._clock.monotonic() - began > WELL else pause
            if code != KEYS_CHANGED:
                log.warning("the recorder ended with code %s; started anew in %.2g s", code, pause)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            fault = ""
            self.restarts += 1

    def _run_safely(self, fault: str) -> int:
        """Whatever goes wrong with one recorder, there will be a next."""
        try:
            return self._run_once(fault)
        except Exception:
            log.exception("the recorder could not be run")
            return 1

    def _run_once(self, fault: str) -> int:
        command = [sys.executable, str(self._launcher), "recorder"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            self._process = process
            try:
                self._tell(process, fault)
                self._listen(process)
            except (OSError, ValueError):  # its end or ours was closed while we wrote
                log.debug("the recorder's pipe was closed")
            finally:
                _close(process.stdin)
        return process.returncode

    def _tell(self, process: subprocess.Popen[bytes], fault: str) -> None:
        settings, keys = self._settings, base64.b64encode(self._keys()).decode()
        self._told_silent = self._silent()
        redis = redis_order(settings, self._told_silent)
        order = Order(str(settings.home), settings.database, settings.log_level, keys, fault, redis)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        if self._stopping.is_set():
            process.stdin.close()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                self.progress = msgspec.json.decode(line, type=Progress)
            except msgspec.DecodeError:
                log.warning("the recorder said what is no progress: %.200r", line)
            else:
                self._tell_mark(self.progress.mark)
                self._tell_silence(process)

    def _tell_silence(self, process: subprocess.Popen[bytes]) -> None:
        """The link is kept cut, or is not any more."""
        silent = self._silent()
        if silent != self._told_silent and process.stdin is not None:
            process.stdin.write(HUSH if silent else SPEAK)
            process.stdin.flush()
            self._told_silent = silent

    def _tell_mark(self, mark: int) -> None:
        try:
            self._release("recorder", mark)
        except HoldfastError:
            log.debug("the store is closed already; the recorder reads its end and goes")


def _close(stream: IO[bytes] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except (OSError, ValueError):
        log.debug("the pipe to the recorder was closed already")


class Followed:
    """The journal as the recorder reads it; notes how far that is, and ends the recorder when its keys are old."""

    def __init__(self, log: EventLog, clock: Clock, stop: threading.Event) -> None:
        self._log = log
        self._clock = clock
        self._stop = stop
        self._mark = self._end = 0
        self._level_at = clock.monotonic()
        self.keys_changed = False

    def head(self) -> int:
        """See ``EventLog.head``."""
        self._end = self._log.head()
        return self._end

    @property
    def node(self) -> str:
        """See ``EventLog.node``."""
        return self._log.node

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        """See ``EventLog.read``.  The recorder asks for what follows its mark, so the mark is known from the question."""
        self._mark = after
        if after >= self._end:
            self._level_at = self._clock.monotonic()
        try:
            yield from self._slices(after, most)
        except UnknownKey:
            self.keys_changed = True
            self._stop.set()

    def _slices(self, after: int, most: int) -> Iterator[Stretch]:
        """A few segments at a time: each may be large, and the recorder takes no more than it wants."""
        while most > 0:
            taken = 0
            for stretch in self._log.read(after, min(most, SLICE)):
                taken += 1
                after = stretch.number
                yield stretch
            most = most - taken if taken == SLICE else 0

    def progress(self, streams: StreamFollower | None = None) -> Progress:
        """How far history is; it is behind since it was last level with the log, and with the streams."""
        behind = self._clock.monotonic() - self._level_at if self._mark < self._end else 0.0
        if streams is None:
            return Progress(self._mark, round(behind, 3))
        lag = round(max(behind, streams.lag()), 3)
        return Progress(self._mark, lag, streams.pending, streams.away, streams.lost)


def main(argv: Sequence[str]) -> int:
    """The child: take the order from stdin, record until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(BEHIND)
    gc.freeze()
    gc.set_threshold(*COLLECT)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    logs.to_stderr(order.log_level)
    faults.arm_from(order.fault)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    silence = Silence(order.redis is not None and order.redis.silent)
    threading.Thread(target=_hear, args=(silence, stop), name="parent-watch", daemon=True).start()
    return record(order, stop, silence=silence)


def _hear(silence: Silence, stop: threading.Event) -> None:
    """What the parent says after the order; the pipe's end is its own."""
    while told := os.read(0, 1024):  # not sys.stdin, whose lock would be held when this process ends
        silence.hear(told)
    stop.set()


def record(order: Order, stop: threading.Event, clock: Clock | None = None, *, silence: Silence | None = None) -> int:
    """Follow the journal, and the streams, until ``stop``; the exit code of the child."""
    clock, silence = clock or SystemClock(), silence or Silence()
    with ExitStack() as parts:
        reader = JournalReader(order.home, base64.b64decode(order.keys))
        parts.callback(reader.close)
        followed = Followed(reader, clock, stop)
        streams = streams_of(order.redis, reader.node, clock, parts, silence) if order.redis else None
        fleet = order.redis.fleet if order.redis else "main"
        database = open_database(order.database, order.home, migrate=False)
        threading.Thread(target=_report, args=(followed, streams, stop), name="progress", daemon=True).start()
        follow(Recorder(database, followed, clock, streams=streams, fleet=fleet), stop)
        tell(followed.progress(streams))
    return KEYS_CHANGED if followed.keys_changed else 0


def _report(followed: Followed, streams: StreamFollower | None, stop: threading.Event) -> None:
    """Tell how far it is, each second; a supervisor that listens no more has ended, and so does this."""
    while not stop.wait(REPORT_SECONDS):
        tell(followed.progress(streams))


def tell(progress: Progress) -> None:
    """One line to the supervisor."""
    try:
        os.write(1, msgspec.json.encode(progress) + b"\n")
    except OSError:
        log.info("nobody listens any more")
