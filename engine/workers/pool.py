"""The workers of a process: Huey's consumer and workers, fed from the shared batch instead of a destructive dequeue.

Huey's part is the life of the threads and their loop.  Changed: no signal handlers (the launcher's business), the
scheduler's place is taken by the keeper, a worker gets claimed jobs and runs them through the attempt pipeline, and
workers can be added, drained and replaced while the pool runs.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from typing import Any

import psutil
from huey.consumer import BaseProcess, Consumer, Worker, WorkerRecycle

from engine.kernel import events as ev
from engine.kernel.bell import Bell
from engine.kernel.clock import Clock
from engine.queue.app import QueueApp
from engine.storage.base import RENEW_SECONDS, Store
from engine.workers.attempt import Runner
from engine.workers.feeder import Feeder, Held
from engine.workers.finisher import Finisher
from engine.workers.pacer import Pacer

log = logging.getLogger("holdfast.workers")

#: seconds a thread may keep the interpreter while others want it: short, for the console's sake
SWITCH_INTERVAL = 0.0005
#: collections of garbage are rarer than by default: jobs make little of it and leave much that stays
COLLECT = (20_000, 20, 50)
#: seconds until a worker asks a store again that failed
AGAIN = 0.5
#: share of the time to stop that running jobs may use to end by themselves
GRACE = 0.7


class PoolWorker(Worker):  # type: ignore[misc]
    """Runs one job at a time."""

    def __init__(self, pool: Pool, name: str) -> None:
        super().__init__(pool.huey, pool.stop_flag, 0.1, 1.0, 1.0)
        self.name = name
        self._pool = pool
        self._bell = Bell()
        #: set when this worker alone is to end, after its present job
        self.leaving = False

    def loop(self, now: Any = None) -> None:
        """Called by Huey again and again: run jobs while there are any, then wait for one."""
        pool, feeder, run, name = self._pool, self._pool.feeder, self._pool.runner.run, self.name
        while not self.leaving:
            try:
                held = feeder.next()
            except Exception:
                log.exception("jobs could not be claimed; it is tried again")
                self.stop_flag.wait(AGAIN)
                return
            if held is None:
                return feeder.idle(self._bell)
            job, token = held
            feeder.took(run(job, token, name))
            if pool.pacer.should_rest():
                return feeder.park(self._bell)
        feeder.call_one()  # it may have been called just now
        raise WorkerRecycle


class Keeper(BaseProcess):  # type: ignore[misc]
    """The pool's housekeeping, once a second, outside the threads of jobs.

    Leases are prolonged before anything is rescued, so that a process that stood still does not take its own jobs away.
    """

    process_name = "Keeper"

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool.huey, pool.stop_flag)
        self._pool = pool
        self._process = psutil.Process()
        self._taken = -1
        self._taken_at = 0.0
        self._tokens: set[int] = set()

    def loop(self, now: Any = None) -> None:
        """Called by Huey again and again."""
        try:
            delay = self.run_once()
        except Exception:
            log.exception("housekeeping failed; it is tried again")
            delay = RENEW_SECONDS
        self.stop_flag.wait(delay)

    def run_once(self) -> float:
        """One round; returns seconds until the next."""
        pool = self._pool
        tokens = pool.tokens()
        # those of the last round too: a job that passes from hand to hand in this moment is in none of the places
        pool.store.renew(tokens | self._tokens)
        self._tokens = tokens
        due = pool.store.promote()
        pool.runner.flush_words()
        pool.runner.endings.memory = self._process.memory_info().rss
        self._hand_back_hoard()
        pool.check_worker_health()
        return RENEW_SECONDS if due is None else min(RENEW_SECONDS, max(0.01, due))

    def _hand_back_hoard(self) -> None:
        """Claimed jobs from which nobody took for ``RENEW_SECONDS`` go back, for whoever is free."""
        feeder, now = self._pool.feeder, self._pool.clock.monotonic()
        if feeder.taken != self._taken:
            self._taken, self._taken_at = feeder.taken, now
        elif feeder.ready and now - self._taken_at >= RENEW_SECONDS:
            self._pool.release(feeder.hand_back())


class Pool(Consumer):  # type: ignore[misc]
    """All workers of an engine."""

    def __init__(
        self,
        app: QueueApp,
        store: Store,
        feeder: Feeder,
        finisher: Finisher,
        runner: Runner,
        workers: int,
        clock: Clock,
    ) -> None:
        self.store = store
        self.feeder = feeder
        self.finisher = finisher
        self.runner = runner
        self.clock = clock
        self.pacer = Pacer(feeder, workers, clock)
        self._numbers = iter(range(1, sys.maxsize))
        self._members = threading.Lock()
        self.worker_threads: list[tuple[PoolWorker, threading.Thread]] = []
        super().__init__(app, workers=workers, periodic=False, check_worker_health=False)

    def _create_worker(self) -> PoolWorker:
        return PoolWorker(self, f"{self.feeder.agent}/{next(self._numbers)}")

    def _create_scheduler(self) -> Keeper:
        return Keeper(self)

    def start(self) -> None:
        """Start the workers; of the process itself the switch interval and the collector's thresholds are set."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.set_threshold(*COLLECT)
        self.finisher.start()
        self.pacer.start()
        for _, thread in self.worker_threads:
            thread.start()
        self.scheduler.start()

    def check_worker_health(self) -> bool:
        """Replace workers whose thread died; those that were asked to leave are not revived."""
        with self._members:
            self.worker_threads = [
                (w, thread) for w, thread in self.worker_threads if not w.leaving or thread.is_alive()
            ]
            dead = [index for index, (_, thread) in enumerate(self.worker_threads) if not thread.is_alive()]
            for index in dead:
                if not self.stop_flag.is_set():
                    log.warning("a worker died and is replaced")
                    self.worker_threads[index] = self._new_member()
        return not dead

    def _new_member(self) -> tuple[PoolWorker, threading.Thread]:
        worker = self._create_worker()
        thread = self._create_process(worker, worker.name)
        thread.start()
        return worker, thread

    @property
    def size(self) -> int:
        """Workers, without those that are to leave."""
        return sum(not worker.leaving for worker, _ in self.worker_threads)

    def scale(self, workers: int) -> None:
        """Have so many workers; those too many leave after their present job."""
        with self._members:
            staying = [worker for worker, _ in self.worker_threads if not worker.leaving]
            for worker in staying[workers:]:
                worker.leaving = True
            self.worker_threads += [self._new_member() for _ in range(workers - len(staying))]
        self.pacer.workers = workers

    def halt(self) -> None:
        """Start no more jobs; those that run go on, those that were claimed for later go back."""
        self.release(self.feeder.halt())

    def go_on(self) -> None:
        """Start jobs again."""
        self.feeder.go_on()

    def tokens(self) -> set[int]:
        """Tokens of all claims that have jobs here."""
        held = {token for _, token in list(self.feeder.ready)}
        return held | {attempt.token for attempt in list(self.runner.running.values())} | self.finisher.tokens()

    def wish(self, job_id: str) -> None:
        """Someone asked a job to stop that runs here, or was claimed and has not begun."""
        for job, _ in list(self.feeder.ready):
            if job.id == job_id:
                job.cancelling = True
        self.runner.wish(job_id)

    def release(self, held: list[Held]) -> None:
        """Hand back jobs that were claimed and not begun; what somebody wished to cancel meanwhile is cancelled."""
        self.finisher.give_back([self.runner.endings.unbegun(job, token) for job, token in held])

    def shut(self, timeout: float, farewell: ev.Event) -> None:
        """Stop within ``timeout`` seconds: running jobs may end for most of it, then they are handed back.  ``farewell`` is
        written after the last end."""
        deadline = self.clock.monotonic() + timeout
        self.stop_flag.set()
        self.release(self.feeder.close())
        self._join(deadline - timeout * (1 - GRACE))
        unfinished = self.runner.interrupt_all()
        if unfinished:
            self._join(min(deadline, self.clock.monotonic() + timeout * 0.1))
        self.scheduler.join(max(0.1, min(0.5, deadline - self.clock.monotonic())))
        self._abandon()
        self.pacer.stop()
        self.finisher.stop(max(0.2, deadline - self.clock.monotonic()), farewell)
        self.runner.close()

    def _join(self, deadline: float) -> None:
        for _, thread in self.worker_threads:
            if thread is not threading.current_thread():  # a task may stop its own engine
                thread.join(max(0.0, deadline - self.clock.monotonic()))

    def _abandon(self) -> None:
        """Hand back what still runs; its late end is stale."""
        left = [self.runner.endings.released(attempt) for attempt in list(self.runner.running.values())]
        if left:
            log.warning("%d jobs did not stop in time; they are handed back and run again", len(left))
        self.finisher.give_back(left)
