"""``run.py jobs``: list, show, retry, cancel and delete jobs of the running console."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from console.cli import remote
from console.cli.options import fail
from console.cli.tables import paint, plain, print_json, print_table
from engine.kernel.errors import Conflict, NotFound
from engine.remote import Client

COLUMNS = ("id", "state", "task", "queue", "tried", "created_at", "error")
FACTS = (
    "id",
    "task",
    "queue",
    "state",
    "priority",
    "tenant",
    "created_at",
    "run_at",
    "started_at",
    "finished_at",
    "timeout",
)
ATTEMPT = ("number", "state", "agent", "started_at", "ended_at", "rescued", "error")


def main(argv: Sequence[str]) -> int:
    return remote.run(parser(), argv)


def parser() -> argparse.ArgumentParser:
    made, commands = remote.commands("jobs", "Look at jobs and steer them.")
    _list_parser(commands)
    remote.command(commands, "show", "one job with its attempts", show).add_argument("id")
    for action, about in (("retry", "send back dead jobs"), ("cancel", "cancel jobs"), ("delete", "remove jobs")):
        acted = remote.command(commands, action, about, act, action=action)
        acted.add_argument("ids", nargs="*", metavar="ID")
        acted.add_argument("--where", metavar="FILTER", help="all jobs that match, such as 'state:dead queue:emails'")
    return made


def _list_parser(commands: Any) -> None:
    made = remote.command(commands, "list", "jobs, newest first", list_jobs)
    made.add_argument("filter", nargs="*", help="such as: state:dead queue:emails error:timeout since:1h")
    for name in ("state", "queue", "task", "tenant", "since"):
        made.add_argument("--" + name)
    made.add_argument("--limit", type=int, default=50, metavar="N")
    made.add_argument("--cursor", help="the next_cursor of the page before")


def list_jobs(typed: argparse.Namespace, console: Client) -> int:
    """A page of jobs."""
    names = ("state", "queue", "task", "tenant", "since", "limit", "cursor")
    query = {name: getattr(typed, name) for name in names} | {"q": " ".join(typed.filter)}
    page = console.call("GET", "/v1/jobs", query=query)
    if getattr(typed, "json", False):
        print_json(page)
        return 0
    print_table([row_of(job) for job in page["jobs"]], COLUMNS, "no job matches")
    if page.get("next_cursor"):
        print(f"more: --cursor {page['next_cursor']}")
    return 0


def row_of(job: dict[str, Any]) -> dict[str, Any]:
    """A job as a line of the table."""
    tried = f"{job.get('attempt', len(job.get('attempts') or []))}/{job.get('max_attempts')}"
    return job | {"tried": tried, "error": error_line(job.get("error"))}


def error_line(error: dict[str, Any] | None) -> str:
    """``Type: message``, or nothing."""
    return f"{error.get('type')}: {error.get('message')}" if error else ""


def show(typed: argparse.Namespace, console: Client) -> int:
    """One job: facts, why it waits, attempts, error."""
    job = console.get(typed.id)
    if getattr(typed, "json", False):
        print_json(job)
        return 0
    for name in FACTS:
        if job.get(name) not in (None, "", 0):
            print(f"{name.replace('_', ' '):12} {paint(plain(job[name]))}")
    if why := job.get("why_waiting"):
        print(f"{'waiting':12} {plain(why['text'])}\n{'':12} {plain(why.get('mend'))}".rstrip())
    print(f"{'args':12} {plain(json.dumps(job.get('args'), ensure_ascii=False))}")
    if job.get("state") == "completed":
        print(f"{'result':12} {plain(json.dumps(job.get('result'), ensure_ascii=False))}")
    print_attempts(job)
    return 0


def print_attempts(job: dict[str, Any]) -> None:
    """The attempts and the traceback of the last error."""
    if job.get("attempts"):
        print()
        print_table([one | {"error": error_line(one.get("error"))} for one in job["attempts"]], ATTEMPT, "")
    for line in ((job.get("error") or {}).get("traceback") or "").splitlines():
        print("  " + plain(line))


def act(typed: argparse.Namespace, console: Client) -> int:
    """Retry, cancel or delete the jobs named, or all that match."""
    if bool(typed.ids) == bool(typed.where):
        raise remote.WrongCall(f"jobs {typed.action}: name jobs by ID, or all that match with --where FILTER")
    if typed.where:
        answer = console.act(typed.action, typed.where)
        return report(typed, answer, ", ".join(f"{name} {value}" for name, value in answer.items()))
    done, code = [], 0
    for id in typed.ids:
        try:
            done.append(act_on(console, typed.action, id))
        except (NotFound, Conflict) as error:
            code = fail(str(error), 1)
    report(typed, done, "\n".join(f"{job['id']} {paint(job.get('state') or 'deleted')}" for job in done))
    return code


def act_on(console: Client, action: str, id: str) -> dict[str, Any]:
    """One job after the action."""
    if action == "delete":
        console.delete(id)
        return {"id": id}
    return console.retry(id) if action == "retry" else console.cancel(id)


def report(typed: argparse.Namespace, answer: Any, text: str) -> int:
    """The answer as JSON or as text."""
    if getattr(typed, "json", False):
        print_json(answer)
    elif text:
        print(text)
    return 0
