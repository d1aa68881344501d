"""What every peer's script shares: the job, the count, the clock and the answer.  Runs in the peers' environment, so it uses
nothing but the standard library.

A script is started as ``script.py FOLDER JOBS PORT`` and answers in ``FOLDER/answer.json``.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

FOLDER, JOBS, PORT = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
TEXT = "an address, a subject, a few words: arguments as they are in practice"
PATIENCE = 300.0

ran: list[int] = []
all_ran = threading.Event()


def noop(n: int, text: str) -> None:
    """Be counted."""
    ran.append(n)
    if len(ran) >= JOBS:
        all_ran.set()


def answer(enqueue: Callable[[int], object], start: Callable[[], object]) -> None:
    """Enqueue all jobs, start the workers, wait for the last job; each must have run once."""
    began = time.perf_counter()
    for n in range(JOBS):
        enqueue(n)
    enqueued = time.perf_counter() - began
    cpu, began = time.process_time(), time.perf_counter()
    start()
    assert all_ran.wait(PATIENCE), f"{len(ran)} of {JOBS} jobs ran"
    drained, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert sorted(ran) == list(range(JOBS)), "each job runs once"
    text = json.dumps({"rate": JOBS / drained, "enqueue": JOBS / enqueued, "cpu": cpu / JOBS * 1e6})
    (FOLDER / "answer.json").write_text(text, "utf-8")
