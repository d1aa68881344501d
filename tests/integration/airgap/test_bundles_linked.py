"""Bundles at a node that also has a Redis: what it carries away is never the fleet's, what comes in the fleet may run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airgap.bundles import Desk, Wanted, export_jobs, export_results, listing, take_in
from airgap.bundles.gathering import Gathering
from engine.kernel.errors import NotFound
from engine.kernel.job import JobState
from tests.support.nodes import PATIENCE, Node
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.sites import Site
from tests.support.waiting import until


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisHost]:
    with redis_host() as host:
        yield host


@pytest.fixture
def ship(redis: RedisHost, tmp_path: Path) -> Iterator[Node]:
    redis.flush()
    node = Node(tmp_path / "ship", redis.url, durability="process").open()
    yield node
    node.store.close()


@pytest.fixture
def shore(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "shore", "shore")
    yield site
    site.close()


def desk_of(ship: Node, shore: Site) -> Desk:
    """The ship's desk, once both trust each other."""
    desk = Desk(ship.store, "ship")
    desk.trust.add(shore.desk.identity.card.line(), own=desk.identity.card)
    shore.desk.trust.add(desk.identity.card.line(), own=shore.desk.identity.card)
    return desk


def test_jobs_carried_away_while_cut_off_stay_away_when_the_link_returns(ship: Node, shore: Site) -> None:
    ship.joined()
    desk = desk_of(ship, shore)
    ship.store.force("ann", "at sea")
    ids = [ship.put(), ship.put()]
    bundle = desk.path(export_jobs(desk, ["shore"], Wanted()).id)
    ship.store.release("ann")
    ship.joined()
    other = ship.put()
    assert [job.id for job in ship.claim_some().jobs] == [other]
    assert {view.state for view in ship.store.get(ids).values()} == {JobState.RUNNING}
    assert shore.unpack(bundle).new == 2
    shore.work(b'"far"', queue="q")
    with shore.pack_results_for("ship").open("rb") as file:
        assert take_in(desk, file).new == 2
    assert {view.result for view in ship.store.get(ids).values()} == {b'"far"'}
    states = until(lambda: _ended(ship, ids), PATIENCE, "Redis knows that they ended")
    assert set(states.values()) == {"completed"} and ship.claim() is None


def _ended(ship: Node, ids: list[str]) -> dict[str, str]:
    found = ship.store.remote.states("q", ids)
    return found if set(found) == set(ids) and set(found.values()) == {"completed"} else {}


def test_jobs_that_are_the_fleets_do_not_go_out(ship: Node, shore: Site) -> None:
    ship.joined()
    desk = desk_of(ship, shore)
    ship.put()
    with pytest.raises(NotFound, match="given to Redis are the fleet's"):
        export_jobs(desk, ["shore"], Wanted())
    assert listing(ship.store) == []


def test_jobs_that_come_in_may_run_anywhere_in_the_fleet(
    ship: Node, shore: Site, redis: RedisHost, tmp_path: Path
) -> None:
    ship.joined()
    desk = desk_of(ship, shore)
    ids = shore.put(3, queue="q")
    with shore.pack_for("ship").open("rb") as file:
        assert take_in(desk, file).new == 3
    ship.level()
    mate = Node(tmp_path / "mate", redis.url, durability="process").open()
    try:
        mate.joined()
        mate.complete(mate.claim_some(most=2), b'"mate"')
        mate.level()
        gathering = Gathering(ship.store)
        assert gathering.run_once(desk) > 0
        assert [(view.done, view.state) for view in listing(ship.store)] == [(2, "running")]
        ship.complete(ship.claim_some(), b'"ship"')
        record = until(lambda: _told(desk), PATIENCE, "all three have ended")
        assert shore.unpack(desk.path(record)).new == 3
        assert sorted(shore.view(id_).result or b"" for id_ in ids) == [b'"mate"', b'"mate"', b'"ship"']
    finally:
        mate.store.close()


def _told(desk: Desk) -> str:
    record = export_results(desk, "shore")
    return record.id if record.jobs == 3 else ""
