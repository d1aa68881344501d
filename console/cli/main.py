"""Finds the command that was asked for and runs it.

Commands import what they need when they run: ``jobs list`` must not wait for the engine's imports.  Expected errors end
here, as one line on stderr and an exit code; only what is wrong in our own code shows a traceback.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib
import sys
from collections.abc import Callable, Sequence

from console.cli.options import Parser, add_flags, fail, settings_of
from engine.kernel.errors import HoldfastError, SettingsError, StoreOwned, UnknownTask, ValidationError
from engine.kernel.settings import Settings

#: command -> module with ``main(argv) -> exit code``
COMMANDS = {
    "enqueue": "console.cli.enqueue",
    "jobs": "console.cli.jobs",
    "queues": "console.cli.queues",
    "airgap": "console.cli.airgap",
    "agent": "console.cli.agent",
    "agents": "console.cli.agents",
    "store": "console.cli.store",
    "keys": "console.cli.keys",
    "audit": "console.cli.audit",
    "doctor": "console.cli.doctor",
    "reference": "console.cli.reference",
    "recorder": "console.cli.recorder",
}
#: commands of the launcher itself, for the message about a wrong one
LAUNCHER = ("test", "bench")


def main(argv: Sequence[str], run: Callable[[Settings], int]) -> int:
    """Run ``argv``; without a command, ``run(settings)`` starts everything."""
    try:
        if argv and argv[0] in COMMANDS:
            command = importlib.import_module(COMMANDS[argv[0]])
            gc.enable()
            code: int = command.main(list(argv[1:]))
            return code
        return run(settings_of(_start_parser().parse_args(argv)))
    except (SettingsError, StoreOwned, ValidationError, UnknownTask) as error:
        return fail(str(error), 2)
    except HoldfastError as error:
        return fail(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _start_parser() -> Parser:
    known = ", ".join([*(name for name in COMMANDS if name not in {"recorder", "reference"}), *LAUNCHER])
    parser = Parser(prog="run.py", description="Start the engine and the console.", epilog=f"Commands: {known}.")
    parser.add_argument("command", nargs="?", type=_no_command(known), help="one of the commands below")
    add_flags(parser)
    return parser


def _no_command(known: str) -> Callable[[str], str]:
    def refuse(text: str) -> str:
        near = difflib.get_close_matches(text, known.split(", "), 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {known}"
        raise argparse.ArgumentTypeError(f"there is no command {text!r}; {meant}")

    return refuse
