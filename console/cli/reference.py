"""Writes docs/configuration.md from the settings themselves: ``run.py reference > docs/configuration.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from console.cli.options import Parser
from engine.kernel.queues import PRESETS, QUEUE_MEANING, RECLAIMS
from engine.kernel.settings import Option, options

INTRODUCTION = """# Configuration

Every setting is a flag of `run.py`, a variable `HOLDFAST_<NAME>` and a key of a TOML file; the first of these that is
given counts. The file is the one that `--config` or `HOLDFAST_CONFIG` names, else `holdfast.toml` in the current folder.
Secrets have no flags, because every user of a machine can read the command lines of all others.

Everything is checked before anything starts. What is wrong is told all at once, one line each: what, where it was set, and
the mend; the exit code is 2. `python3 run.py doctor` checks the same and the machine besides.

```toml
# holdfast.toml
port = 8081
tasks = ["shop.tasks"]
store_limit = "10GiB"

[queues.emails]
concurrency = 10
rate_limit = "100/m"
```

This page is made from the settings: `python3 run.py reference > docs/configuration.md`.

## Settings
"""

QUEUES = """
## Queues

A table `[queues.NAME]` sets what is special about a queue. Queues need no declaration: a job makes the queue that it names.
"""

OTHERS = """
## Variables that are no settings

| variable | for |
|---|---|
| `HOLDFAST_URL`, `HOLDFAST_TOKEN` | operator commands: which console, as whom; default the one on this home, as its user |
| `HOLDFAST_NEW_PASSPHRASE`, `HOLDFAST_NEW_KEY` | `keys rewrap` without a terminal: what opens the key ring from then on |
| `HOLDFAST_WHEELS` | the first start without a network: a folder of wheels to install from |
| `HOLDFAST_REQUIRE_PROGRAMS` | tests: `1` turns every skip for a missing program into a failure |
| `HOLDFAST_SECRET_<PLUGIN>_<NAME>` | secrets of bundled tasks, such as the signing key of a webhook |
"""


def main(argv: Sequence[str]) -> int:
    Parser(prog="run.py reference", description="Print the configuration page.").parse_args(argv)
    print(page(), end="")
    return 0


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *(entry(option) for option in options()), QUEUES, *queue_table(), OTHERS]
    return "\n".join(parts)


def entry(option: Option) -> str:
    """One setting."""
    places = "" if option.secret or option.name == "queues" else f"`--{option.name.replace('_', '-')}` · "
    default = option.default_text or shown(option.default)
    return (
        f"### `{option.name}`\n\n{option.meaning}\n\n"
        f"{places}`HOLDFAST_{option.name.upper()}` · default: {default} · example: `{option.example}`\n"
    )


def shown(default: Any) -> str:
    """A default as a reader expects it."""
    if default is None or default == "" or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def queue_table() -> Iterator[str]:
    """What may be set for a queue, and the presets."""
    yield "| key | meaning |\n|---|---|\n" + "\n".join(f"| `{key}` | {text} |" for key, text in QUEUE_MEANING.items())
    yield "\n| preset | priority | concurrency | reclaim |\n|---|---|---|---|"
    for name, table in sorted(PRESETS.items(), key=lambda item: (item[1]["priority"], item[0])):
        most, reclaim = table.get("concurrency", "as many as there are slots"), table.get("reclaim", RECLAIMS[0])
        yield f"| `{name}` | {table['priority']} | {most} | `{reclaim}` |"
