"""Nodes as processes: started, ordered about, killed and started again; and what they had accepted."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.launched import environment
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
#: seconds that an answer, and a start, may take
ANSWER, START = 30, 60


class Accepted(NamedTuple):
    """A request that a node accepted."""

    queue: str
    key: str
    round: int


class Accounts:
    """What was accepted, by all nodes."""

    def __init__(self) -> None:
        self.jobs: dict[str, Accepted] = {}
        self.refused: list[str] = []
        self.round = 0
        self._lock = threading.Lock()

    def take(self, said: dict[str, Any]) -> None:
        """A node has said what it accepted, or refused."""
        with self._lock:
            for id_, of, key in said.get("accepted", ()):
                self.jobs.setdefault(id_, Accepted(of, key, self.round))
            if "refused" in said:
                self.refused.append(said["refused"])

    def snapshot(self) -> dict[str, Accepted]:
        """All until now."""
        with self._lock:
            return dict(self.jobs)


class Node:
    """A home, its address of Redis, and the process that lives there now."""

    def __init__(self, home: Path, url: str, effects: Path, accounts: Accounts, retention: float = 86_400.0) -> None:
        home.mkdir(mode=0o700)
        self.home = home
        self._argv = [str(home), url, str(effects), str(retention)]
        self._accounts = accounts
        self.process: subprocess.Popen[str] | None = None
        #: processes that were killed
        self.killed: set[int] = set()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listener: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Of the process that lives here now, or lived here last."""
        return self.process.pid if self.process is not None else 0

    @property
    def alive(self) -> bool:
        """Whether one lives here."""
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """What its processes wrote besides."""
        return Path(f"{self.home}.log").read_text(errors="replace")

    def start(self, fault: str = "") -> None:
        """Begin a life."""
        self._answers = queue.Queue()
        with open(f"{self.home}.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.dweller", *self._argv],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
                env=environment(HOLDFAST_FAULT=fault),
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, args=(self.process, self._answers), daemon=True)
        self._listener.start()

    def up(self) -> None:
        """Wait until it takes orders."""
        self._answer("up", START)

    def _listen(self, process: subprocess.Popen[str], answers: queue.Queue[dict[str, Any]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("\n"):
                return
            said = json.loads(line)
            if "accepted" in said or "refused" in said:
                self._accounts.take(said)
            else:
                answers.put(said)

    def tell(self, order: str, *words: str) -> None:
        """Order it, and wait for no answer."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join((order, *words)) + "\n")
        self.process.stdin.flush()

    def order(self, order: str, *words: str) -> Any:
        """What it answers; ``None`` if Redis did not."""
        self.tell(order, *words)
        return self._answer(order, ANSWER)

    def _answer(self, order: str, seconds: float) -> Any:
        try:
            while order not in (said := self._answers.get(timeout=seconds)):
                pass
        except queue.Empty:
            raise AssertionError(f"{self.home.name} does not answer {order}: {self.log[-3000:]}") from None
        return said[order]

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.wait_dead()

    def wait_dead(self, seconds: float = 30) -> int:
        """Wait until it is dead, of itself or by our hand; its exit code."""
        assert self.process is not None
        code = self.process.wait(seconds)
        if code == -signal.SIGKILL:
            self.killed.add(self.process.pid)
        if self._listener is not None:
            self._listener.join(60)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # of an order that it did not live to read
                    pipe.close()
        return code

    def stop(self) -> int:
        """Let it end in good order."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.wait_dead()

    def calm(self) -> bool:
        """Whether it is in step with Redis and has nothing of its own; makes it hurry if not."""
        view = self.order("view")
        if view["state"] != "connected":
            if view["stopped"]:
                raise AssertionError(f"{self.home.name} stands still: {view['stopped']}")
            self.order("sync")
            return False
        # a Redis that has just been emptied looks calm until its marks are asked for
        return not view["unsynced_events"] and not view["local_jobs"] and self.order("marks") == []


def at_rest(nodes: list[Node], seconds: float = 60) -> None:
    """Wait until all nodes are calm and no job is left."""

    def rest() -> bool:
        return all(node.calm() for node in nodes) and not any(_left(node) for node in nodes)

    try:
        until(rest, seconds)
    except AssertionError as error:
        told = [(node.home.name, node.order("view"), node.order("left")) for node in nodes]
        raise AssertionError(f"no rest: {error}: {told}") from None


def _left(node: Node) -> bool:
    left = node.order("left")
    return left is None or any(left.values())


def pids_of(nodes: list[Node]) -> set[int]:
    """Processes that were killed, of all nodes."""
    return set().union(*(node.killed for node in nodes))
