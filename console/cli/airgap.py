"""``run.py airgap``: how the link to Redis stands, cutting it by hand, conflicts, proofs, and bundles."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from console.cli import bundles, remote
from console.cli.tables import paint, plain, print_json, print_table
from engine.remote import Client

CONFLICTS = ("id", "at", "kind", "queue", "job", "first", "later", "node", "decided")
HISTORY = ("at", "node", "state", "reason", "forced", "by", "lasted")
PROOFS = ("at", "node", "epoch", "events", "conflicts", "rewound", "lanes", "proof")
LANES = ("queue", "lane", "here", "there", "chain", "equal")
#: characters of a hash that tell it from others at a glance
BRIEF = 12


def main(argv: Sequence[str]) -> int:
    return remote.run(parser(), argv)


def parser() -> argparse.ArgumentParser:
    made, commands = remote.commands("airgap", "The link to Redis, and life without it.", required=False)
    made.set_defaults(work=status)
    remote.command(commands, "status", "how the link stands and what Redis has not been given", status)
    forced = remote.command(commands, "force", "cut the link and keep it cut until it is released", act, action="force")
    forced.add_argument("--reason", default="", help="why, for those who look at it later")
    remote.command(commands, "release", "connect again as soon as Redis answers", act, action="release")
    remote.command(commands, "sync", "look for Redis now", act, action="sync")
    taken = remote.command(commands, "take-back", "let others run what a lost agent holds", take_back)
    taken.add_argument("agent", help="its id, as agents list shows it")
    found = remote.command(commands, "conflicts", "what two sides did that cannot both stand", conflicts)
    found.add_argument("--all", action="store_true", help="those that were decided too")
    _paged(found)
    decided = remote.command(commands, "resolve", "decide a conflict", resolve)
    decided.add_argument("id")
    decided.add_argument("choice", choices=("keep", "take"), help="keep what stands, or take what came later")
    _paged(remote.command(commands, "history", "every state that the link came into", history))
    _paged(remote.command(commands, "proofs", "what both sides counted after each resync", proofs))
    bundles.add(commands)
    return made


def _paged(made: argparse.ArgumentParser) -> None:
    made.add_argument("--limit", type=int, default=50, metavar="N")
    made.add_argument("--cursor", help="the next_cursor of the page before")


def status(typed: argparse.Namespace, console: Client) -> int:
    """The link as it stands now."""
    return _tell(typed, console.object("GET", "/v1/airgap"))


def act(typed: argparse.Namespace, console: Client) -> int:
    """Force, release or sync."""
    body = {"reason": typed.reason} if typed.action == "force" else None
    return _tell(typed, console.object("POST", f"/v1/airgap/{typed.action}", body=body))


def _tell(typed: argparse.Namespace, told: dict[str, Any]) -> int:
    if getattr(typed, "json", False):
        print_json(told)
        return 0
    for name, text in lines(told):
        print(f"{name:12} {text}")
    if told.get("last_proof"):
        print()
        print_table([lane_row(lane) for lane in told["last_proof"]["lanes"]], LANES, "no lane has anything in it yet")
    return 0


def lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a person wants to know first."""
    state = told["state"] + (" by hand" if told["forced"] else "")
    yield "link", f"{paint(state, told['state'])} since {told['since']}: {plain(told['reason'])}"
    yield "local jobs", f"{told['local_jobs']:,}"
    yield "quota", f"{told['quota']['used']:,} of {told['quota']['limit']:,} bytes"
    yield "conflicts", f"{told['conflicts']:,} not decided"
    if told["state"] == "standalone":
        return
    yield "redis", f"{plain(told['address'])}, failover {told['mode']}, lost {times(told['failovers'])}"
    oldest = f", the oldest of {told['oldest_unsynced_at']}" if told["oldest_unsynced_at"] else ""
    yield "not sent", f"{told['unsynced_events']:,} event{'s' * (told['unsynced_events'] != 1)}{oldest}"
    if told["progress"]:
        yield "resync", progress_line(told["progress"])
    if told["stopped"]:
        yield "stopped", plain(told["stopped"])
    if told["last_proof"]:
        yield "proof", proof_line(told["last_proof"])


def times(number: int) -> str:
    """How often, in words."""
    return {0: "never", 1: "once"}.get(number, f"{number:,} times")


def progress_line(progress: dict[str, Any]) -> str:
    """How far a resync is."""
    eta = f", {progress['eta']:.0f} s left" if progress["eta"] is not None else ""
    return f"{progress['done']:,} of {progress['total']:,} events{eta}"


def proof_line(proof: dict[str, Any]) -> str:
    """What a resync showed."""
    verdict = "both sides agree" if proof["equal"] else "THE SIDES DIFFER"
    return f"of {proof['at']}: {proof['events']:,} events, {proof['conflicts']:,} conflicts, {verdict}"


def lane_row(lane: dict[str, Any]) -> dict[str, Any]:
    """A lane as a line of the table."""
    here, there = lane["here"], lane["there"]
    chains = here["chain"][:BRIEF] + ("" if here["chain"] == there["chain"] else f" / {there['chain'][:BRIEF]}")
    row = {"here": here["number"], "there": there["number"], "chain": chains}
    return lane | row | {"equal": "yes" if lane["equal"] else "NO"}


def conflicts(typed: argparse.Namespace, console: Client) -> int:
    """A page of conflicts."""
    query = {"open": not typed.all, "limit": typed.limit, "cursor": typed.cursor}
    page = console.object("GET", "/v1/airgap/conflicts", query=query)
    rows = [
        row | {"first": row["first"][:BRIEF], "later": row["later"][:BRIEF], "decided": row["choice"]}
        for row in page["conflicts"]
    ]
    return _print_page(typed, page, rows, CONFLICTS, "no conflict waits for a decision")


def resolve(typed: argparse.Namespace, console: Client) -> int:
    """Decide one."""
    path = f"/v1/airgap/conflicts/{quote(typed.id, safe='')}/resolve"
    answer = console.object("POST", path, body={"choice": typed.choice})
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        done = "what stands is kept" if typed.choice == "keep" else "what came later stands now"
        print(f"{plain(typed.id)}: {done}")
    return 0


def take_back(typed: argparse.Namespace, console: Client) -> int:
    """Take back the jobs of an agent that will not come back."""
    answer = console.object("POST", "/v1/airgap/take-back", body={"agent": typed.agent})
    if getattr(typed, "json", False):
        print_json(answer)
    else:
        print(f"{answer['jobs']:,} taken back from {plain(typed.agent)}")
    return 0


def history(typed: argparse.Namespace, console: Client) -> int:
    """A page of the link's states."""
    page = console.object("GET", "/v1/airgap/history", query={"limit": typed.limit, "cursor": typed.cursor})
    rows = [
        row | {"forced": "yes" if row["forced"] else "", "lasted": f"{row['lasted']:,.0f} s" if row["lasted"] else ""}
        for row in page["changes"]
    ]
    return _print_page(typed, page, rows, HISTORY, "the link has not changed yet")


def proofs(typed: argparse.Namespace, console: Client) -> int:
    """A page of proofs."""
    page = console.object("GET", "/v1/airgap/proofs", query={"limit": typed.limit, "cursor": typed.cursor})
    rows = [
        row | {"lanes": len(row["lanes"]), "proof": "equal" if row["equal"] else "DIFFERS"} for row in page["proofs"]
    ]
    return _print_page(typed, page, rows, PROOFS, "there was no resync yet")


def _print_page(
    typed: argparse.Namespace, page: dict[str, Any], rows: list[dict[str, Any]], columns: Sequence[str], empty: str
) -> int:
    if getattr(typed, "json", False):
        print_json(page)
        return 0
    print_table(rows, columns, empty)
    if page.get("next_cursor"):
        print(f"more: --cursor {page['next_cursor']}")
    return 0
