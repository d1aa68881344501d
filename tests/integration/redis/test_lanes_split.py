"""However a node's events are cut into shipments, Redis comes to the same state: of one event a call, or of all in one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.storage.lanes import JOBS, REMOTE_TOKENS, Lane, Mark, Numbered, Shipment, chained
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from engine.storage.redis.store import RedisStore
from tests.support.redis_hosts import RedisHost
from tests.support.stores import claim, enqueued, redis_store

AT = FakeClock().now()
#: jobs that the events are about; the last two run under a lease before
IDS = ("a", "b", "c", "r", "s")
LEASED = IDS[3:]
ENDS = (
    ev.JobCompleted, ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased, ev.JobRescued, ev.JobCancelled, ev.JobDied,
)  # fmt: skip
TIMES = st.sampled_from([0.0, AT - 5, AT + 5, AT + 50])
#: stands for the token of the lease that is held
HELD = REMOTE_TOKENS
TOKENS = st.sampled_from([0, 1, 2, HELD, HELD - 1, HELD + 1])

_encode = msgspec.msgpack.encode
ids = st.sampled_from(IDS)


@st.composite
def ends(draw: st.DrawFn) -> ev.AttemptEnded:
    """The end of some attempt, likely or not."""
    kind = draw(st.sampled_from(ENDS))
    reason = draw(st.sampled_from(["", ev.CRASHED if kind is ev.JobRescued else ev.POISON]))
    return kind(
        AT, draw(ids), draw(TOKENS), draw(st.integers(1, 4)), "w", draw(st.sampled_from([0.0, AT])), 0.1,
        result=draw(st.sampled_from([None, b"1", b"2"])), run_at=draw(TIMES), reason=reason, queue="q",
    )  # fmt: skip


@st.composite
def enqueues(draw: st.DrawFn) -> ev.JobEnqueued:
    """Some job, with keys that others have too."""
    return ev.JobEnqueued(
        AT, draw(ids), "q", "t", b"{}", draw(st.sampled_from([3, 5])), draw(st.sampled_from(["", "x"])), draw(TIMES),
        draw(st.sampled_from([0.0, AT + 99])), 3, 0.0, draw(st.sampled_from(["", "", "k"])),
        draw(st.sampled_from(["", "", "u"])), draw(st.sampled_from(["", "gpu"])), draw(st.booleans()),
    )  # fmt: skip


others = st.one_of(
    st.builds(ev.JobsOffered, st.just(AT), st.just("q"), st.lists(ids, max_size=3)),
    st.builds(ev.JobStarted, st.just(AT), ids, TOKENS, st.just(1), st.just("w"), st.just("q")),
    st.builds(ev.JobProgressed, st.just(AT), ids, st.just(1), st.just(0.5), st.just(""), st.just("q"), TOKENS),
    st.builds(ev.CancelRequested, st.just(AT), ids, st.just("ann"), st.just("q")),
    st.builds(ev.JobRetried, st.just(AT), ids, st.just("ann"), st.integers(1, 2), TIMES, st.just("q")),
    st.builds(ev.JobDeleted, st.just(AT), ids, st.just("ann"), st.just("q")),
    st.builds(ev.QueuePaused, st.just(AT), st.just("q")),
    st.builds(ev.QueueResumed, st.just(AT), st.just("q")),
)


def possible(written: Sequence[ev.Event]) -> list[ev.Event]:
    """Without what no journal has: two different enqueues of a job, or one after it was deleted."""
    first: dict[str, ev.Event | None] = {}
    kept: list[ev.Event] = []
    for event in written:
        if isinstance(event, ev.JobDeleted):
            first[event.id] = None
        told = first.setdefault(event.id, event) if isinstance(event, ev.JobEnqueued) else event
        if told is not None:
            kept.append(told)
    return kept


events = st.lists(st.one_of(enqueues(), ends(), others), min_size=2, max_size=14).map(possible)


@pytest.fixture(scope="module")
def client(redis_server: RedisHost) -> Iterator[Client]:
    found = Client(target_of(redis_server.url))
    yield found
    found.close()


class Side:
    """A store with two leased jobs, to which the events are applied."""

    def __init__(self, url: str, client: Client) -> None:
        self.store: RedisStore = redis_store(url, FakeClock())
        self.store.client.close()
        self.store.client = client
        self.store.put([enqueued(self.store.clock, id=id_, unique=f"of {id_}") for id_ in LEASED])
        held = claim(self.store, len(LEASED))
        assert held is not None
        self.token = held.token

    def apply(self, written: Sequence[ev.Event], cuts: Sequence[int]) -> tuple[Any, ...]:
        """Apply events as a lane with cuts; what was answered, put together."""
        real = [self._real(event) for event in written]
        entries = [Numbered(number, event, _encode(event)) for number, event in enumerate(real, 1)]
        marks = [Mark()]
        for entry in entries:
            marks.append(Mark(entry.number, chained(marks[-1].chain, entry.number, entry.raw)))
        edges = sorted({0, len(entries), *cuts})
        ships = [Shipment(Lane("q", JOBS), marks[i], marks[k], entries[i:k]) for i, k in pairwise(edges)]
        receipts = self.store.apply("n1", 1, ships)
        assert {receipt.status for receipt in receipts} == {"applied"}
        return (
            {id_: first for receipt in receipts for id_, first in receipt.firsts.items()},
            frozenset().union(*[receipt.stale for receipt in receipts]),
            [found for receipt in receipts for found in receipt.conflicts],
        )

    def _real(self, event: ev.Event) -> ev.Event:
        token = getattr(event, "token", 0)
        if token < HELD - 1:
            return event
        return msgspec.structs.replace(event, token=self.token + token - HELD)

    def state(self) -> dict[str, Any]:
        """All that Redis keeps of the queue, but marks and stream; order as sets, since lists may name more."""
        found: dict[str, Any] = {
            key: self._hash(key) for key in ("j", "m", "r", "f", "z", "p", "o", "od", "u", "uk", "i")
        }
        found |= {key: self._command("ZRANGE", key, 0, -1, "WITHSCORES") for key in ("s", "y", "d", "e", "ix", "x")}
        found |= {key: self._hash(key) for key in ("xl", "xn", "cfg")}
        asked = {id_ for ids_ in self._hash("cx").values() for id_ in ids_.split()}
        found["cx"] = {id_ for id_ in asked if found["m"].get(id_, b"")[:1] == b"R"}
        found["c"] = {name: n for name, n in self._hash("c").items() if name in b"ASYRDO" and int(n)}
        found["ready"] = self._ready()
        return found

    def _hash(self, key: str) -> dict[bytes, bytes]:
        flat = self._command("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def _ready(self) -> set[bytes]:
        available = {id_ for id_, record in self._hash("m").items() if record[:1] == b"A"}
        listed = set()
        for key in self.store.client.command("KEYS", f"{self.store.tag('q')}q:*"):
            listed |= set(self.store.client.command("LRANGE", key.decode(), 0, -1))
        assert available <= listed
        return available

    def _command(self, name: str, key: str, *args: Any) -> Any:
        return self.store.client.command(name, f"{self.store.tag('q')}{key}", *args)


@settings(max_examples=150, deadline=None)
@given(events, st.lists(st.integers(0, 14), max_size=4))
def test_any_cut_of_any_events_comes_to_the_same_state(
    redis_server: RedisHost, client: Client, written: list[ev.Event], cuts: list[int]
) -> None:
    whole, cut, single = (Side(redis_server.url, client) for _ in range(3))
    answers = [
        whole.apply(written, []),
        cut.apply(written, [place for place in cuts if place < len(written)]),
        single.apply(written, range(len(written))),
    ]
    assert answers[0] == answers[1] == answers[2]
    assert whole.state() == cut.state() == single.state()
