"""``run.py enqueue TASK``: adds a job to the running console, or to a Redis, and waits for its end if asked to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from console.cli import remote
from console.cli.options import add_flags, settings_of
from console.cli.tables import paint, plain, print_json
from engine.queue.request import JobRequest
from engine.remote import Client

#: options of a job that are sent as they are typed
PLAIN = ("queue", "tenant", "idempotency_key", "correlation_id", "run_at")
#: options of a job that are numbers
NUMBERS = {"delay": float, "timeout": float, "max_attempts": int}


def main(argv: Sequence[str]) -> int:
    typed = parser().parse_args(argv)
    return through_redis(typed) if typed.redis else remote.answering(enqueue, typed)


def parser() -> argparse.ArgumentParser:
    made = remote.parser("enqueue", "Add a job to the running console; prints its id.")
    made.add_argument("task", help="name of the task, such as documents.extract")
    made.add_argument(
        "--args", default="{}", metavar="JSON", help="arguments as a JSON object; - reads them from stdin"
    )
    made.add_argument("--priority", help="critical, high, normal, low, or 1 (first) to 10 (last)")
    for name in PLAIN:
        made.add_argument("--" + name.replace("_", "-"))
    for name, kind in NUMBERS.items():
        made.add_argument("--" + name.replace("_", "-"), type=kind, metavar="N")
    made.add_argument("--capabilities", metavar="A,B", help="what an agent must have to run it")
    made.add_argument(
        "--wait", action="store_true", help="wait for the end and print the result; 1 if it did not complete"
    )
    add_flags(made, ("redis", "fleet", "tasks"))
    return made


def through_redis(typed: argparse.Namespace) -> int:
    """Add the job without a console, by the Redis of a fleet."""
    from console.cli import direct  # brings the engine, which nobody else here waits for

    request = msgspec.convert(request_of(typed), JobRequest)
    typed.capabilities = None  # of the job, not of this process
    return tell(typed, direct.enqueue(settings_of(typed), request, typed.wait))


def enqueue(typed: argparse.Namespace, console: Client) -> int:
    """Add the job, and wait if asked."""
    job = console.call("POST", "/v1/jobs", body=request_of(typed))
    if typed.wait:
        job = console.ended(job["id"])
    return tell(typed, job)


def tell(typed: argparse.Namespace, job: dict[str, Any]) -> int:
    """What became of it; the exit code."""
    if getattr(typed, "json", False):
        print_json(job)
    elif typed.wait:
        tell_end(job)
    else:
        print(job["id"])
    return 0 if not typed.wait or job["state"] == "completed" else 1


def request_of(typed: argparse.Namespace) -> dict[str, Any]:
    """The body of the call."""
    body: dict[str, Any] = {"task": typed.task, "args": arguments(typed.args)}
    if typed.priority:
        body["priority"] = int(typed.priority) if typed.priority.isdigit() else typed.priority
    if typed.capabilities:
        body["capabilities"] = [name.strip() for name in typed.capabilities.split(",")]
    return body | {name: value for name in (*PLAIN, *NUMBERS) if (value := getattr(typed, name)) is not None}


def arguments(text: str) -> dict[str, Any]:
    """The object that ``--args`` holds."""
    try:
        value = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        mend = """quote it for the shell: --args '{"to": "a@b.c"}'"""
        raise remote.WrongCall(f"--args is no JSON: {error}; {mend}") from None
    if not isinstance(value, dict):
        raise remote.WrongCall(f"--args: expected a JSON object, got {text!r:.60}")
    return value


def tell_end(job: dict[str, Any]) -> None:
    """The result, or why there is none."""
    if job["state"] == "completed":
        print_json(job["result"])
        return
    error = job.get("error") or {}
    why = plain(f"{error.get('type')}: {error.get('message')}") if error else "no error is known"
    print(f"holdfast: job {job['id']} is {paint(job['state'], stream=sys.stderr)}: {why}", file=sys.stderr)
