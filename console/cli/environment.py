"""Makes the environment that Holdfast runs in, where it is missing: ``.venv`` beside run.py.

Standard library only, and so is every package on the way to it: this runs before anything is installed.  Invariant: the
stamp, a hash of pyproject.toml, is written last, so an environment without a fitting one is incomplete and is repaired.
A Python that has every package in range already (a container, a developer's own environment) is used as it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
STAMP = VENV / "holdfast.json"
INSTALL_LOG = VENV / "install.log"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

NO_RIGHT = "the folder may not be written; give it to this user, or copy the project elsewhere"
NO_INDEX = (
    "the package index cannot be reached; check network and proxy, or put the wheels in a folder "
    "(pip download . -d wheels, on a machine with a network) and set HOLDFAST_WHEELS to it"
)
NO_WHEEL = (
    "a package is missing in the index or in HOLDFAST_WHEELS for this Python; add its wheel or use another Python"
)
NO_VENV = "on Debian and Ubuntu: sudo apt install python3-venv; elsewhere use a Python from https://www.python.org"
#: what pip says when it fails -> what that means and how to mend it
DIAGNOSES = {
    r"name resolution|getaddrinfo|Connection refused|unreachable|timed out|ConnectTimeout|ProxyError|SSLError": NO_INDEX,
    r"No space left": "the disk is full; make room (about 600 MB) and start again",
    r"Permission denied": NO_RIGHT,
    r"No matching distribution|Could not find a version": NO_WHEEL,
}
_STEP = re.compile(r"(Collecting|Building|Installing collected|Successfully installed)\b(?: packages)?:? ?([\w\-.]*)")
_REQUIREMENT = re.compile(r"([\w\-.]+)(?:\[[^\]]*\])?([^;]*)(;.*)?")


def ensure(extras: Sequence[str], argv: Sequence[str]) -> None:
    """Return if this Python can run Holdfast, else become one that can, made if need be."""
    in_venv = os.path.realpath(sys.prefix) == os.path.realpath(VENV)
    if stands_in_venv(extras) if in_venv else stands_here(extras):
        return
    if not stands_in_venv(extras):
        with InstallLock():
            if not stands_in_venv(extras):
                make_environment(extras)
    become(VENV_PYTHON, argv)


def become(python: Path, argv: Sequence[str]) -> NoReturn:
    """Replace this process by ``python run.py argv``."""
    command = [str(python), str(ROOT / "run.py"), *argv]
    if os.name == "nt":
        sys.exit(subprocess.call(command))
    os.execv(python, command)


def fail(what: str) -> NoReturn:
    """End with one plain line."""
    print(f"holdfast: {what}", file=sys.stderr)
    sys.exit(1)


def say(text: str) -> None:
    """Tell a person what is going on; not on stdout, which is for results."""
    print(text, file=sys.stderr, flush=True)


Requirement = tuple[str, tuple[int, ...], tuple[int, ...]]


def requirements(extras: Sequence[str]) -> Iterator[Requirement]:
    """(name, least version, bound) of every package that pyproject.toml asks for on this system."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    wanted = project["dependencies"] + [text for extra in extras for text in project["optional-dependencies"][extra]]
    for text in wanted:
        name, bounds, marker = _REQUIREMENT.match(text).groups()  # type: ignore[union-attr]
        if "win32" not in (marker or "") or sys.platform != "win32":
            yield name, bound(">=", bounds) or (), bound("<", bounds) or (10**9,)


def bound(sign: str, bounds: str) -> tuple[int, ...] | None:
    """The version after ``sign``, if there is one."""
    found = re.search(sign + r"\s*([\d.]+)", bounds)
    return numbers(found[1]) if found else None


def numbers(version: str) -> tuple[int, ...]:
    """``1.10.0`` -> (1, 10, 0); what follows the numbers does not matter for a bound."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def stands_here(extras: Sequence[str]) -> bool:
    """Whether the running Python already has every package in a fitting version."""
    try:
        return all(least <= numbers(metadata.version(name)) < below for name, least, below in requirements(extras))
    except metadata.PackageNotFoundError:
        return False


def wanted_stamp(extras: Sequence[str]) -> dict[str, Any]:
    """What the stamp says when .venv is complete for these extras."""
    return {"pyproject": hashlib.sha256(PROJECT.read_bytes()).hexdigest(), "extras": sorted(extras)}


def stands_in_venv(extras: Sequence[str]) -> bool:
    """Whether .venv was completely installed from the pyproject.toml of now.  An interrupted install has no stamp."""
    try:
        stamp, wanted = json.loads(STAMP.read_text("utf-8")), wanted_stamp(extras)
        complete = stamp["pyproject"] == wanted["pyproject"] and set(wanted["extras"]) <= set(stamp["extras"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return complete and os.access(VENV_PYTHON, os.X_OK)


class InstallLock:
    """Lets one process at a time build .venv; the others wait and find it built."""

    def __enter__(self) -> None:
        try:
            VENV.mkdir(exist_ok=True)
        except OSError as error:
            fail(f"{VENV} may not be written ({error.strerror}); {NO_RIGHT}")
        self._folder = None
        if os.name != "nt":
            import fcntl

            self._folder = os.open(ROOT, os.O_RDONLY)
            fcntl.flock(self._folder, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._folder)


def make_environment(extras: Sequence[str]) -> None:
    """Make .venv and install the project in it, with a line for each step."""
    began = time.monotonic()
    say("Holdfast: some dependencies are missing, so .venv is made beside run.py. This happens once.")
    STAMP.unlink(missing_ok=True)
    make_venv()
    install(extras, began)
    STAMP.write_text(json.dumps(wanted_stamp(extras)), "utf-8")
    say(f"  ready after {time.monotonic() - began:.0f} s")


def make_venv() -> None:
    """An empty environment with pip; one that works already stays."""
    if os.access(VENV_PYTHON, os.X_OK) and quiet([str(VENV_PYTHON), "-m", "pip", "--version"])[0] == 0:
        return
    say(f"  making the environment {VENV}")
    for module in ("venv", "ensurepip"):
        if not importable(module):
            fail(f"this Python ({sys.executable}) has no {module}, so no environment can be made; {NO_VENV}")
    code, output = quiet([getattr(sys, "_base_executable", "") or sys.executable, "-m", "venv", "--clear", str(VENV)])
    if code:
        fail(f"the environment {VENV} could not be made: {last_line(output)}; {NO_VENV}")


def importable(module: str) -> bool:
    """Whether this Python has a module of the standard library: distributions cut some out."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def quiet(command: Sequence[str]) -> tuple[int, str]:
    """(exit code, output) of a command."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def last_line(output: str) -> str:
    """The last line that says something."""
    return ([line.strip() for line in output.splitlines() if line.strip()] or ["no reason was given"])[-1]


def install(extras: Sequence[str], began: float) -> None:
    """pip install, told in steps; everything it says goes to .venv/install.log."""
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--editable", target]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    if wheels := os.environ.get("HOLDFAST_WHEELS"):
        command += ["--no-index", "--find-links", os.path.abspath(wheels)]
    say(f"  installing the packages{f' from {wheels}' if wheels else ''}")
    signal.signal(signal.SIGTERM, lambda *_: fail("stopped; the installation goes on at the next start"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            with INSTALL_LOG.open("w", encoding="utf-8") as log:
                output = [tell(line, log, began) for line in process.stdout or ()]
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        explain("".join(output))


def tell(line: str, log: IO[str], began: float) -> str:
    """Write a line of pip to the log, and to a person if it begins a step: on a terminal one over the other."""
    log.write(line)
    log.flush()
    if step := _STEP.match(line):
        text = f"  {time.monotonic() - began:4.0f} s  {step[1].lower()} {step[2]}"
        last = step[1].startswith("Successfully")
        print(f"\r\x1b[K{text}", end="\n" if last else "", file=sys.stderr, flush=True) if sys.stderr.isatty() else say(
            text
        )
    return line


def explain(output: str) -> NoReturn:
    """End with the cause of a failed installation and its mend."""
    errors = [line.strip() for line in output.splitlines() if line.startswith(("ERROR", "error"))]
    what = errors[0] if errors else last_line(output)
    mends = [mend for pattern, mend in DIAGNOSES.items() if re.search(pattern, output, re.IGNORECASE)]
    mend = f": {mends[0]}" if mends else ""
    fail(f"the packages could not be installed ({what:.250}){mend}; all that pip said: {INSTALL_LOG}")
