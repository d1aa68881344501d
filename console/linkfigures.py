"""The link and its pool of connections as Prometheus metrics; a node without Redis tells the same names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from airgap.view import AIRGAPPED, CONNECTED, RECOVERING, STANDALONE, AirView, air_of

if TYPE_CHECKING:
    from engine import Engine

#: the number of a state
STATES = {state: number for number, state in enumerate((STANDALONE, CONNECTED, AIRGAPPED, RECOVERING))}


def figures(engine: Engine) -> Iterator[Metric]:
    """All metrics of the link, from one look at the store."""
    view = air_of(engine.store)
    for name, text, value in _gauges(view, engine.clock.now()):
        yield GaugeMetricFamily(name, text, value)
    for name, text, count in _counters(view):
        yield CounterMetricFamily(name, text, count)


def _gauges(view: AirView, now: float) -> Iterator[tuple[str, str, float]]:
    oldest = max(0.0, now - view.oldest_unsynced_at) if view.oldest_unsynced_at else 0.0
    yield "airgap_state", "0 standalone, 1 connected, 2 airgapped, 3 recovering", STATES[view.state]
    yield "airgap_local_jobs", "Jobs that this node holds for itself", view.local_jobs
    yield "airgap_unsynced_events", "Events that Redis has not acknowledged", view.unsynced_events
    yield "airgap_oldest_unsynced_seconds", "Age of the oldest of them", oldest
    yield "redis_pool_connections_total", "Connections to Redis now", view.pool.get("connections", 0)
    yield "redis_pool_connections_active", "Connections to Redis in use now", view.pool.get("in_use", 0)
    yield "redis_probe_seconds", "What the last good probe took", view.latency or 0.0


def _counters(view: AirView) -> Iterator[tuple[str, str, float]]:
    yield "airgap_synced", "Events given to Redis", view.synced_total
    yield "airgap_conflicts", "Conflicts found", view.conflicts
    yield "redis_failover", "Times the link to Redis was lost", view.failovers
    yield "redis_pool_connections_made", "Connections to Redis made", view.pool.get("made", 0)
    yield "redis_pool_waits", "Times somebody waited for a free connection", view.pool.get("waits", 0)
