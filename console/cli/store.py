"""``run.py store``: how the sealed store of the running console stands, and acknowledging what it has set aside."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from console.cli import remote
from console.cli.tables import plain, print_json, print_table
from engine.remote import Client

COLUMNS = ("at", "what", "reason", "acknowledged")
MIB = 2**20


def main(argv: Sequence[str]) -> int:
    return remote.run(parser(), argv)


def parser() -> argparse.ArgumentParser:
    made, commands = remote.commands("store", "How the sealed store stands.", required=False)
    made.set_defaults(work=show)
    remote.command(commands, "acknowledge", "say that all that was set aside was looked at; it stays kept", acknowledge)
    return made


def show(typed: argparse.Namespace, console: Client) -> int:
    """Facts of the store, and all that was ever set aside."""
    facts = console.object("GET", "/v1/store")
    if getattr(typed, "json", False):
        print_json(facts)
        return 0
    for name, text in lines(facts):
        print(f"{name:12} {plain(text)}")
    if facts.get("quarantined"):
        print()
        rows = [item | {"acknowledged": "yes" if item["acknowledged"] else "no"} for item in facts["quarantined"]]
        print_table(rows, COLUMNS, "")
    return 0


def lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a person wants to know first."""
    if facts["kind"] != "journal":
        yield "kind", f"{facts['kind']}: nothing survives a restart"
        return
    used, limit = facts["used"] / MIB, facts["limit"] / MIB
    yield "used", f"{used:,.1f} of {limit:,.0f} MiB, {facts['share']:.0%} of what new jobs may take ({facts['level']})"
    yield "trouble", facts["trouble"] or "none"
    yield "durability", facts["durability"]
    yield "log", f"{facts['event']:,} events, {facts['segments']:,} segments up to number {facts['segment']:,}"
    yield "checkpoint", f"of {facts['checkpoint_at']}" if facts["checkpoint_at"] else "none yet"
    yield "keys", f"{len(facts['keys'])}, opened by {facts['key_source']}"
    yield "set aside", f"{len(facts['quarantined'])}, {facts['unacknowledged']} not acknowledged"


def acknowledge(typed: argparse.Namespace, console: Client) -> int:
    """Take the warning away."""
    answer = console.object("POST", "/v1/store/quarantine/acknowledge")
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        print(f"{answer['acknowledged']} acknowledged; they stay in the store as they were found")
    return 0
