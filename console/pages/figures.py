"""Snapshots turned into what the overview's components show: plain values, no elements, no reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from console import design
from console.feed import Snapshot
from data.rows import Bucket, Figure

#: seconds that the jobs of a queue may wait before the figure is marked
SLOW_WAIT = 5.0
#: action that a matter offers -> the button's label
ACTIONS = {"store.acknowledge": "Acknowledge"}
OUTCOMES = ("completed", "retried", "failed", "cancelled")


def figures_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The five key figures."""
    return [_throughput(snapshot), _slots(snapshot), _waiting(snapshot), _failures(snapshot), _run_time(snapshot)]


def _throughput(snapshot: Snapshot) -> dict[str, Any]:
    figure = snapshot.overview.jobs_per_minute
    card = _card("Jobs per minute", "–" if figure.now is None else _rate(figure.now), figure, "c1")
    if figure.now is not None and figure.before:
        change = (figure.now - figure.before) / figure.before * 100
        _compare(card, f"{change:+.0f} %", "up" if change >= 0 else "wr")
    return card


def _slots(snapshot: Snapshot) -> dict[str, Any]:
    card: dict[str, Any] = {"label": "Running slots", "value": str(snapshot.busy), "unit": f"of {snapshot.slots}"}
    card |= {"share": snapshot.busy / snapshot.slots if snapshot.slots else 0, "foot": "all free"}
    began = [job.started_at for job in snapshot.running if job.started_at]
    if began:
        card |= {"strong": design.span(max(0.0, snapshot.at - min(began))), "foot": "longest running"}
    return card


def _waiting(snapshot: Snapshot) -> dict[str, Any]:
    card = _card(
        "Waiting jobs", f"{snapshot.waiting:,}", snapshot.overview.wait_p95, "c2", about="Wait p95 of the last hour"
    )
    card["foot"] = "none waits"
    if snapshot.waiting:
        value, unit = design.took(snapshot.oldest_wait)
        slow = snapshot.oldest_wait > SLOW_WAIT
        card |= {"strong": f"{value} {unit}", "tone": "wr" if slow else "", "foot": "oldest wait"}
    return card


def _failures(snapshot: Snapshot) -> dict[str, Any]:
    figure = snapshot.overview.failure_rate
    card = _card("Failure rate", "–" if figure.now is None else f"{figure.now * 100:.1f}", figure, "c3")
    card["unit"] = "%" if figure.now is not None else ""
    if figure.now is not None and figure.before is not None:
        change = (figure.now - figure.before) * 100
        _compare(card, f"{change:+.1f} pt", "dn" if change > 0.05 else "up")
    return card


def _run_time(snapshot: Snapshot) -> dict[str, Any]:
    figure = snapshot.overview.run_p95
    value, unit = ("–", "") if figure.now is None else design.took(figure.now)
    card = _card("Run time p95", value, figure, "c4")
    card["unit"] = unit
    if figure.now is not None and figure.before is not None:
        change = figure.now - figure.before
        moved, unit = design.took(abs(change))
        _compare(card, f"{'+' if change >= 0 else '−'}{moved} {unit}", "wr" if change > 0.1 * figure.before else "up")
    return card


def _card(label: str, value: str, figure: Figure, color: str, *, about: str = "") -> dict[str, Any]:
    card: dict[str, Any] = {
        "label": label,
        "value": value,
        "foot": "last hour",
        "color": color,
        "about": about or f"{label}, last hour",
    }
    return card | {"series": line(figure.series[:-1])}  # the last point is not over


def _compare(card: dict[str, Any], change: str, tone: str) -> None:
    card |= {"strong": change.replace("-", "−"), "tone": tone, "foot": "vs hour before"}


def line(series: Sequence[float | None]) -> list[float]:
    """Points of a sparkline; where nothing was measured it stays where it was."""
    drawn: list[float] = []
    for value in series:
        drawn.append(round(value, 4) if value is not None else drawn[-1] if drawn else 0.0)
    return drawn if any(drawn) else []


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def queues_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Rows of the queues table, those that go first on top."""
    rows = [_queue(info, snapshot.queue_stats.get(info.name)) for info in snapshot.queues]
    return sorted(rows, key=lambda row: (row["priority"], row["name"]))


def _queue(info: Any, stats: Any) -> dict[str, Any]:
    counts = info.counts
    waiting = sum(counts.get(state, 0) for state in ("available", "scheduled", "retryable", "pending"))
    wait = stats.wait_p95 if stats else None
    return {
        "name": info.name,
        "paused": info.paused,
        "priority": info.priority,
        "waiting": waiting,
        "running": counts.get("running", 0),
        "limit": info.concurrency,
        "perMinute": round(stats.per_minute, 1) if stats else 0,
        "series": list(stats.series[:-1]) if stats and any(stats.series[:-1]) else [],  # this minute is not over
        "wait": wait,
        "slow": wait is not None and wait > SLOW_WAIT,
        "idle": not (any(counts.values()) or info.paused or (stats and any(stats.series))),
    }


def attention_of(snapshot: Snapshot, may: Callable[[str], bool]) -> list[dict[str, Any]]:
    """What needs a person, worst first, with what this person may do about it."""
    return [
        {
            "level": item.level,
            "title": item.title,
            "text": item.text,
            "link": item.link or "/",
            "since": item.since,
            "action": ACTIONS[item.action] if item.action and may(item.action) else "",
        }
        for item in snapshot.attention
    ]


def set_aside(snapshot: Snapshot, most: int = 5) -> list[str]:
    """What the store has set aside and nobody has acknowledged, in words: the first of them, and how many more."""
    items = [item for item in snapshot.store.get("quarantined", ()) if not item["acknowledged"]]
    said = [f"{item['what']}: {item['reason'].removeprefix(item['what'] + ': ')}"[:300] for item in items[:most]]
    return [*said, f"and {len(items) - most:,} more"] if len(items) > most else said


def activity_of(snapshot: Snapshot, most: int = 7) -> list[dict[str, Any]]:
    """The latest jobs, briefly."""
    return [
        {
            "id": row.id,
            "task": row.task,
            "queue": row.queue,
            "state": row.state,
            "error": f"{row.error_type}: {row.error_message}"[:200]
            if row.error_type and row.state != "completed"
            else "",
            "progress": row.progress_message[:200] if row.state == "running" else "",
            "took": row.run_seconds if row.finished_at and row.started_at else None,
            "at": row.finished_at or row.started_at or row.created_at,
        }
        for row in snapshot.recent[:most]
    ]


def bars_of(buckets: Sequence[Bucket], since: float, until: float, step: int) -> dict[str, list[float]]:
    """Rates per minute for each step in [since, until), also for steps in which nothing ended."""
    found = {int(bucket.at): bucket for bucket in buckets}
    starts = range(int(since), int(until), step)
    bars: dict[str, list[float]] = {"at": [float(at) for at in starts]}
    for outcome in OUTCOMES:
        bars[outcome] = [round(getattr(found[at], outcome) * 60 / step, 3) if at in found else 0.0 for at in starts]
    return bars
