"""``run.py queues``: list, pause and resume queues of the running console."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from console.cli import remote
from console.cli.tables import paint, print_json, print_table
from engine.remote import Client

STATES = ("available", "scheduled", "running", "retryable", "dead")
COLUMNS = ("name", "state", "priority", "concurrency", "rate_limit", *STATES)


def main(argv: Sequence[str]) -> int:
    return remote.run(parser(), argv)


def parser() -> argparse.ArgumentParser:
    made, commands = remote.commands("queues", "Look at queues and steer them.")
    remote.command(commands, "list", "all queues with what waits and runs in them", list_queues)
    for action, about in (("pause", "start no more jobs of a queue"), ("resume", "go on with a queue")):
        remote.command(commands, action, about, act, action=action).add_argument("queue")
    return made


def list_queues(typed: argparse.Namespace, console: Client) -> int:
    """All queues."""
    queues = console.queues()
    if getattr(typed, "json", False):
        print_json({"queues": queues})
    else:
        print_table([row_of(queue) for queue in queues], COLUMNS, "there is no queue yet")
    return 0


def row_of(queue: dict[str, Any]) -> dict[str, Any]:
    """A queue as a line of the table."""
    counts = queue.get("counts") or {}
    state = "paused" if queue.get("paused") else "open"
    return queue | {"state": state} | {name: counts.get(name, 0) for name in STATES}


def act(typed: argparse.Namespace, console: Client) -> int:
    """Pause or resume one queue."""
    answer = console.pause(typed.queue) if typed.action == "pause" else console.resume(typed.queue)
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        print(f"{typed.queue} is {paint('paused') if typed.action == 'pause' else 'open'}")
    return 0
