"""Jobs go out and results come back in files, between homes that never meet; repeats, losses and disorder do no harm."""

from __future__ import annotations

import random
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap.bundles import Wanted, export_jobs, export_results, listing
from engine.kernel import events as ev
from engine.kernel.errors import BundleRefused, Conflict, NotFound, StoreFull
from engine.kernel.job import Failure, JobState
from engine.storage.base import Accepted, Want
from tests.integration.airgap import carrier_child
from tests.support.sites import Site, two_sites

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    ship, shore = two_sites(tmp_path)
    yield ship, shore
    ship.close()
    shore.close()


def states_of(site: Site) -> list[tuple[str, str, str, int, int]]:
    """What the bundles of a site say, oldest first."""
    views = sorted(listing(site.store), key=lambda view: view.at)
    return [(view.direction, view.kind, view.state, view.done, view.jobs) for view in views]


def test_jobs_go_out_run_there_and_their_results_come_back(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    ids = ship.put(7, tenant="acme") + ship.put(1, queue="later", run_at=ship.clock.now() + 60)
    bundle = ship.pack(shore)
    assert ship.states(ids) == {JobState.RUNNING} and ship.work() == []
    assert ship.view(ids[0]).reason == f"carried by bundle:{bundle.stem}"
    assert states_of(ship) == [("out", "jobs", "carried", 0, 8)]
    taken = shore.unpack(bundle)
    assert (taken.kind, taken.peer, taken.count, taken.new, taken.tasks) == ("jobs", "ship", 8, 8, ("send",))
    assert shore.view(ids[0]).tenant == "acme" and shore.view(ids[7]).state == JobState.SCHEDULED
    assert set(shore.work(b'"sent"')) == set(ids[:7])
    assert states_of(shore) == [("in", "jobs", "running", 7, 8)]
    home = ship.unpack(shore.pack_results(ship))
    assert (home.kind, home.new, home.known, home.conflicts, home.refused) == ("results", 7, 0, 0, 0)
    assert {ship.view(id_).result for id_ in ids[:7]} == {b'"sent"'}
    assert ship.view(ids[7]).state == JobState.RUNNING
    shore.clock.advance(120)
    shore.work(queue="later")
    ship.unpack(shore.pack_results(ship))
    assert ship.states(ids) == {JobState.COMPLETED}
    assert ("out", "jobs", "returned", 8, 8) in states_of(ship)
    assert ("in", "jobs", "ended", 8, 8) in states_of(shore)


@pytest.mark.parametrize("checkpoint", [False, True], ids=["from the log", "from a checkpoint"])
def test_carried_jobs_and_owed_outcomes_survive_restarts_of_both(sites: tuple[Site, Site], checkpoint: bool) -> None:
    ship, shore = sites
    ids = ship.put(3)
    bundle = ship.pack(shore)
    ship.restart(checkpoint=checkpoint)
    assert ship.states(ids) == {JobState.RUNNING}
    shore.unpack(bundle)
    shore.restart(checkpoint=checkpoint)
    shore.work()
    shore.clock.advance(30 * 86_400)
    shore.store.promote()
    assert shore.store.get(ids) == {}
    shore.restart(checkpoint=checkpoint)
    assert ship.unpack(shore.pack_results(ship)).new == 3
    assert ship.states(ids) == {JobState.COMPLETED}


def test_attempts_that_failed_there_are_told_at_home(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    (id_,) = ship.put()
    shore.unpack(ship.pack(shore))
    claim = shore.store.claim(Want({"mail": 1}, "far", 1))
    assert claim is not None
    now = shore.clock.now()
    broken = Failure("ValueError", "no paper")
    shore.store.finish([ev.JobRetryScheduled(now, id_, claim.token, 1, "far/1", now, 1.0, failure=broken, run_at=now)])
    shore.clock.advance(1)
    shore.work()
    ship.unpack(shore.pack_results(ship))
    (failed,) = ship.told(ev.JobRetryScheduled)
    (done,) = ship.told(ev.JobCompleted)
    assert (failed.failure, failed.worker, done.worker) == (broken, "far/1", "shore-agent/1")
    assert (failed.attempt, done.attempt, ship.view(id_).attempt) == (1, 2, 2)


def test_a_job_takes_along_only_the_attempts_that_it_has_left(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    (id_,) = ship.put(max_attempts=3)
    claim = ship.store.claim(Want({"mail": 1}, "a", 1))
    assert claim is not None
    now = ship.clock.now()
    ship.store.finish([ev.JobRetryScheduled(now, id_, claim.token, 1, "a/1", now, 1.0, run_at=now + 500)])
    shore.unpack(ship.pack(shore, states=(JobState.RETRYABLE,)))
    assert (shore.view(id_).max_attempts, shore.view(id_).state) == (2, JobState.SCHEDULED)


def test_a_bundle_taken_in_twice_or_results_brought_twice_change_nothing(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    ids = ship.put(4)
    bundle = ship.pack(shore)
    shore.unpack(bundle)
    shore.work(most=2)
    assert shore.unpack(bundle).known == 4
    shore.work()
    results = shore.pack_results(ship)
    again = shore.pack_results(ship)
    assert ship.unpack(results).new == 4
    assert (ship.unpack(results).known, ship.unpack(again).known) == (4, 4)
    assert not ship.told(ev.ConflictFound) and len(ship.told(ev.JobCompleted)) == 4
    ship.clock.advance(40 * 86_400)
    ship.store.promote()
    assert ship.store.get(ids) == {}
    assert ship.unpack(shore.pack_results(ship)).known == 4 and not ship.told(ev.ConflictFound)


def test_what_the_other_home_has_is_owed_no_more(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    first = ship.put(3)
    shore.unpack(ship.pack(shore))
    shore.work(most=2)
    results = shore.pack_results(ship)
    shore.work()
    ship.unpack(results)
    ship.put(1)
    shore.unpack(ship.pack(shore))
    assert ("out", "results", "delivered", 2, 2) in states_of(shore)
    assert set(shore.store.fold.guests.by_id) >= {first[2]} and first[0] not in shore.store.fold.guests.by_id
    shore.work()
    assert ship.unpack(shore.pack_results(ship)).new == 2
    ship.put(1)
    shore.unpack(ship.pack(shore))
    assert [view.state for view in listing(shore.store) if view.kind == "jobs"].count("reported") == 2
    with pytest.raises(NotFound, match="no job that came from ship has ended"):
        shore.pack_results(ship)


def test_a_released_bundle_runs_at_home_and_late_results_become_conflicts(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    ran, waits, away = ship.put(3)
    bundle = ship.pack(shore)
    shore.unpack(bundle)
    shore.work(b'"far"')
    assert ship.desk.release(bundle.stem, "ann") == 3
    assert not bundle.exists() and ("out", "jobs", "released", 0, 3) in states_of(ship)
    assert ship.work(b'"home"', most=1) == [ran]
    results = shore.pack_results(ship)
    taken = ship.unpack(results)
    assert (taken.new, taken.conflicts) == (0, 3)
    found = {conflict.job: conflict for conflict in ship.told(ev.ConflictFound)}
    assert {id_: conflict.kind for id_, conflict in found.items()} == {ran: "result", waits: "late", away: "late"}
    assert found[ran].first and found[ran].first != found[ran].later and found[ran].body == b'"far"'
    assert found[ran].node == "shore"
    ship.work(b'"home"')
    assert {ship.view(id_).result for id_ in (ran, waits, away)} == {b'"home"'}
    assert all(ship.view(id_).crashes == 0 and ship.view(id_).attempt == 1 for id_ in (ran, waits, away))


def test_equal_results_of_a_job_that_ran_twice_are_a_conflict_too(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    ship.put(1)
    bundle = ship.pack(shore)
    shore.unpack(bundle)
    shore.work(b"1")
    ship.desk.release(bundle.stem)
    ship.work(b"1")
    assert ship.unpack(shore.pack_results(ship)).conflicts == 1


def test_of_two_homes_that_got_the_same_jobs_the_first_outcome_counts(sites: tuple[Site, Site], tmp_path: Path) -> None:
    ship, shore = sites
    other = Site(tmp_path / "other", "other")
    try:
        ship.trusts(other)
        other.trusts(ship)
        (id_,) = ship.put()
        bundle = ship.desk.path(export_jobs(ship.desk, ["shore", "other"], Wanted()).id)
        for site in (shore, other):
            site.unpack(bundle)
            site.work(f'"{site.name}"'.encode())
        assert ship.unpack(other.pack_results(ship)).new == 1
        assert ship.unpack(shore.pack_results(ship)).conflicts == 1
        assert ship.view(id_).result == b'"other"'
    finally:
        other.close()


def test_a_home_that_was_not_given_a_job_cannot_end_it(sites: tuple[Site, Site], tmp_path: Path) -> None:
    ship, shore = sites
    liar = Site(tmp_path / "liar", "liar")
    try:
        ship.trusts(liar)
        liar.trusts(ship)
        ids = ship.put(2)
        bundle = ship.pack(shore)
        entries = ship.desk.book.away(bundle.stem)[0]
        # it heard of the bundle, and says that the jobs came from it
        from airgap.bundles.records import IN, JOBS, RUNNING, BundleRecord
        from engine.storage.guests import GuestEntry

        keys = (ship.desk.identity.card.fingerprint,)
        liar.desk.book.save(BundleRecord(bundle.stem, IN, JOBS, "ship", keys, 1.0, "", 2, RUNNING))
        ends = [GuestEntry(e.id, e.token, ev.JobCompleted(1.0, e.id, 1, 1, result=b'"lie"')) for e in entries]
        liar.desk.book.came_in(bundle.stem, 0, ends)
        taken = ship.unpack(liar.pack_results(ship))
        assert (taken.refused, taken.new) == (2, 0) and ship.states(ids) == {JobState.RUNNING}
    finally:
        liar.close()


def test_a_request_that_is_known_there_ends_as_the_same_request(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    (first,) = shore.put(idempotency_key="order-7")
    one, two = ship.put(idempotency_key="order-7"), ship.put()
    taken = shore.unpack(ship.pack(shore))
    assert (taken.new, taken.merged) == (1, 1)
    (conflict,) = shore.told(ev.ConflictFound)
    assert (conflict.kind, conflict.first, conflict.later) == ("request", first, one[0])
    ship.unpack(shore.pack_results(ship))
    view = ship.view(one[0])
    assert view.state == JobState.CANCELLED and view.reason.startswith(f"the same request as {first}")
    assert ship.states(two) == {JobState.RUNNING}


def test_only_what_is_asked_for_goes_out(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    mail, other = ship.put(3), ship.put(2, queue="other")
    ship.pack(shore, queues=("mail",), limit=2)
    assert ship.states(mail[:2]) == {JobState.RUNNING} and ship.states([mail[2], *other]) == {JobState.AVAILABLE}
    with pytest.raises(NotFound, match="no job that waits here matches"):
        ship.pack(shore, queues=("nothing",))
    with pytest.raises(NotFound, match="no home is trusted under the name moon; there are shore"):
        export_jobs(ship.desk, ["moon"], Wanted())
    with pytest.raises(NotFound):
        export_results(ship.desk, "shore")


def test_a_bundle_that_cannot_be_written_gives_its_jobs_back(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    ship, shore = sites
    ids = ship.put(3)
    monkeypatch.setattr(secrets, "token_hex", lambda size: "ab" * size)
    in_the_way = ship.desk.path("ab" * 8).with_suffix(".part")
    in_the_way.mkdir()
    with pytest.raises(StoreFull, match="cannot be written"):
        ship.pack(shore)
    assert len(ship.told(ev.JobsClaimed)) == 1
    assert ship.states(ids) == {JobState.AVAILABLE} and listing(ship.store) == []
    assert set(ship.work()) == set(ids)


def test_looking_into_a_bundle_applies_nothing(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    ids = ship.put(2)
    bundle = ship.pack(shore)
    seen = shore.unpack(bundle, dry_run=True)
    assert (seen.count, seen.new, seen.dry_run) == (2, 0, True)
    assert shore.store.get(ids) == {} and listing(shore.store) == []


def test_a_bundle_is_refused_by_whom_it_is_not_for(sites: tuple[Site, Site], tmp_path: Path) -> None:
    ship, shore = sites
    moon = Site(tmp_path / "moon", "moon")
    try:
        ship.put(1)
        bundle = ship.pack(shore)
        with pytest.raises(BundleRefused, match="made by this home itself"):
            ship.unpack(bundle)
        with pytest.raises(BundleRefused, match="not trusted here"):
            moon.unpack(bundle)
        moon.trusts(ship)
        with pytest.raises(BundleRefused, match="sealed it to others"):
            moon.unpack(bundle)
        shore.desk.trust.remove("ship")
        with pytest.raises(BundleRefused, match="not trusted here"):
            shore.unpack(bundle)
        assert listing(shore.store) == listing(moon.store) == []
    finally:
        moon.close()


@pytest.mark.parametrize("kind", ["flip", "cut", "more", "swap"])
def test_a_changed_file_is_refused_and_nothing_of_it_is_applied(sites: tuple[Site, Site], kind: str) -> None:
    ship, shore = sites
    ids = ship.put(1_200)
    bundle = ship.pack(shore)
    whole = bundle.read_bytes()
    rng = random.Random(7)
    for _ in range(12):
        place = rng.randrange(len(whole))
        changed = {
            "flip": whole[:place] + bytes([whole[place] ^ (1 << rng.randrange(8))]) + whole[place + 1 :],
            "cut": whole[:place],
            "more": whole + whole[: place + 1],
            "swap": whole[:-3_000] + whole[-2_000:-1_000] + whole[-3_000:-2_000] + whole[-1_000:],
        }[kind]
        bundle.write_bytes(changed)
        with pytest.raises(BundleRefused):
            shore.unpack(bundle)
    assert shore.store.get(ids) == {} and listing(shore.store) == []
    bundle.write_bytes(whole)
    assert shore.unpack(bundle).new == 1_200


def killed(site: Site, verb: str, what: str, fault: str) -> None:
    """Have a process of its own do it on the site's home, which is closed, and die on the way."""
    argv = [sys.executable, "-m", carrier_child.__name__, str(site.home), site.name, verb, what, fault]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("fault", ["commit.before_write:4", "commit.after_write:5"])
def test_a_home_that_is_killed_on_the_way_loses_no_job_and_ends_none_twice(
    sites: tuple[Site, Site], fault: str
) -> None:
    ship, shore = sites
    ids = ship.put(1_200)
    ship.close()
    killed(ship, "pack", "shore", fault)
    ship.open()
    (cut_off,) = listing(ship.store)
    assert cut_off.state == "preparing"
    assert ship.desk.release(cut_off.id) in range(1, 1_201)
    assert ship.states(ids) == {JobState.AVAILABLE} and not ship.view(ids[0]).reason
    bundle = ship.pack(shore)
    shore.close()
    killed(shore, "unpack", str(bundle), fault)
    shore.open()
    assert ("in", "jobs", "importing") in [state[:3] for state in states_of(shore)]
    assert shore.unpack(bundle).count == 1_200
    assert set(shore.work()) == set(ids)
    results = shore.pack_results(ship)
    ship.close()
    killed(ship, "unpack", str(results), fault)
    ship.open()
    again = ship.unpack(results)
    assert (again.new + again.known, again.conflicts, again.refused) == (1_200, 0, 0) and again.known
    assert ship.states(ids) == {JobState.COMPLETED}
    assert [view.done for view in listing(ship.store) if view.state == "returned"] == [1_200]


def test_a_store_that_fills_up_in_the_middle_goes_on_where_it_stopped(sites: tuple[Site, Site]) -> None:
    ship, shore = sites
    ids = ship.put(1_200)
    bundle = ship.pack(shore)
    parts = 0

    def put(jobs: Sequence[ev.JobEnqueued]) -> list[Accepted]:
        nonlocal parts
        parts += 1
        if parts == 2:
            raise StoreFull("the store is full")
        return shore.store.put(jobs)

    shore.desk.put = put
    with pytest.raises(StoreFull):
        shore.unpack(bundle)
    taken = shore.unpack(bundle)
    assert 0 < taken.known < 1_200 and taken.new + taken.known == 1_200
    assert set(shore.work()) == set(ids) and ship.unpack(shore.pack_results(ship)).new == 1_200


def test_a_memory_store_has_no_bundles() -> None:
    from engine.storage.memory import MemoryStore

    with pytest.raises(Conflict, match="sealed store"):
        listing(MemoryStore())


STEPS = ("put", "pack", "carry out", "work", "pack results", "carry home", "release", "home works", "restart")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=30))
def test_files_lost_repeated_and_out_of_order_lose_no_job_and_end_none_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    ship, shore = two_sites(tmp_path_factory.mktemp("voyage"))
    try:
        _voyage(ship, shore, steps)
    finally:
        ship.close()
        shore.close()


@pytest.mark.parametrize(
    "seeds", [range(10), pytest.param(range(10, 1_000), marks=pytest.mark.chaos)], ids=["few", "many"]
)
def test_long_voyages_lose_no_job_and_end_none_twice(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        odds = (3, 4, 5, 4, 4, 4, rng.choice((0, 1, 2)), 2, 1)
        steps = [(rng.choices(STEPS, odds)[0], rng.randrange(6)) for _ in range(rng.randrange(10, 60))]
        ship, shore = two_sites(tmp_path / str(seed))
        try:
            _voyage(ship, shore, steps)
        finally:
            ship.close()
            shore.close()


def _voyage(ship: Site, shore: Site, steps: list[tuple[str, int]]) -> None:
    ids: list[str] = []
    out: list[Path] = []
    back: list[Path] = []
    outcomes: dict[str, int] = {}
    conflicts: set[str] = set()

    def count(events: list[ev.Event]) -> None:
        for event in events:
            if isinstance(event, ev.JobCompleted):
                outcomes[event.id] = outcomes.get(event.id, 0) + 1
            elif isinstance(event, ev.ConflictFound):
                conflicts.add(event.job)

    ship.store.bus.subscribe(count)  # type: ignore[arg-type]
    ran_far: set[str] = set()
    ran_home: set[str] = set()
    for step, which in steps:
        if step == "put":
            ids += ship.put(which)
        elif step == "pack":
            out += _tried(lambda: ship.pack(shore, limit=which + 1))  # noqa: B023
        elif step == "carry out" and out and (path := out[which % len(out)]).exists():
            shore.unpack(path)
        elif step == "work":
            ran_far |= set(shore.work(b'"far"', most=which + 1))
        elif step == "pack results":
            back += _tried(lambda: shore.pack_results(ship, which + 1))  # noqa: B023
        elif step == "carry home" and back and (path := back[which % len(back)]).exists():
            ship.unpack(path)
        elif step == "release" and out:
            ship.desk.release(out[which % len(out)].stem)
        elif step == "home works":
            ran_home |= set(ship.work(b'"home"', most=which + 1))
        elif step == "restart":
            ship.restart(checkpoint=which % 2 == 0)
            shore.restart(checkpoint=which % 2 == 1)
            ship.store.bus.subscribe(count)  # type: ignore[arg-type]
        assert max(outcomes.values(), default=0) <= 1
    for path in out:
        if path.exists():
            shore.unpack(path)
    while done := shore.work(b'"far"'):
        ran_far |= set(done)
    for path in back:
        if path.exists():
            ship.unpack(path)
    for path in _tried(lambda: shore.pack_results(ship)):
        ship.unpack(path)
    while done := ship.work(b'"home"'):
        ran_home |= set(done)
    assert {id_: outcomes.get(id_) for id_ in ids} == dict.fromkeys(ids, 1), "no job is lost, and none ends twice"
    assert ship.states(ids) <= {JobState.COMPLETED}
    assert ran_far & ran_home <= conflicts, "what ran on both sides is on record"


def _tried(make: object) -> list[Path]:
    try:
        return [make()]  # type: ignore[operator]
    except NotFound:
        return []
