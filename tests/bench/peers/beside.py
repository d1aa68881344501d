"""Peers beside ours: the same no-op jobs with the same arguments, drained by their own workers in the same run.

Each peer runs as its users run it when speed matters: eight threads where it has threads, no results stored, its server on
loopback and without a disk.  A peer that cannot be had here is left out with a line that says why.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tests.bench import rounds
from tests.bench.figures import Figure, Options
from tests.bench.peers import redis
from tests.bench.peers.environment import FOLDER, NotToBeHad, ready

SCRIPTS = Path(__file__).parent / "scripts"
#: jobs of a round: enough for a steady rate of peers that do some thousands a second
JOBS = 10_000
#: how many times a peer's rate ours must be
TIMES = {"huey": 8.0}
NODE = FOLDER / "node"


class Peer(msgspec.Struct, frozen=True):
    """How a peer is had and run."""

    #: what it is and how it runs here
    text: str
    #: pinned; for ``node`` npm packages
    packages: tuple[str, ...]
    script: str
    redis: bool = True
    node: bool = False


REDIS = "redis==6.4.0"
PEERS = {
    "huey": Peer("RedisHuey 3.5.4, 8 threads", ("huey==3.5.4", REDIS), "redis_huey.py"),
    "sqlite-huey": Peer("SqliteHuey 3.5.4, 8 threads", ("huey==3.5.4",), "sqlite_huey.py", redis=False),
    "rq": Peer("rq 2.12.0, SimpleWorker (one job at a time, no fork)", ("rq==2.12.0", REDIS), "rq_simple.py"),
    "dramatiq": Peer("dramatiq 2.2.1, Redis, 8 threads", ("dramatiq==2.2.1", REDIS), "dramatiq_redis.py"),
    "celery": Peer("celery 5.7.0, Redis, 8 threads", ("celery==5.7.0", "packaging==25.0", REDIS), "celery_redis.py"),
    "bullmq": Peer(
        "BullMQ 6.7.0 on Node, concurrency 100", ("bullmq@6.7.0", "ioredis@5.11.1"), "bullmq.mjs", node=True
    ),
}


class Beside:
    """The peers of one run.  Rounds of ours and theirs take turns, so that a busy moment of the machine hits both."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._commands: dict[str, list[str]] = {}
        self._answers: dict[str, list[rounds.Answer]] = {}
        for name in dict.fromkeys(("huey", *options.peers)):
            with self._or_left_out(name):
                self._commands[name] = command_of(PEERS[name])
                self._answers[name] = []

    @contextlib.contextmanager
    def _or_left_out(self, name: str) -> Iterator[None]:
        try:
            yield
        except (NotToBeHad, rounds.RoundFailed) as error:
            rounds.tell(f"  {name} is left out: {error}")
            self._commands.pop(name, None)
            self._answers.pop(name, None)

    def round(self, number: int) -> None:
        """One round of each."""
        for name in list(self._commands):
            with self._or_left_out(name):
                rounds.tell(f"  peer {name}: round {number}")
                self._answers[name].append(self._measured(name))

    def _measured(self, name: str) -> rounds.Answer:
        """One round on an empty server."""
        with _folder(self._options) as folder, _server(PEERS[name]) as port:
            command = [*self._commands[name], str(folder), str(self._options.of(JOBS)), str(port)]
            return rounds.answer_of(command, folder)

    def figures(self, ours: Figure, times: Mapping[str, float] = TIMES) -> list[Figure]:
        """Those of the peers, and how many times theirs our drain is, round by round; ``times`` are the floors of that."""
        found: list[Figure] = []
        for name, answers in self._answers.items():
            found += compared(name, ours, answers, times.get(name))
        return found


def compared(name: str, ours: Figure, answers: list[rounds.Answer], least: float | None) -> list[Figure]:
    """Drain and enqueue of one peer, and our drain as a multiple of its drain."""
    bench = ours.name.partition(".")[0]
    text = PEERS[name].text
    rates, cpu, enqueue = ([answer[key] for answer in answers] for key in ("rate", "cpu", "enqueue"))
    times = [our / their for our, their in zip(ours.values, rates, strict=True)]
    return [
        Figure(f"peer.{name}.rate", f"drain: {text}", "jobs/s", rates),
        Figure(f"peer.{name}.cpu", "processor time of its workers' process per job", "µs", cpu, "less"),
        Figure(f"peer.{name}.enqueue", f"enqueue, one at a time: {text.partition(',')[0]}", "jobs/s", enqueue),
        Figure(
            f"{bench}.times_{name}", f"our drain over that of {text.partition(',')[0]}", "×", times, floor=least
        ),
    ]  # fmt: skip


def command_of(peer: Peer) -> list[str]:
    """What starts the peer's script.  Raises ``NotToBeHad``."""
    return _node(peer) if peer.node else [str(ready(peer.packages)), str(SCRIPTS / peer.script)]


def _server(peer: Peer) -> contextlib.AbstractContextManager[int]:
    return redis.server() if peer.redis else contextlib.nullcontext(0)


@contextlib.contextmanager
def _folder(options: Options) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hf-bench-", dir=options.folder, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _node(peer: Peer) -> list[str]:
    """The command of a peer that runs on Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise NotToBeHad("there is no node and npm on this machine")
    NODE.mkdir(parents=True, exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n", "utf-8")
    shutil.copy(SCRIPTS / peer.script, NODE / peer.script)
    if not all((NODE / "node_modules" / package.partition("@")[0]).exists() for package in peer.packages):
        _run([npm, "install", "--prefix", str(NODE), "--silent", "--no-audit", "--no-fund", *peer.packages])
    return [node, str(NODE / peer.script)]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise NotToBeHad(f"npm failed: {(done.stderr or done.stdout).strip()[-200:]}")
