"""The fleet as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from engine import Engine

#: who can be given work
HERE = frozenset({"online", "late", "draining"})


def figures(engine: Engine) -> Iterator[Metric]:
    """How many agents are there, and what was said to them from here."""
    fleet = engine.fleet
    online = GaugeMetricFamily("fleet_agents_online", "Agents that are there", labels=("fleet",))
    online.add_metric((fleet.name,), sum(agent.presence in HERE for agent in fleet.agents()))
    yield online
    yield CounterMetricFamily("fleet_notifications_sent", "Messages sent to agents by this process", fleet.sent)
