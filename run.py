#!/usr/bin/env python3
"""Holdfast: background jobs for places where the network cannot be trusted.

  python3 run.py                        start the engine and the console on http://127.0.0.1:8080
  python3 run.py test [PYTEST ARGS]     run the whole test suite (--require-programs: skip nothing)
  python3 run.py enqueue TASK           add a job to the running console (--args JSON, --queue Q, --wait)
  python3 run.py jobs COMMAND           list, show, retry, cancel, delete
  python3 run.py queues COMMAND         list, pause, resume
  python3 run.py airgap COMMAND         status, force, release, sync, conflicts, history, proofs, and bundles to carry
  python3 run.py agent --redis URL      a node of a fleet without a console (--queues, --concurrency, --processes)
  python3 run.py agents COMMAND         list, show, pause, resume, drain, scale, stop, ping, notify, broadcast, forget
  python3 run.py store                  how full the store is, what it has set aside (store acknowledge)
  python3 run.py keys COMMAND           rotate: seal the store with a new key; rewrap: change what opens it
  python3 run.py audit verify           check that nothing in the audit was changed
  python3 run.py doctor                 check the machine and the configuration
  python3 run.py bench                  measure the engine (--vs huey,rq: beside its peers)

Common options: --home DIR, --host ADDRESS, --port N, --database URL, --tasks MODULE, --config FILE, --no-browser.
Every option is also a variable HOLDFAST_<NAME> and a key of the TOML file: see docs/configuration.md.
Add --help to a command for all that it takes.  Exit codes: 0 fine, 2 wrong usage or configuration, 1 anything else.
"""

# Up to the version check nothing here is newer than Python 3.6, so that an old one can say which is needed.  ``environment``
# then makes .venv if packages are missing and becomes its Python by exec: no second process stays behind.  ``compose`` is
# the composition root, the only place that wires the packages together.

import contextlib
import gc
import os
import shutil
import subprocess
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
OLDEST = (3, 11)
#: files in memory, where tests work if it has so many bytes of room
MEMORY, ROOM = "/dev/shm", 6 << 30


def leave_old_python(argv):
    """Go on with a newer Python if this one is too old; end with a clear line if there is none."""
    for minor in range(20, OLDEST[1] - 1, -1):
        newer = shutil.which("python3.{}".format(minor))
        if newer:
            os.execv(newer, [newer, os.path.join(HERE, "run.py")] + list(argv))  # noqa: RUF005
    sys.stderr.write(
        "holdfast: Python {}.{} or newer is needed, this is {}.{} ({}); install one from your system's packages "
        "or https://www.python.org and start run.py with it\n".format(*OLDEST, *sys.version_info[:2], sys.executable)
    )
    sys.exit(2)


def test(argv):
    """Run the test suite; pytest's summary is the last thing printed."""
    environment = dict(os.environ)
    if "--require-programs" in argv:
        argv = [argument for argument in argv if argument != "--require-programs"]
        environment["HOLDFAST_REQUIRE_PROGRAMS"] = "1"
    if "TMPDIR" not in environment and os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > ROOM:
        environment["TMPDIR"] = MEMORY  # what tests write is thrown away, and no test pulls the plug
    argv = argv or ["-n", "2", "--dist", "loadfile"]  # two files at a time
    return subprocess.call([sys.executable, "-m", "pytest"] + argv, cwd=HERE, env=environment)  # noqa: RUF005


def main(argv):
    """What a person or a program asks for; returns the exit code."""
    if argv[:1] in (["-h"], ["--help"], ["help"]):
        print(__doc__)
        return 0
    if sys.version_info < OLDEST:
        leave_old_python(argv)
    if argv[:1] == ["--version"]:
        print("Holdfast " + version())
        return 0
    command = argv[0] if argv else ""
    if command != "recorder":
        from console.cli.environment import ensure

        ensure(["test"] if command == "test" else [], argv)
    if command == "test":
        return test(argv[1:])
    if command == "bench":
        from tests.bench.main import main as bench

        return bench(argv[1:])
    gc.disable()  # imports leave no garbage, and looking for it is a fifth of their time; what runs turns it on again
    from console.cli.main import main as console_command

    return console_command(argv, run)


def run(settings):
    """Settings → objects → start.  Serves until SIGTERM or SIGINT; what was not finished goes back to its queue."""
    from console.cli import start

    with start.stoppable() as check, contextlib.ExitStack() as parts:
        start.prepare(settings)
        start.serve(compose(settings, parts), parts, check)
    return 0


def compose(settings, parts):
    """All packages around one another.  The engine is not started yet: no job runs before everything stands.

    ``parts`` closes what was opened, the last first; the engine ends before the recorder, which still reads its last
    events, and before the database that tasks may use.
    """
    from airgap.view import is_silent
    from console import context
    from console.cli.recorder import RecorderProcess
    from console.cli.start import STOP_SECONDS, with_history
    from data import open_database
    from engine import Engine
    from plugins.catalog.documents import sample_request
    from plugins.housekeeping import Housekeeping
    from plugins.loader import load_catalog
    from plugins.services import House

    engine = Engine(with_history(settings))  # first: it owns the home, or says who does
    parts.callback(engine.stop)
    database = open_database(settings.database, settings.home)
    parts.callback(database.close)
    load_catalog(
        types.SimpleNamespace(register=engine.add), House(settings, lambda: database, engine.clock, os.environ)
    )
    keys, release = engine.store.export_keys, engine.store.release_segments
    launcher, silent = os.path.join(HERE, "run.py"), lambda: is_silent(engine.store)
    recorder = RecorderProcess(settings, keys, release, launcher, engine.clock, silent)
    recorder.start()
    parts.callback(recorder.stop)
    parts.callback(engine.stop, STOP_SECONDS)
    parts.enter_context(Housekeeping(engine, database).running())

    def state():
        return context.RecorderState(recorder.running, recorder.restarts, recorder.progress.lag)

    facts = context.Facts(version(), engine.clock.now(), state, sample_request)
    return context.compose(engine, database, settings, facts)


def version():
    """Of the project, as pyproject.toml says."""
    import tomllib

    with open(os.path.join(HERE, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)["project"]["version"]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("holdfast: stopped")
