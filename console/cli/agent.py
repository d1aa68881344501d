"""``run.py agent``: a node of a fleet without a console, which only runs jobs; or several of them under one parent.

Each agent process is an engine with a sealed store of its own under ``<home>/agents/<n>``, so that it goes on when Redis
is gone.  History is written by who serves a console: the events of an agent travel there through Redis.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
import threading
import types
from collections.abc import Sequence

from console.cli import start
from console.cli.crew import Crew
from console.cli.environment import ROOT
from console.cli.options import Parser, add_flags, settings_of
from engine import Engine
from engine.kernel.clock import SystemClock
from engine.kernel.errors import SettingsError
from engine.kernel.settings import Settings
from plugins.loader import CATALOG, catalog_names, load_catalog
from plugins.manifest import read_manifest
from plugins.services import House

log = logging.getLogger("holdfast.agent")

#: seconds that running jobs are given when stopping; also with a Redis that does not answer, the whole stop stays below five
STOP_SECONDS = 2.8


def main(argv: Sequence[str]) -> int:
    """Run one agent in this process, or as many as ``--processes`` says in processes of their own."""
    typed = parser().parse_args(argv)
    settings = settings_of(typed)
    if not settings.redis:
        raise SettingsError("redis: an agent joins a fleet through a Redis; name it with --redis redis://host:6379/0")
    if typed.slot:
        threading.Thread(target=_leave_with_parent, name="parent-watch", daemon=True).start()
    if typed.slot or settings.processes == 1:
        return work(of_slot(settings, typed.slot or 1))
    return lead(settings, argv)


def parser() -> Parser:
    made = Parser(prog="run.py agent", description="Run jobs of a fleet, without a console.")
    usual = made.add_argument_group("what it works on")
    usual.add_argument("--queues", dest="serve", metavar="A,B", help="take jobs of these queues only (--serve)")
    usual.add_argument("--concurrency", dest="workers", metavar="N", help="jobs at the same time (--workers)")
    usual.add_argument("--name", dest="agent_name", metavar="NAME", help="name for people (--agent-name)")
    made.add_argument("--slot", type=int, default=0, help="which of several agents this is; set by their parent")
    add_flags(made)
    return made


def of_slot(settings: Settings, slot: int) -> Settings:
    """The settings of one agent: a home of its own, and a name of its own where several share one."""
    home = settings.home / "agents" / str(slot)
    name = f"{settings.agent_name}-{slot}" if settings.agent_name and settings.processes > 1 else settings.agent_name
    return dataclasses.replace(settings, home=home, agent_name=name)


def work(settings: Settings) -> int:
    """Run an agent until SIGTERM or SIGINT; what was not finished goes back to its queue."""
    stop = threading.Event()
    with start.stoppable() as check:
        start.prepare(settings)
        engine = Engine(settings)
        try:
            engine.on_leave = stop.set
            house = House(settings, clock=engine.clock, environ=os.environ)
            load_catalog(types.SimpleNamespace(register=engine.add), house, without_history())
            engine.start()
            print(greeting(engine), flush=True)
            log.info("agent %s of the fleet %s runs as process %d", engine.agent, engine.fleet.name, os.getpid())
            check()
            stop.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):  # asked twice, it must not be torn from its stop
                signal.signal(number, signal.SIG_IGN)
            engine.stop(STOP_SECONDS)
    return 0


def without_history() -> list[str]:
    """The bundled plugins that need no history database: an agent has none."""
    return [name for name in catalog_names() if not read_manifest(CATALOG / name).permissions.database]


def greeting(engine: Engine) -> str:
    """The lines that a person sees once the agent takes jobs."""
    settings = engine.settings
    queues = ", ".join(settings.serve) or "all"
    lines = [f"Holdfast agent {settings.agent_name or engine.agent} works for the fleet {engine.fleet.name}"]
    lines += [f"  queues       {queues}", f"  at a time    {settings.workers}", f"  state        {settings.home}"]
    return "\n".join([*lines, "  stop         Ctrl+C"])


def lead(settings: Settings, argv: Sequence[str]) -> int:
    """Keep several agents running until SIGTERM or SIGINT."""
    stop = threading.Event()
    start.make_home(settings.home)
    (settings.home / "agents").mkdir(mode=0o700, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    command = [sys.executable, str(ROOT / "run.py"), "agent", *argv]
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    print(f"Holdfast keeps {settings.processes} agents running for the fleet {settings.fleet}", flush=True)
    return Crew(command, settings.processes, SystemClock()).run(stop)


def _leave_with_parent() -> None:
    """The pipe's end is the parent's: no agent outlives it, also after ``kill -9``."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
