"""The feed: one sample a second for all who look, none when nobody does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from console.feed import Feed, Snapshot
from tests.console.api import works
from tests.console.api.test_jobs import make
from tests.support.consoles import Running, running
from tests.support.waiting import until


def test_a_fresh_house_is_empty_and_quiet(tmp_path: Path) -> None:
    with running(tmp_path) as console:
        snapshot = console.console.feed.latest()
        assert snapshot.empty and snapshot.attention == () and snapshot.dead == 0 and snapshot.air.state == "standalone"
        assert snapshot.slots == console.console.settings.workers and snapshot.store["kind"] == "journal"


def test_a_snapshot_tells_what_runs_waits_has_died_and_needs_a_person(console: Running, http: httpx.Client) -> None:
    http.post("/v1/queues/reports/pause")
    held = make(http, "hold")["id"]
    make(http, queue="reports")
    console.ended(make(http, "fail", args={"message": "no paper"})["id"])
    console.ended(make(http)["id"])
    until(lambda: [job.id for job in console.engine.load().running] == [held], what="the held job runs, and no other")
    console.recorded()
    snapshot = console.console.feed.sample()
    assert [job.id for job in snapshot.running] == [held] and snapshot.busy == 1
    assert snapshot.counts["running"] == 1 and snapshot.waiting == 1 and snapshot.oldest_wait > 0
    assert snapshot.dead == 1 and snapshot.dead_groups == 1 and not snapshot.empty
    assert sum(bucket.completed for bucket in snapshot.minutes) >= 1
    assert snapshot.queue_stats["default"].failed == 1
    assert held in [row.id for row in snapshot.recent]
    titles = " ".join(item.title for item in snapshot.attention)
    assert "reports is paused" in titles and "1 job died" in titles
    works.gate.set()
    http.post("/v1/queues/reports/resume")


def test_the_last_snapshot_serves_until_it_is_old(console: Running) -> None:
    feed = console.console.feed
    first = feed.latest()
    assert feed.latest(most_old=3600.0) is first
    assert feed.latest(most_old=-1.0) is not first


def test_subscribers_are_told_and_a_broken_one_stops_no_other(
    console: Running, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed(console.engine, console.database, console.console.facts)
    heard: list[Snapshot] = []

    def broken(_: Snapshot) -> None:
        raise RuntimeError("a page broke")

    async def watch() -> None:
        running = asyncio.create_task(feed.run())
        feed.subscribe(broken)
        end = feed.subscribe(heard.append)
        async with asyncio.timeout(60):
            while not heard:
                await asyncio.sleep(0.01)
        end()
        assert feed.watchers == 1
        running.cancel()

    asyncio.run(watch())
    assert heard[0].at > 0 and "a page failed" in caplog.text
