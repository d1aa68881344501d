"""Counts for Prometheus, from the events of the bus and, at a scrape, the depths of the queues.

The subscriber runs on the threads that commit, so a batch costs no more than a few dictionary steps per job; no job is
remembered, since events name its queue.  Everything lives in a registry of its own.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from engine.kernel.events import (
    AttemptEnded,
    Event,
    JobCancelled,
    JobCompleted,
    JobDied,
    JobEnqueued,
    JobRetryScheduled,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: upper bounds of the histogram, milliseconds
BOUNDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
SECONDS = tuple(bound / 1000 for bound in BOUNDS)

Depths = Callable[[], Mapping[str, Mapping[str, int]]]
#: metrics of another part, made at each scrape
Source = Callable[[], Iterable[Metric]]


#: ends of attempts that went wrong
_WRONG = (JobDied, JobCancelled, JobRetryScheduled)


class _Queue:
    """Counts of one queue."""

    __slots__ = ("added", "buckets", "cancelled", "completed", "failed", "retried", "seconds")

    def __init__(self) -> None:
        self.added = self.completed = self.failed = self.retried = self.cancelled = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def took(self, seconds: float) -> None:
        """A job of it ended after a run of ``seconds``."""
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS, seconds)] += 1


class Metrics:
    """Subscribes to a bus; ``text`` is a scrape."""

    def __init__(self, depths: Depths) -> None:
        self._depths = depths
        self._lock = threading.Lock()
        self._queues: defaultdict[str, _Queue] = defaultdict(_Queue)
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._sources: list[Source] = []
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Add a figure that is read at each scrape."""
        self._gauges[name] = (help, read)

    def add(self, source: Source) -> None:
        """Ask another part for its metrics at each scrape."""
        self._sources.append(source)

    def take(self, events: Sequence[Event]) -> None:
        """Count a batch; the bus calls it."""
        queues = self._queues
        with self._lock:
            for event in events:
                if isinstance(event, JobCompleted):
                    queue = queues[event.queue]
                    queue.completed += 1
                    queue.took(event.duration)
                elif isinstance(event, JobEnqueued):
                    queues[event.queue].added += 1
                elif isinstance(event, _WRONG):
                    _count(queues[event.queue], event)

    def completed(self) -> int:
        """Jobs completed since this process began."""
        return sum(queue.completed for queue in self._queues.values())

    def text(self) -> bytes:
        """All metrics in the exposition format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for at a scrape."""
        with self._lock:
            queues = sorted(self._queues.items())
            yield _counter("queue_jobs_added", "Jobs accepted", ((name, q.added) for name, q in queues))
            yield _counter("queue_jobs_completed", "Jobs completed", ((name, q.completed) for name, q in queues))
            yield _counter("queue_jobs_failed", "Jobs that failed for good", ((name, q.failed) for name, q in queues))
            yield _counter(
                "queue_jobs_retried", "Failed attempts to be tried again", ((n, q.retried) for n, q in queues)
            )
            yield _counter("queue_jobs_cancelled", "Jobs cancelled", ((name, q.cancelled) for name, q in queues))
            yield _histogram(queues)
        yield self._depth()
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(name, text, read())
        for source in self._sources:
            yield from source()

    def _depth(self) -> Metric:
        family = GaugeMetricFamily("queue_depth", "Jobs by state", labels=("queue", "state"))
        for name, states in sorted(self._depths().items()):
            for state, number in sorted(states.items()):
                family.add_metric((name, state), number)
        return family


def _count(queue: _Queue, event: AttemptEnded) -> None:
    """Count the end of an attempt that went wrong."""
    if isinstance(event, JobDied):
        queue.failed += 1
        if event.started_at:
            queue.took(event.duration)
    elif isinstance(event, JobCancelled):
        queue.cancelled += 1
    else:
        queue.retried += 1


def _counter(name: str, text: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=("queue",))
    for queue, value in values:
        family.add_metric((queue,), value)
    return family


def _histogram(queues: Iterable[tuple[str, _Queue]]) -> Metric:
    family = HistogramMetricFamily(
        "queue_job_processing_duration_ms", "Run time of attempts that ended a job", labels=("queue",)
    )
    for name, queue in queues:
        total, buckets = 0, []
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), queue.buckets, strict=True):
            total += number
            buckets.append((bound, total))
        family.add_metric((name,), buckets, queue.seconds * 1000)
    return family
