"""A lease counts from when its claim is written: before, nobody has the jobs who could renew it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kernel.clock import FakeClock
from engine.kernel.job import JobState
from engine.storage.base import LEASE_SECONDS, Claim, Want
from engine.storage.memory import MemoryStore
from tests.support.stores import claim, enqueued


def bring_along(store: MemoryStore) -> Claim | None:
    return store.exchange([], [], Want({"q": 1}, "a", 1)).claim


@pytest.mark.parametrize("take", [claim, bring_along])
def test_jobs_of_a_claim_that_is_written_late_are_not_taken_back_meanwhile(
    take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    id_ = store.put([enqueued(clock)])[0].id
    publish = store._log.publish  # type: ignore[attr-defined]

    def late() -> None:
        monkeypatch.setattr(store._log, "publish", publish)
        clock.advance(LEASE_SECONDS + 1)
        store.promote()
        publish()

    monkeypatch.setattr(store._log, "publish", late)
    taken = take(store)
    assert taken is not None and store.fold.jobs[id_].token == taken.token
    clock.advance(LEASE_SECONDS - 0.1)
    store.promote()
    assert store.get([id_])[id_].state == JobState.RUNNING
    clock.advance(0.2)
    store.promote()
    view = store.get([id_])[id_]
    assert (view.state, view.crashes) == (JobState.AVAILABLE, 1)


@pytest.mark.parametrize("take", [claim, bring_along])
def test_jobs_of_a_claim_that_could_not_be_written_are_taken_back_when_its_lease_ends(
    take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    id_ = store.put([enqueued(clock)])[0].id

    def full() -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store._log, "publish", full)
        with pytest.raises(OSError, match="no space"):
            take(store)
    clock.advance(LEASE_SECONDS + 0.1)
    store.promote()
    assert store.get([id_])[id_].state == JobState.AVAILABLE
