"""Starts real ``run.py agent`` processes, and an engine that gives them work."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from engine import Engine, Settings
from engine.fleet.base import AgentView
from tests.support.launched import command, environment
from tests.support.waiting import until

TASKS = "tests.support.tasks_launched"


class Agents:
    """A running ``run.py agent``: one, or a parent of several."""

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        self.home = home
        self.process = process

    @property
    def said(self) -> str:
        """All that it wrote to its terminal."""
        return Path(f"{self.home}.out").read_text("utf-8")

    def id(self, slot: int = 1) -> str:
        """Of one agent; "" before its first start."""
        with contextlib.suppress(OSError):
            return (self.home / "agents" / str(slot) / "agent").read_text("ascii").strip()
        return ""

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def agents(home: Path, url: str, *argv: str, tasks: str = TASKS) -> Iterator[Agents]:
    """``run.py agent``, killed at the end if it still runs."""
    home.mkdir(parents=True, exist_ok=True)
    with open(f"{home}.out", "a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command("agent", "--home", home, "--redis", url, "--tasks", tasks, *argv),
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, text=True, env=environment(),
        )  # fmt: skip
        try:
            yield Agents(home, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(30)


@contextlib.contextmanager
def giver(home: Path, url: str, fleet: str, **settings: object) -> Iterator[Engine]:
    """An engine of the fleet that runs nothing: it enqueues, looks and tells."""
    engine = Engine(Settings(home=home, redis=url, fleet=fleet, tasks=(TASKS,), **settings))  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        engine.stop()


def present(engine: Engine, count: int, seconds: float = 60) -> list[AgentView]:
    """The agents of a fleet once that many are there."""

    def look() -> list[AgentView] | None:
        found = [agent for agent in engine.fleet.agents() if agent.presence == "online"]
        return found if len(found) == count else None

    return until(look, seconds, f"{count} agents are there")


def running(engine: Engine, agent: str, count: int, seconds: float = 60) -> list[str]:
    """Ids of the jobs that an agent runs, once it runs that many."""

    def look() -> list[str] | None:
        [view] = [view for view in engine.fleet.agents() if view.id == agent] or [None]
        ids = [job.id for job in view.current] if view is not None else []
        return ids if len(ids) == count else None

    return until(look, seconds, f"{agent} runs {count} jobs")
