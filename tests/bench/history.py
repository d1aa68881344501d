"""History: pages of a million jobs, asked for over REST as programs and the console's pages ask.

The history is written once by the real recorder from a log of plausible lives: many queues, tasks and tenants, some dead,
some retried, some waiting, spread over a month.  Each round asks a fresh console every question several times.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from data import open_database
from data.recorder import Recorder
from engine.kernel import events as ev
from engine.kernel.clock import SystemClock
from engine.storage.base import Stretch
from tests.bench import rounds
from tests.bench.enqueue import timed
from tests.bench.figures import Figure, Measure, Options, figures
from tests.bench.launched import Launched, launched
from tests.support import histories

JOBS = 1_000_000
#: jobs of one segment of the log
SEGMENT = 2_000
#: how often each question is asked in a round
TIMES = 7
MONTH = 29 * 86_400.0
FLOOR = 200
DEEP, PAGES = "queue:queue-07", 40

FILTERS = (
    "",
    "state:dead",
    "state:dead error:timeout",
    "state:completed queue:queue-07",
    "task:orders.*",
    "tenant:tenant-13 task:orders.ship",
    "queue:queue-03 tenant:tenant-13 state:completed",
    "since:1h",
    "until:20d state:retryable,scheduled",
    "is:retried",
    "-state:completed",
    "error:nobody-has-this-error",
)
TASKS = ("orders.ship", "orders.pay", "mail.send", "images.resize", "reports.build", "webhooks.deliver")
ERRORS = ("TimeoutError", "ConnectionError", "ValueError", "KeyError")


def measures(jobs: int) -> list[Measure]:
    """A figure for each filter, and one for a page far behind."""
    text = f"history page of {jobs:,} jobs: "
    found = [Measure(f"page[{one}]", text + (one or "no filter"), "ms", "less", FLOOR) for one in FILTERS]
    deep = Measure("deep", f"{text}{DEEP}, page {PAGES}", "ms", "less", FLOOR)
    return [*found, deep]


def history(options: Options) -> list[Figure]:
    """All pages."""
    jobs = options.of(JOBS)
    with tempfile.TemporaryDirectory(prefix="hf-bench-", dir=options.folder) as folder:
        rounds.tell(f"  history: writing {jobs:,} jobs")
        write(Path(folder) / "home", jobs)
        answers = rounds.run(options, f"{__name__}:round", home=Path(folder) / "home")
    return figures("history", measures(jobs), answers)


def round(folder: Path, home: str) -> dict[str, float]:
    """All questions to a fresh console."""
    with launched(Path(home)) as console:
        found = {f"page[{one}]": median_ms(console, asked(one)) for one in FILTERS}
        path = asked(DEEP)
        for _ in range(PAGES - 1):
            path = asked(DEEP) + "&cursor=" + quote(console.get(path)["next_cursor"])
        return found | {"deep": median_ms(console, path)}


def asked(words: str) -> str:
    return f"/v1/jobs?limit=50&q={quote(words)}"


def median_ms(console: Launched, path: str) -> float:
    """Milliseconds of an answer."""
    return statistics.median(timed(lambda: console.get(path)) for _ in range(TIMES)) * 1000


class Lives:
    """An ``EventLog`` that is made while it is read."""

    node = ""

    def __init__(self, jobs: int, now: float) -> None:
        self._jobs = jobs
        self._now = now

    def head(self) -> int:
        """See ``EventLog.head``."""
        return -(-self._jobs // SEGMENT)

    def read(self, after: int, most: int = 64) -> Iterator[Stretch]:
        """See ``EventLog.read``."""
        for number in range(after + 1, min(self.head(), after + most) + 1):
            numbers = range((number - 1) * SEGMENT, min(self._jobs, number * SEGMENT))
            yield Stretch(number, [event for n in numbers for event in self._life(n)])

    def _life(self, n: int) -> Iterator[ev.Event]:
        rng = random.Random(n)
        id, at = histories.job_id(n), self._now - MONTH * (1 - n / self._jobs)
        yield histories.enqueued(
            id, at, task=rng.choice(TASKS), queue=f"queue-{rng.randrange(20):02}", tenant=f"tenant-{rng.randrange(40):02}",
            args={"order": n, "to": f"person-{n % 5_000}@example.org"}, correlation_id=f"order-{n // 3}",
        )  # fmt: skip
        fate = rng.random()
        if fate < 0.02:
            return
        token = n * 4 + 1
        if fate < 0.06:
            yield from self._failed(id, at, token, rng, ev.JobRetryScheduled)
            at, token = at + 5, token + 1
        if 0.05 < fate < 0.09:
            yield from self._failed(id, at, token, rng, ev.JobDied)
        else:
            yield from histories.completed(id, at + 2, token=token)

    def _failed(
        self, id: str, at: float, token: int, rng: random.Random, kind: type[ev.AttemptEnded]
    ) -> Iterator[ev.Event]:
        error = rng.choice(ERRORS)
        failure = histories.failure(error, f"the other side said no ({rng.randrange(100)})", f"print-{error}")
        yield histories.claimed(id, token=token, at=at + 1)
        yield histories.ended(kind, id, token, at=at + 2, failure=failure, run_at=at + 5)


def write(home: Path, jobs: int) -> None:
    """Have the recorder write so many jobs; the last were made a moment ago."""
    home.mkdir(mode=0o700)
    with contextlib.closing(open_database("", home)) as database:
        recorder = Recorder(database, Lives(jobs, time.time()), SystemClock())
        recorder.catch_up()
        recorder.close()
