"""Lanes against a real Redis: shipments that come twice, too early, too late, from another history or an older process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.errors import StoreFull
from engine.kernel.job import JobState
from engine.storage.base import Claim, QueueLimits
from engine.storage.lanes import ENDS, JOBS, Lane, Mark, Receipt, chained
from engine.storage.redis.moves import CALL_EVENTS
from engine.storage.redis.store import RedisStore
from tests.support.lanes import Ledger
from tests.support.redis_hosts import RedisCluster, RedisHost, redis_host
from tests.support.stores import claim, claimed_ids, enqueued, redis_store
from tests.support.waiting import until

Q_ENDS, Q_JOBS = Lane("q", ENDS), Lane("q", JOBS)


@dataclasses.dataclass
class Node:
    """A node and the Redis that it speaks to."""

    store: RedisStore
    clock: FakeClock
    ledger: Ledger
    sent: dict[Lane, int] = dataclasses.field(default_factory=dict)

    def write(self, *events: ev.Event) -> None:
        self.ledger.write(*events)

    def send(self) -> list[Receipt]:
        """Apply what was not sent yet."""
        ships = [self.ledger.shipment(lane, self.sent.get(lane, 0)) for lane in sorted(self.ledger.lanes)]
        self.sent = {lane: len(entries) for lane, entries in self.ledger.lanes.items()}
        return self.store.apply(self.ledger.node, 1, [shipment for shipment in ships if shipment.events])

    def tell(self, *events: ev.Event) -> Receipt:
        """Write events of one lane and apply them; the receipt."""
        self.write(*events)
        (receipt,) = self.send()
        assert receipt.status == "applied"
        return receipt

    def job(self, **fields: Any) -> ev.JobEnqueued:
        """Take in a job: an owned one unless it is offered."""
        job = enqueued(self.clock, **fields)
        self.tell(job)
        return job

    def state(self, job: ev.JobEnqueued | str) -> str:
        id_ = job if isinstance(job, str) else job.id
        return self.store.states("q", [id_]).get(id_, "")

    def ended(
        self, kind: type[ev.AttemptEnded], id_: str, token: int, attempt: int = 1, **fields: Any
    ) -> ev.AttemptEnded:
        """The end of an attempt, in the lane of its token."""
        began = fields.pop("started_at", self.clock.now())
        return kind(self.clock.now(), id_, token, attempt, "n1/1", began, 0.1, queue="q", **fields)


@pytest.fixture
def node(redis_server: RedisHost) -> Iterator[Node]:
    clock = FakeClock()
    store = redis_store(redis_server.url, clock)
    yield Node(store, clock, Ledger())
    store.close()


def taken(store: RedisStore, **want: Any) -> Claim:
    found = claim(store, **want)
    assert found is not None
    return found


# --- marks, gaps, chains, epochs ---


def test_a_shipment_that_comes_again_is_known_and_changes_nothing(node: Node) -> None:
    job = node.job(offered=True)
    assert claimed_ids(node.store) == [job.id]
    (again,) = node.store.apply("n1", 1, [node.ledger.shipment(Q_JOBS)])
    assert (again.status, again.mark) == ("known", node.ledger.marks[Q_JOBS][-1])
    assert node.state(job) == "running"


def test_a_shipment_after_one_that_is_missing_is_a_gap_and_tells_where_the_lane_stands(node: Node) -> None:
    node.write(*[enqueued(node.clock, id=name) for name in "abc"])
    first, third = node.ledger.shipment(Q_JOBS, 0, 1), node.ledger.shipment(Q_JOBS, 2, 3)
    receipts = node.store.apply("n1", 1, [first, third])
    assert [receipt.status for receipt in receipts] == ["applied", "gap"]
    assert receipts[1].mark == first.after
    assert node.store.states("q", ["a", "b", "c"]) == {"a": "owned"}


def test_another_history_before_a_shipment_or_at_its_mark_breaks_the_chain(node: Node) -> None:
    node.job()
    other = Ledger()
    other.write(enqueued(node.clock, id="x"), enqueued(node.clock, id="y"))
    assert node.store.apply("n1", 1, [other.shipment(Q_JOBS, 1)])[0].status == "chain"
    assert node.store.apply("n1", 1, [other.shipment(Q_JOBS, 0, 1)])[0].status == "chain"
    assert node.store.states("q", ["x", "y"]) == {}


def test_a_lower_epoch_is_fenced_once_a_higher_one_asked_for_marks(node: Node) -> None:
    old, new = node.store.enlist("n1"), node.store.enlist("n1")
    assert new > old
    node.write(enqueued(node.clock, id="a"))
    assert node.store.marks("n1", new, ["q"]) == {Q_ENDS: Mark(), Q_JOBS: Mark()}
    assert node.store.apply("n1", old, [node.ledger.shipment(Q_JOBS)])[0].status == "fenced"
    assert node.store.apply("n1", new, [node.ledger.shipment(Q_JOBS)])[0].status == "applied"
    assert node.store.marks("n1", old, ["q"])[Q_JOBS] == node.ledger.marks[Q_JOBS][-1]
    assert node.store.apply("n1", old, [node.ledger.shipment(Q_JOBS)])[0].status == "fenced"


def test_what_follows_in_a_stopped_lane_is_answered_alike_and_other_lanes_go_on(node: Node) -> None:
    node.write(*[enqueued(node.clock, id=name) for name in "abc"])
    node.write(enqueued(node.clock, queue="p", id="d"))
    ships = [node.ledger.shipment(Q_JOBS, i, i + 1) for i in (1, 2)]
    receipts = node.store.apply("n1", 1, [*ships, node.ledger.shipment(Lane("p", JOBS))])
    assert [receipt.status for receipt in receipts] == ["gap", "gap", "applied"]
    assert node.store.known_lanes("n1") == {Lane("p", JOBS)}


def test_a_long_shipment_travels_in_pieces_with_marks_of_their_own(node: Node) -> None:
    node.write(*[enqueued(node.clock, id=str(number)) for number in range(2 * CALL_EVENTS + 1)])
    (receipt,) = node.send()
    assert receipt == Receipt("applied", node.ledger.marks[Q_JOBS][-1], {}, frozenset(), [])
    assert len(node.store.states("q", [str(number) for number in range(2 * CALL_EVENTS + 1)])) == 2 * CALL_EVENTS + 1
    assert node.store.apply("n1", 1, [node.ledger.shipment(Q_JOBS)])[0].status == "known"


def test_nodes_do_not_share_marks(node: Node) -> None:
    node.job()
    assert node.store.marks("n2", 1, ["q"])[Q_JOBS] == Mark()
    assert node.store.known_lanes("n2") == set()


# --- jobs in ---


def test_an_offered_job_is_claimed_by_anyone_and_an_owned_one_by_nobody(node: Node) -> None:
    node.job()
    offered = node.job(offered=True)
    assert claimed_ids(node.store, 10) == [offered.id]
    later = node.job(offered=True, run_at=node.clock.now() + 60)
    assert node.state(later) == "scheduled"
    node.clock.advance(61)
    assert claimed_ids(node.store, 10) == [later.id]


def test_an_offered_job_keeps_priority_tenant_needs_and_expiry(node: Node) -> None:
    low = node.job(offered=True, priority=8, tenant="b")
    high = node.job(offered=True, priority=1, tenant="a", needs="gpu")
    brief = node.job(offered=True, priority=9, expires_at=node.clock.now() + 5)
    view = node.store.get([high.id])[high.id]
    assert (view.priority, view.tenant, view.needs, view.task) == (1, "a", "gpu", "t")
    assert claimed_ids(node.store, 1) == [low.id]
    node.clock.advance(6)
    node.store.promote()
    assert node.state(brief) == "cancelled"


def test_an_owned_job_ends_by_its_nodes_word_and_stays_owned_while_it_goes_on(node: Node) -> None:
    job = node.job()
    node.tell(node.ended(ev.JobRetryScheduled, job.id, 1, run_at=node.clock.now() + 5))
    node.tell(node.ended(ev.JobSnoozed, job.id, 2, 2, run_at=node.clock.now() + 5))
    node.tell(node.ended(ev.JobReleased, job.id, 3, 3))
    node.tell(node.ended(ev.JobRescued, job.id, 4, 4, reason=ev.CRASHED))
    assert node.state(job) == "owned"
    assert node.store.get([job.id])[job.id].crashes == 1
    node.tell(node.ended(ev.JobCompleted, job.id, 5, 5, result=b"7"))
    view = node.store.get([job.id])[job.id]
    assert (view.state, view.result, view.attempt) == (JobState.COMPLETED, b"7", 5)


def test_a_job_that_began_and_ended_in_one_shipment_leaves_only_its_result(node: Node) -> None:
    job = enqueued(node.clock, unique="k")
    node.tell(job, node.ended(ev.JobCompleted, job.id, 1, result=b"1"))
    assert node.state(job) == "completed"
    assert node.store.client.command("EXISTS", f"{node.store.tag('q')}m", f"{node.store.tag('q')}u") == 0
    assert node.store.put([enqueued(node.clock, unique="k")])[0].new


def test_a_job_that_was_handed_over_is_claimed_with_its_attempts(node: Node) -> None:
    job, later = node.job(), node.job(run_at=node.clock.now() + 60)
    node.tell(node.ended(ev.JobRetryScheduled, job.id, 1, run_at=node.clock.now() + 5))
    node.tell(ev.JobsOffered(node.clock.now(), "q", [job.id, later.id, "unknown"]))
    assert node.store.states("q", [job.id, later.id]) == {job.id: "retryable", later.id: "scheduled"}
    node.clock.advance(6)
    (again,) = taken(node.store, most=10).jobs
    assert (again.id, again.attempt, again.waived) == (job.id, 2, 0)


def test_a_hand_over_of_more_jobs_than_a_command_bears_is_one_event(node: Node) -> None:
    jobs = [enqueued(node.clock) for _ in range(3000)]
    node.tell(*jobs)
    node.tell(ev.JobsOffered(node.clock.now(), "q", [job.id for job in jobs]))
    assert node.store.counts()["q"]["available"] == 3000


def test_an_applied_job_wakes_who_waits_for_work(node: Node) -> None:
    claim(node.store)
    node.job(offered=True)
    until(lambda: node.store.wait(1.0), what="woken")


def test_ids_of_jobs_that_end_elsewhere_are_told(node: Node) -> None:
    told: list[str] = []
    job = node.job()
    stop = node.store.follow_ends(told.extend)
    number = 0

    def ended() -> bool:
        nonlocal number
        number += 1
        node.tell(node.ended(ev.JobRetryScheduled, job.id, number, number, run_at=0))
        other = node.job()
        node.tell(node.ended(ev.JobCompleted, other.id, 1))
        return bool(told)

    until(ended, what="an ended job is told")
    stop()


# --- ends of leased jobs: fencing ---


def test_the_end_of_a_leased_job_counts_and_frees_its_lease(node: Node) -> None:
    job = node.job(offered=True)
    held = taken(node.store)
    receipt = node.tell(node.ended(ev.JobCompleted, job.id, held.token, result=b"1"))
    assert not receipt.stale
    assert node.store.renew([held.token]) == {held.token}
    assert node.store.get([job.id])[job.id].result == b"1"


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (ev.JobRetryScheduled, "retryable"),
        (ev.JobSnoozed, "scheduled"),
        (ev.JobReleased, "available"),
        (ev.JobRescued, "available"),
        (ev.JobCancelled, "cancelled"),
        (ev.JobDied, "dead"),
    ],
)
def test_every_end_of_a_leased_job_does_through_a_lane_what_it_does_directly(
    node: Node, kind: type[ev.AttemptEnded], state: str
) -> None:
    node.job(offered=True)
    directly, by_lane = enqueued(node.clock), enqueued(node.clock, offered=True)
    node.store.put([directly])
    node.tell(by_lane)
    held = taken(node.store, most=3)
    due = {"run_at": node.clock.now() + 9} if state in ("retryable", "scheduled") else {}
    ended = node.ended(kind, directly.id, held.token, **due)
    assert node.store.finish([ended]) == set()
    node.tell(msgspec.structs.replace(ended, id=by_lane.id))
    one, other = (node.store.get([id_])[id_] for id_ in (directly.id, by_lane.id))
    assert node.state(by_lane) == state
    for field in ("id", "payload"):
        one, other = (msgspec.structs.replace(view, **{field: "" if field == "id" else b""}) for view in (one, other))
    assert one == other


def test_the_same_end_once_more_is_no_conflict(node: Node) -> None:
    job = node.job(offered=True)
    held = taken(node.store)
    ended = node.ended(ev.JobCompleted, job.id, held.token, result=b"1")
    assert node.store.finish([ended]) == set()
    receipt = node.tell(ended)
    assert (receipt.stale, list(receipt.conflicts)) == (frozenset(), [])


def test_an_end_after_the_lease_was_taken_back_counts_while_nobody_claimed_the_job_since(node: Node) -> None:
    job = node.job(offered=True)
    held = taken(node.store)
    node.clock.advance(5)
    node.store.promote()
    assert node.state(job) == "available"
    receipt = node.tell(node.ended(ev.JobCompleted, job.id, held.token, result=b"1"))
    assert not receipt.stale
    assert node.state(job) == "completed"
    assert claim(node.store) is None


def test_an_end_that_comes_after_another_claim_is_late_and_a_conflict(node: Node) -> None:
    job = node.job(offered=True)
    held = taken(node.store)
    node.clock.advance(5)
    node.store.promote()
    newer = taken(node.store)
    receipt = node.tell(node.ended(ev.JobCompleted, job.id, held.token, result=b"1"))
    assert receipt.stale == {job.id}
    (found,) = receipt.conflicts
    assert (found.kind, found.job, found.node, found.first, found.body) == ("late", job.id, "n1", "", b"1")
    assert node.store.finish([node.ended(ev.JobCompleted, job.id, newer.token, 2, result=b"2")]) == set()


def test_a_second_outcome_is_kept_as_a_conflict_with_both_hashes(node: Node) -> None:
    job = node.job(offered=True)
    held = taken(node.store)
    node.clock.advance(5)
    node.store.promote()
    newer = taken(node.store)
    node.store.finish([node.ended(ev.JobCompleted, job.id, newer.token, 2, result=b"2")])
    receipt = node.tell(node.ended(ev.JobCompleted, job.id, held.token, result=b"1"))
    (found,) = receipt.conflicts
    assert receipt.stale == {job.id}
    assert (found.kind, found.id) == ("result", f"n1:ends:{node.ledger.number}")
    assert found.first == "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
    assert found.later == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert node.store.get([job.id])[job.id].result == b"2"


def test_who_died_of_poison_and_completed_after_all_is_a_conflict(node: Node) -> None:
    job = node.job(offered=True)
    for _ in range(3):
        held = taken(node.store)
        node.clock.advance(5)
        node.store.promote()
    assert node.state(job) == "dead"
    receipt = node.tell(node.ended(ev.JobCompleted, job.id, held.token, 3, result=b"1"))
    assert [found.kind for found in receipt.conflicts] == ["result"]
    assert receipt.conflicts[0].first


def test_an_end_under_a_claim_that_redis_forgot_counts(node: Node) -> None:
    job = node.job(offered=True)
    node.tell(node.ended(ev.JobCompleted, job.id, 1 << 51, 2, result=b"1"))
    assert node.state(job) == "completed"
    again = node.job(offered=True)
    held = taken(node.store)
    node.tell(node.ended(ev.JobRetryScheduled, again.id, held.token + 7, 3, run_at=node.clock.now() + 5))
    assert node.state(again) == "retryable"
    assert node.store.renew([held.token]) == {held.token}


def test_an_end_before_its_enqueue_makes_the_job_terminal_and_the_enqueue_changes_nothing(node: Node) -> None:
    job = enqueued(node.clock, offered=True)
    node.tell(node.ended(ev.JobCompleted, job.id, 1 << 51, result=b"1"))
    node.tell(job)
    assert node.state(job) == "completed"
    assert claim(node.store) is None


def test_a_death_before_its_enqueue_is_a_dead_letter_that_can_be_sent_back(node: Node) -> None:
    job = enqueued(node.clock, offered=True)
    node.tell(node.ended(ev.JobDied, job.id, 1 << 51, failure=ev.Failure("E", "m")))
    assert node.state(job) == "dead"
    node.tell(job)
    view = node.store.get([job.id])[job.id]
    assert (view.state, view.failure, view.payload) == (JobState.DEAD, ev.Failure("E", "m"), job.payload)
    assert node.store.retry([job.id]) == {job.id}
    assert claimed_ids(node.store) == [job.id]


def test_a_start_marks_the_running_job_so_that_its_crash_counts(node: Node) -> None:
    jobs = [node.job(offered=True) for _ in range(2)]
    held = taken(node.store, most=2)
    node.tell(ev.JobStarted(node.clock.now(), jobs[0].id, held.token, 1, "n1/1", "q"))
    node.clock.advance(5)
    node.store.promote()
    found = node.store.get([job.id for job in jobs])
    assert [found[job.id].crashes for job in jobs] == [1, 0]


def test_progress_of_leased_and_owned_jobs_is_shown(node: Node) -> None:
    owned, leased = node.job(), node.job(offered=True)
    held = taken(node.store)
    node.tell(ev.JobProgressed(node.clock.now(), owned.id, 1, 0.5, "half", "q", 3))
    node.tell(ev.JobProgressed(node.clock.now(), leased.id, 1, 0.25, "", "q", held.token))
    node.tell(ev.JobProgressed(node.clock.now(), leased.id, 1, 0.75, "", "q", held.token - 1))
    found = node.store.get([owned.id, leased.id])
    assert [found[job.id].progress for job in (owned, leased)] == [0.5, 0.25]


# --- keys that another job has ---


def test_an_offered_job_whose_request_is_known_is_not_taken_in(node: Node) -> None:
    first = enqueued(node.clock, idempotency_key="r")
    node.store.put([first])
    second = enqueued(node.clock, idempotency_key="r", offered=True)
    assert node.tell(second).firsts == {second.id: first.id}
    assert node.state(second) == "cancelled"
    node.tell(ev.JobDeleted(node.clock.now(), second.id, queue="q"))
    assert claimed_ids(node.store, 10) == [first.id]


def test_an_offered_job_whose_unique_key_is_held_is_not_taken_in(node: Node) -> None:
    first, second = (enqueued(node.clock, unique="u", offered=True) for _ in range(2))
    assert node.tell(first, second).firsts == {second.id: first.id}


@pytest.mark.parametrize("kind", ["request", "unique"])
def test_an_owned_job_whose_key_is_taken_is_merged_when_it_is_handed_over(node: Node, kind: str) -> None:
    keys: dict[str, Any] = {"idempotency_key" if kind == "request" else "unique": "k"}
    first, second = enqueued(node.clock, **keys), enqueued(node.clock, **keys)
    node.store.put([first])
    assert node.tell(second).firsts == {}
    receipt = node.tell(ev.JobsOffered(node.clock.now(), "q", [second.id]))
    assert receipt.firsts == {second.id: first.id}
    (found,) = receipt.conflicts
    assert (found.kind, found.job, found.first, found.later) == (kind, second.id, first.id, second.id)
    view = node.store.get([second.id])[second.id]
    assert (view.state, view.reason) == (JobState.CANCELLED, f"the same request as {first.id}")


@pytest.mark.parametrize("kind", ["request", "unique"])
def test_an_owned_job_that_ran_beside_the_one_that_has_its_key_is_a_conflict_and_stands(node: Node, kind: str) -> None:
    keys: dict[str, Any] = {"idempotency_key" if kind == "request" else "unique": "k"}
    first, second, third = (enqueued(node.clock, **keys) for _ in range(3))
    node.store.put([first])
    receipt = node.tell(second, node.ended(ev.JobCompleted, second.id, 1))
    assert [(found.kind, found.job, found.first) for found in receipt.conflicts] == [(kind, second.id, first.id)]
    assert node.state(second) == "completed"
    node.tell(third, node.ended(ev.JobRetryScheduled, third.id, 1, run_at=0))
    receipt = node.tell(ev.JobsOffered(node.clock.now(), "q", [third.id]))
    assert [(found.kind, found.job) for found in receipt.conflicts] == [(kind, third.id)]
    assert node.state(third) == "available"


def test_a_unique_key_that_is_free_at_the_hand_over_is_taken(node: Node) -> None:
    first, second = enqueued(node.clock, unique="k"), enqueued(node.clock, unique="k")
    node.store.put([first])
    node.tell(second)
    node.store.cancel([first.id])
    assert not node.tell(ev.JobsOffered(node.clock.now(), "q", [second.id])).conflicts
    assert not node.store.put([enqueued(node.clock, unique="k")])[0].new
    assert claimed_ids(node.store) == [second.id]


def test_a_request_first_made_while_cut_off_is_known_to_the_fleet(node: Node) -> None:
    first = node.job(idempotency_key="r")
    accepted = node.store.put([enqueued(node.clock, idempotency_key="r")])[0]
    assert (accepted.id, accepted.new) == (first.id, False)


# --- wishes ---


def test_wishes_made_while_cut_off_come_true(node: Node) -> None:
    waiting, running, gone = (node.job(offered=True) for _ in range(3))
    node.tell(ev.JobDeleted(node.clock.now(), gone.id, queue="q"))
    node.tell(ev.CancelRequested(node.clock.now(), waiting.id, "ann", "q"))
    held = taken(node.store, most=10)
    assert [job.id for job in held.jobs] == [running.id]
    node.tell(ev.CancelRequested(node.clock.now(), running.id, "ann", "q"))
    assert node.store.get([running.id])[running.id].cancelling
    assert node.store.get([waiting.id])[waiting.id].reason == "cancelled by ann"
    assert (node.state(waiting), node.state(gone)) == ("cancelled", "")


def test_a_cancellation_without_a_token_ends_what_waits_and_asks_what_runs(node: Node) -> None:
    running, owned = node.job(offered=True), node.job()
    held = taken(node.store)
    cancelled = [node.ended(ev.JobCancelled, job.id, 0, 0, reason="ann") for job in (running, owned)]
    assert node.tell(*cancelled).stale == frozenset()
    assert node.store.get([running.id])[running.id].cancelling
    assert node.state(owned) == "cancelled"
    assert node.store.renew([held.token]) == set()


def test_a_dead_letter_of_a_node_goes_back_to_it_and_one_of_the_fleet_to_the_fleet(node: Node) -> None:
    owned, leased = node.job(), node.job(offered=True)
    held = taken(node.store)
    node.tell(node.ended(ev.JobDied, owned.id, 1), ev.JobRetried(node.clock.now(), owned.id, "ann", 1, 0.0, "q"))
    node.tell(node.ended(ev.JobDied, leased.id, held.token))
    node.tell(ev.JobRetried(node.clock.now(), leased.id, "ann", 2, 0.0, "q"))
    assert (node.state(owned), node.state(leased)) == ("owned", "available")
    assert node.store.get([leased.id])[leased.id].max_attempts == 3


def test_a_queue_is_paused_and_resumed_by_its_lane(node: Node) -> None:
    node.job(offered=True)
    node.tell(ev.QueuePaused(node.clock.now(), "q", "ann"))
    assert node.store.paused() == {"q"}
    assert claim(node.store) is None
    node.tell(ev.QueueResumed(node.clock.now(), "q", "ann"))
    assert claim(node.store) is not None


# --- the rest of Remote ---


def test_leases_of_a_node_are_taken_back_also_where_they_are_held(node: Node) -> None:
    node.store.configure("q", QueueLimits())
    node.store.client.command("HSET", f"{node.store.tag('q')}cfg", "reclaim", "hold")
    mine, others = node.job(offered=True), node.job(offered=True)
    token = taken(node.store, agent="n1").token
    taken(node.store, agent="n10")
    node.clock.advance(60)
    node.store.promote()
    assert node.state(mine) == "running"
    assert node.store.release_held("n1", token) == 0
    assert node.store.release_held("n1", token + 1, [token]) == 0
    assert node.store.release_held("n1", token + 1) == 1
    assert (node.state(mine), node.state(others)) == ("available", "running")


def test_a_result_is_amended_only_where_there_is_one(node: Node) -> None:
    job, owned = node.job(), node.job()
    node.tell(node.ended(ev.JobCompleted, job.id, 1, result=b"1"))
    assert node.store.amend("q", job.id, b"2")
    assert node.store.get([job.id])[job.id].result == b"2"
    assert not node.store.amend("q", owned.id, b"2")
    assert not node.store.amend("q", "unknown", b"2")


def test_a_flushed_redis_tells_another_history_and_takes_everything_again() -> None:
    with redis_host() as host:
        clock = FakeClock()
        node = Node(redis_store(host.url, clock, fleet="main"), clock, Ledger())
        before, epoch = node.store.probe("n1"), node.store.enlist("n1")
        jobs = [node.job(offered=True) for _ in range(3)]
        assert node.store.probe("n1").beat == before.beat + 1
        host.flush()
        after = node.store.probe("n1")
        assert (after.history != before.history, after.beat) == (True, 1)
        assert node.store.enlist("n1") >= epoch
        assert node.store.marks("n1", 1, ["q"])[Q_JOBS] == Mark()
        assert node.store.apply("n1", 1, node.ledger.shipments())[0].status == "applied"
        assert set(claimed_ids(node.store, 10)) == {job.id for job in jobs}
        node.store.close()


def test_a_redis_set_back_to_an_old_snapshot_tells_by_its_marks_what_it_lacks() -> None:
    with redis_host() as host:
        clock = FakeClock()
        node = Node(redis_store(host.url, clock, fleet="main"), clock, Ledger())
        first = node.job(offered=True)
        held = taken(node.store)
        pulse, snapshot = node.store.probe("n1"), host.save()
        node.tell(node.ended(ev.JobCompleted, first.id, held.token, result=b"1"))
        second = node.job()
        node.store.probe("n1")
        host.restore(snapshot)
        again = until(lambda: _answered(node.store), what="Redis is back")
        assert (again.history, again.beat) == (pulse.history, pulse.beat + 1)
        marks = node.store.marks("n1", 2, ["q"])
        assert marks == {Q_ENDS: Mark(), Q_JOBS: node.ledger.marks[Q_JOBS][1]}
        receipts = node.store.apply("n1", 2, [node.ledger.shipment(Q_ENDS), node.ledger.shipment(Q_JOBS, 1)])
        assert [receipt.status for receipt in receipts] == ["applied", "applied"]
        assert node.store.states("q", [first.id, second.id]) == {first.id: "completed", second.id: "owned"}
        node.store.close()


def _answered(store: RedisStore) -> Any:
    try:
        return store.probe("n1")
    except Exception as error:
        assert "Redis" in str(error)
        return None


def test_a_full_redis_refuses_jobs_as_a_whole_and_takes_ends() -> None:
    with redis_host() as host:
        clock = FakeClock()
        node = Node(redis_store(host.url, clock, fleet="main"), clock, Ledger())
        job = node.job(offered=True)
        held = taken(node.store)
        host.cli("CONFIG", "SET", "maxmemory", "1")
        clock.advance(3)
        node.write(enqueued(clock, id="refused"))
        with pytest.raises(StoreFull):
            node.send()
        assert node.store.probe("n1").beat == 1
        assert node.store.marks("n1", 1, ["q"])[Q_JOBS] == node.ledger.marks[Q_JOBS][1]
        node.tell(node.ended(ev.JobCompleted, job.id, held.token, result=b"1"))
        assert node.state(job) == "completed"
        host.cli("CONFIG", "SET", "maxmemory", "0")
        assert node.store.apply("n1", 1, [node.ledger.shipment(Q_JOBS, 1)])[0].status == "applied"
        node.store.close()


def test_lanes_of_queues_on_several_servers_of_a_cluster(redis_cluster: RedisCluster) -> None:
    clock = FakeClock()
    store = redis_store(redis_cluster.url, clock)
    ledger = Ledger()
    for queue in "abcdef":
        ledger.write(*[enqueued(clock, queue=queue, offered=True) for _ in range(3)])
    receipts = store.apply("n1", 1, ledger.shipments([1, 2]))
    assert {receipt.status for receipt in receipts} == {"applied"}
    assert store.known_lanes("n1") == {Lane(queue, JOBS) for queue in "abcdef"}
    assert sum(counts["available"] for counts in store.counts().values()) == 18
    assert chained(ledger.marks[Lane("a", JOBS)][2].chain, 3, ledger.lanes[Lane("a", JOBS)][2].raw) == (
        store.marks("n1", 1, ["a"])[Lane("a", JOBS)].chain
    )
    store.close()


# --- what the model found ---


def test_a_job_that_was_not_taken_in_leads_to_the_first_one_also_when_the_answer_was_lost(node: Node) -> None:
    first = enqueued(node.clock, idempotency_key="r")
    node.store.put([first])
    second = enqueued(node.clock, idempotency_key="r", offered=True)
    node.tell(second)
    (again,) = node.store.apply("n1", 1, [node.ledger.shipment(Q_JOBS)])
    assert (again.status, again.firsts) == ("known", {second.id: first.id})
    assert node.store.get([second.id])[second.id].reason == f"the same request as {first.id}"


def test_the_request_of_a_job_that_ended_before_its_enqueue_is_known_afterwards(node: Node) -> None:
    first = enqueued(node.clock, idempotency_key="r", offered=True)
    node.tell(node.ended(ev.JobCompleted, first.id, 1 << 51, result=b"1"))
    node.tell(first)
    assert node.store.put([enqueued(node.clock, idempotency_key="r")])[0].id == first.id
    assert node.store.get([first.id])[first.id].task == "t"
    assert node.store.counts()["q"].get("completed", 0) <= 1


def test_a_request_that_ran_twice_because_redis_went_back_is_a_conflict(node: Node) -> None:
    first = enqueued(node.clock, idempotency_key="r", offered=True)
    node.tell(node.ended(ev.JobCompleted, first.id, 1 << 51, result=b"1"))
    second = enqueued(node.clock, idempotency_key="r")
    node.store.put([second])
    receipt = node.tell(first)
    assert [(found.kind, found.job, found.first) for found in receipt.conflicts] == [("request", first.id, second.id)]


def test_jobs_owned_by_a_node_that_is_gone_go_to_the_fleet(node: Node) -> None:
    lost, known = node.job(), node.job(run_at=node.clock.now() + 60)
    other = Ledger("n1.x")
    other.write(node.ledger.lanes[Q_JOBS][1].event)
    assert node.store.apply("n1.x", 1, other.shipments())[0].status == "applied"
    assert node.store.free_owned({"n1"}) == 1
    assert node.store.free_owned({"n1"}) == 0
    assert claimed_ids(node.store, 10) == [lost.id]
    assert node.state(known) == "owned"
    assert node.store.free_owned({"n1.x"}) == 1
    assert node.state(known) == "scheduled"
