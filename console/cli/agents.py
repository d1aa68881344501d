"""``run.py agents``: who is in the fleet of the running console, and telling them what to do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from console.cli import remote
from console.cli.tables import paint, plain, print_json, print_table
from engine.kernel.errors import NotFound
from engine.remote import Client

COLUMNS = ("name", "id", "presence", "busy", "concurrency", "done", "failed", "cpu", "memory", "capabilities", "link")
ORDERS = {
    "pause": "start no more jobs there",
    "resume": "start jobs there again",
    "drain": "let it finish what runs and take nothing more",
    "stop": "end its process gracefully",
}
MIB = 2**20


def main(argv: Sequence[str]) -> int:
    return remote.run(parser(), argv)


def parser() -> argparse.ArgumentParser:
    made, commands = remote.commands("agents", "Look at the agents of the fleet and steer them.")
    remote.command(commands, "list", "all agents, how they are and what they have done", list_agents)
    _of_one(commands, "show", "one agent with the jobs that it runs", show)
    for order, about in ORDERS.items():
        _of_one(commands, order, about, tell, order=order)
    _of_one(commands, "scale", "give it more or fewer workers", tell, order="scale").add_argument(
        "concurrency", type=int
    )
    _of_one(commands, "ping", "ask it to answer, and say how long that took", ping)
    _message(_of_one(commands, "notify", "send it a message", notify))
    everyone = remote.command(commands, "broadcast", "send a message to all agents", broadcast)
    _message(everyone)
    everyone.add_argument("--capability", default="", help="only to agents that have it")
    everyone.add_argument("--to-fleet", default="", help="another fleet on the same Redis")
    _of_one(commands, "forget", "take an agent that is gone off the list", forget)
    return made


def _of_one(commands: Any, name: str, about: str, work: Any, **values: Any) -> argparse.ArgumentParser:
    made = remote.command(commands, name, about, work, **values)
    made.add_argument("agent", help="its id, or its name if no other has it")
    return made


def _message(made: argparse.ArgumentParser) -> None:
    made.add_argument("text")
    made.add_argument("--priority", type=int, default=5, help="1 (first) to 10")
    made.add_argument("--ttl", type=float, default=3600.0, help="seconds that it waits for who is away")


def list_agents(typed: argparse.Namespace, console: Client) -> int:
    """All agents."""
    answer = console.object("GET", "/v1/agents")
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        print_table([row_of(agent) for agent in answer["agents"]], COLUMNS, "there is no agent")
    return 0


def row_of(agent: dict[str, Any]) -> dict[str, Any]:
    """An agent as a line of the table."""
    presence = "paused" if agent["paused"] and agent["presence"] == "online" else agent["presence"]
    return agent | {
        "presence": presence,
        "cpu": f"{agent['cpu']:.0%}",
        "memory": f"{agent['memory'] / MIB:,.0f} MiB",
        "capabilities": ",".join(agent["capabilities"]),
    }


def show(typed: argparse.Namespace, console: Client) -> int:
    """One agent."""
    agent = console.object("GET", _path(found(console, typed.agent)))
    if getattr(typed, "json", False):
        print_json(agent)
        return 0
    for name, value in (agent | row_of(agent)).items():
        if name != "current":
            text = ", ".join(value) if isinstance(value, list) else value
            print(f"{name.replace('_', ' '):13} {plain(text)}")
    if agent["current"]:
        print()
        print_table(agent["current"], ("id", "task", "queue", "tenant", "started_at"), "")
    return 0


def tell(typed: argparse.Namespace, console: Client) -> int:
    """A command to one agent."""
    body = {"concurrency": typed.concurrency} if typed.order == "scale" else None
    answer = console.object("POST", f"{_path(found(console, typed.agent))}/{typed.order}", body=body)
    return _told(typed, answer, f"{typed.agent} was told to {typed.order}")


def ping(typed: argparse.Namespace, console: Client) -> int:
    """How long an agent takes to answer; exit code 1 if it does not."""
    answer = console.object("POST", f"{_path(found(console, typed.agent))}/ping")
    latency = answer.get("latency")
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        print(
            f"{typed.agent} answered in {latency * 1000:.1f} ms"
            if latency is not None
            else f"{typed.agent} did not answer"
        )
    return 0 if latency is not None else 1


def notify(typed: argparse.Namespace, console: Client) -> int:
    """A message to one agent."""
    body = {"text": typed.text, "priority": typed.priority, "ttl": typed.ttl}
    answer = console.object("POST", f"{_path(found(console, typed.agent))}/notify", body=body)
    return _told(typed, answer, "sent")


def broadcast(typed: argparse.Namespace, console: Client) -> int:
    """A message to all."""
    body = {"text": typed.text, "priority": typed.priority, "ttl": typed.ttl}
    body |= {"capability": typed.capability, "fleet": typed.to_fleet}
    return _told(typed, console.object("POST", "/v1/agents/broadcast", body=body), "sent")


def forget(typed: argparse.Namespace, console: Client) -> int:
    """Off the list."""
    console.call("DELETE", _path(found(console, typed.agent)))
    if getattr(typed, "json", False):
        print_json({"forgotten": typed.agent})
    else:
        print(f"{typed.agent} is forgotten")
    return 0


def found(console: Client, named: str) -> str:
    """The id of the agent that was meant.  Raises ``NotFound``."""
    agents = console.object("GET", "/v1/agents")["agents"]
    same = [agent["id"] for agent in agents if named in (agent["id"], agent["name"])]
    if named in same or len(same) == 1:
        return named if named in same else str(same[0])
    if same:
        raise NotFound(f"{len(same)} agents are called {named:.60}; name one by its id: {', '.join(same)}")
    raise NotFound(f"there is no agent {named:.60}; see: agents list")


def _path(agent: str) -> str:
    return f"/v1/agents/{quote(agent, safe='')}"


def _told(typed: argparse.Namespace, answer: dict[str, Any], text: str) -> int:
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        counts = [f"{answer[name]} {word}" for name, word in WORDS.items() if answer[name]]
        print(f"{text}: {paint(', '.join(counts) or 'nobody is there', 'ok' if counts else 'warning')}")
    return 0


#: what became of a message, for people
WORDS = {"delivered": "there", "buffered": "will hear it when back", "refused": "whose box is full"}
