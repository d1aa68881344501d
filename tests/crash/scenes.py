"""Running a mortal process over and over on one home, and counting what came of its jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import msgspec

from airgap.keys import KeyRing
from airgap.reader import JournalReader
from data.database import Database, open_database
from data.jobdetail import job
from data.recorder import Recorder
from engine.kernel.clock import SystemClock
from engine.kernel.events import POISON
from engine.kernel.job import JobState
from engine.storage.base import CRASH_CAP

ROOT = Path(__file__).parents[2]
#: seconds that one life may take before the test fails
LIFETIME = 300


class Scene:
    """One home, its processes, and the ids they had accepted."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.home = home
        #: id of an accepted job -> the number it was given, which is its result
        self.accepted: dict[str, int] = {}
        self.kills = 0

    def live(self, jobs: int = 0, fault: str = "", kill_after: int | None = None, *, forever: bool = False) -> int:
        """One life; killed after it has said ``kill_after`` ids, if it gets that far, which it does if it is to go on
        ``forever``.  Returns the exit code."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.mortal", str(self.home), str(jobs), *["forever"][:forever]],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"HOLDFAST_FAULT": fault},
        )
        watchdog = threading.Timer(LIFETIME, process.kill)
        watchdog.start()
        said = 0
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if line.endswith("\n"):
                    id_, number = line.split()
                    self.accepted[id_] = int(number)
                    said += 1
                if said == kill_after:
                    process.send_signal(signal.SIGKILL)
        code = process.wait()
        assert watchdog.is_alive(), "the process neither ended nor reached its fault in time"
        watchdog.cancel()
        self.kills += code == -signal.SIGKILL
        return code

    def finish(self) -> None:
        """A last life in which nothing goes wrong."""
        assert self.live() == 0

    def executions(self) -> Counter[str]:
        """Job id -> times its task ran."""
        return Counter((self.home / "effects").read_text().split())

    def history(self) -> Database:
        """History as a recorder finds it in the journal."""
        database = open_database("", self.home)
        keys = KeyRing.open(self.home / "keys", "file", None).export_for_reader()
        reader = JournalReader(self.home, keys)
        recorder = Recorder(database, reader, SystemClock())
        recorder.catch_up()
        recorder.close()
        reader.close()
        return database

    def check(self) -> None:
        """Nothing accepted is lost; results are right; who was there at three kills is kept as poison;
        every repeat has its rescue or its failure; history has it all."""
        executions = self.executions()
        database = self.history()
        try:
            for id_, number in self.accepted.items():
                assert executions[id_] >= 1, f"{id_} was accepted and never ran"
                found = job(database, id_)
                assert found is not None, f"{id_} is not in history"
                rescues = sum(attempt.rescued for attempt in found.attempts)
                if found.row.state == JobState.DEAD and found.row.reason == POISON:
                    assert rescues >= CRASH_CAP, f"{id_} was killed {rescues} times: {found.attempts}"
                    continue
                assert found.row.state == JobState.COMPLETED, f"{id_} ended as {found.row}: {found.attempts}"
                assert found.result is not None and msgspec.json.decode(found.result) == number
                excused = sum(attempt.rescued or attempt.state == "failed" for attempt in found.attempts)
                assert executions[id_] <= 1 + excused, f"{id_} ran {executions[id_]} times: {found.attempts}"
            assert set(executions) >= set(self.accepted)
        finally:
            database.close()
