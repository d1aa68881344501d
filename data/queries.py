"""Everything that can be asked of history, in one place; each function takes a ``Database`` and gives frozen rows.

``tenant=None`` means all tenants; any other value, also "", is that tenant alone.  Times are seconds since the epoch.
"""

from __future__ import annotations

from data.deadletters import dead_groups
from data.fleetrows import agents, pauses
from data.jobdetail import job
from data.joblists import count_by_state, count_jobs, jobs_matching, list_jobs, names, recent
from data.joblists import jobs_by_id as jobs
from data.linkrows import conflict, conflicts, count_conflicts, link_changes, proofs
from data.retention import has_old, prune
from data.stats import latency, overview, queue_stats, recorded, throughput

__all__ = [
    "agents", "conflict", "conflicts", "count_by_state", "count_conflicts", "count_jobs", "dead_groups", "has_old", "job",
    "jobs", "jobs_matching", "latency", "link_changes", "list_jobs", "names", "overview", "pauses", "proofs", "prune",
    "queue_stats", "recent", "recorded", "throughput",
]  # fmt: skip
