"""``python3 run.py bench``: runs benches, shows the table, keeps the figures.

Exit codes: 0 measured, 1 a bench failed or (with ``--check``) a floor was missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import datetime
import difflib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.bench import (
    agents,
    drain,
    enqueue,
    history,
    latency,
    linked,
    machine,
    memory,
    report,
    returning,
    scripts,
    starting,
)
from tests.bench.figures import Figure, Options
from tests.bench.peers.beside import PEERS
from tests.bench.rounds import ROOT, RoundFailed, tell

BENCHES: dict[str, Callable[[Options], list[Figure]]] = {
    "enqueue": enqueue.enqueue,
    "drain": drain.drain,
    "busy": drain.busy,
    "latency": latency.latency,
    "starting": starting.starting,
    "memory": memory.memory,
    "history": history.history,
    "redis": linked.linked,
    "agents": agents.agents,
    "across": agents.across,
    "killed": agents.killed,
    "scripts": scripts.scripts,
    "resync": returning.resync,
    "heartbeats": returning.heartbeats,
}


def main(argv: Sequence[str]) -> int:
    """Measure what was asked for."""
    asked = parser().parse_args(argv)
    options = Options(asked.folder, asked.rounds or (1 if asked.quick else 5), asked.quick, asked.vs)
    before = machine.load()
    figures, failed = measure(asked.only, options)
    made = report.Report(
        report.VERSION, datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        machine.here(asked.folder), (before, machine.load()), options.rounds, options.quick, figures,
    )  # fmt: skip
    show(made, asked.compare)
    report.write(asked.json or ROOT / f"bench-{made.at[:10]}.json", made)
    return 1 if failed or (asked.check and made.missed) else 0


def measure(names: Sequence[str], options: Options) -> tuple[list[Figure], list[str]]:
    """Figures of these benches, and the names of those that failed; one that fails does not stop the others."""
    figures: list[Figure] = []
    failed: list[str] = []
    for name in names:
        tell(f"{name} …")
        try:
            figures += BENCHES[name](options)
        except (RoundFailed, AssertionError) as error:
            tell(f"{name} failed: {error}")
            failed.append(name)
    return figures, failed


def show(made: report.Report, old: report.Report | None) -> None:
    """The report on stdout."""
    print(made.machine.line())
    kind = "a quick look, " if made.quick else ""
    print(f"{made.at}, {kind}median of {made.rounds}; load {made.load[0]:.1f} before, {made.load[1]:.1f} after")
    if made.figures:
        print("\n" + report.table(made.figures))
        judged = [figure for figure in made.figures if figure.passes is not None]
        print(f"\n{len(judged) - len(made.missed)} of {len(judged)} floors hold")
    if old is not None and made.figures:
        print("\n" + report.comparison(old, made))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="run.py bench", description="Measure Holdfast, and its peers beside it.")
    made.add_argument(
        "--only", type=names_in(BENCHES), default=tuple(BENCHES), metavar="A,B", help=f"some of: {', '.join(BENCHES)}"
    )
    made.add_argument(
        "--vs", type=names_in(PEERS), default=("huey",), metavar="A,B",
        help=f"peers to drain the same jobs: {', '.join(PEERS)}; huey is always there",
    )  # fmt: skip
    made.add_argument("--rounds", type=at_least_one, metavar="N", help="rounds of each figure; the median counts (5)")
    made.add_argument("--quick", action="store_true", help="one round with a tenth of the work: a look")
    made.add_argument(
        "--folder", type=a_folder, default=Path(tempfile.gettempdir()), metavar="DIR",
        help="where homes are made: on the disk that is to be measured",
    )  # fmt: skip
    made.add_argument("--json", type=Path, metavar="FILE", help="where the figures are kept (bench-<date>.json)")
    made.add_argument("--compare", type=a_report, metavar="OLD.json", help="show what changed since an earlier run")
    made.add_argument("--check", action="store_true", help="exit 1 if a floor is missed")
    return made


def names_in(
    known: dict[str, object] | dict[str, Callable[[Options], list[Figure]]],
) -> Callable[[str], tuple[str, ...]]:
    """Reads names with commas between them."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise argparse.ArgumentTypeError(f"there is no {name!r}; {meant}")
        if not names:
            raise argparse.ArgumentTypeError(f"expected at least one of {', '.join(known)}")
        return names

    return read


def at_least_one(text: str) -> int:
    """A number of rounds."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def a_folder(text: str) -> Path:
    """A folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder that exists, got {text!r}")
    return Path(text).resolve()


def a_report(text: str) -> report.Report:
    """Figures of an earlier run."""
    try:
        return report.read(Path(text))
    except (OSError, msgspec.DecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text} holds no figures of an earlier run ({error})") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
