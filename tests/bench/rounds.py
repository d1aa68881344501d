"""Rounds: each in a process of its own with an empty folder, ended with all its children whatever happens.

A round is a function ``(folder, **parameters) -> dict of figures`` in a module of this package, named ``module:function``.
The child answers in a file, so that nothing it prints can be taken for a figure.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import Options

ROOT = Path(__file__).resolve().parents[2]
#: seconds that a round may take
PATIENCE = 600.0
ANSWER = "answer.json"
#: last lines of a failed child that are shown
LINES = 30

Answer = dict[str, Any]


class RoundFailed(Exception):
    """A round ended without an answer; says how, with the last lines it printed."""


def run(options: Options, round_: str, **parameters: Any) -> list[Answer]:
    """The answers of all rounds of ``round_``."""
    return [once(options, round_, number, **parameters) for number in range(1, options.rounds + 1)]


def once(options: Options, round_: str, number: int = 1, **parameters: Any) -> Answer:
    """The answer of one round; says on stderr which it is."""
    told = " ".join(str(value) for value in parameters.values() if not isinstance(value, Path))
    tell(f"  {round_.rpartition('.')[2].replace(':', ' ')} {told}: round {number}")
    with tempfile.TemporaryDirectory(prefix="hf-bench-", dir=options.folder, ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "tests.bench.rounds", round_, folder, json.dumps(parameters, default=str)]
        return answer_of(command, Path(folder))


def answer_of(
    command: Sequence[str], folder: Path, patience: float = PATIENCE, environ: Mapping[str, str] = os.environ
) -> Answer:
    """Run a command that answers in ``folder/answer.json``.  Raises ``RoundFailed``."""
    log = folder / "output.txt"
    with log.open("wb") as output, child(command, output, environ) as process:
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            raise RoundFailed(f"no answer within {patience:g} s\n{tail(log)}") from None
    if code:
        raise RoundFailed(f"ended with code {code}\n{tail(log)}")
    found: Answer = json.loads((folder / ANSWER).read_text("utf-8"))
    return found


@contextlib.contextmanager
def child(command: Sequence[str], output: Any, environ: Mapping[str, str] = os.environ) -> Iterator[Any]:
    """A process in a group of its own; the whole group is ended at the end."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True, env=clean(environ),
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the user's own settings."""
    return {name: value for name, value in environ.items() if not name.startswith("HOLDFAST_")}


def tail(log: Path) -> str:
    """The last lines of what a child printed."""
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-LINES:])


def tell(text: str) -> None:
    """Progress, for a person; the report goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str]) -> int:
    """The child: call the function, write its answer."""
    module, _, name = argv[0].partition(":")
    function: Callable[..., Answer] = getattr(importlib.import_module(module), name)
    folder = Path(argv[1])
    answer = function(folder, **json.loads(argv[2]))
    (folder / ANSWER).write_text(json.dumps(answer), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
