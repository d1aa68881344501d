"""The sealed store as a whole: checkpoints, trimming, quota, new keys, facts, and its readers."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airgap import JournalReader, JournalStore, UnknownKey
from engine.kernel import events as ev
from engine.kernel import faults
from engine.kernel.clock import FakeClock
from engine.kernel.errors import StoreFull, StoreOwned
from engine.storage.base import Want
from tests.support.journals import a_job, database, picture, some_jobs, store_in
from tests.support.waiting import until

DAY = 86_400.0


def run_some(store: JournalStore, count: int) -> None:
    """Enqueue jobs and complete them."""
    store.put(some_jobs(count))
    claim = store.claim(Want({"mail": count}, "agent", count))
    assert claim is not None
    store.finish([ev.JobCompleted(1_700_000_000.0, job.id, claim.token, 1) for job in claim.jobs])


def numbers(store: JournalStore) -> list[int]:
    with store.journal.held():
        return [number for number, _, _ in store.journal.shelf.numbers()]


def everything_under(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_a_payload_is_nowhere_under_home_in_the_clear(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put([a_job(payload=b"a-very-secret-payload")])
    store.set_value("secret-name-of-a-value", b"a-very-secret-value")
    store.keeper.checkpoint()
    before = everything_under(tmp_path)
    store.close()
    for content in (before, everything_under(tmp_path)):
        for secret in (b"very-secret", b"secret-name", b"mail", b"send"):
            assert secret not in content


def test_a_second_process_is_told_who_owns_the_home(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tests.support.journals import store_in\n"
        "from engine.kernel.errors import StoreOwned\n"
        "try: store_in(Path(sys.argv[1]))\n"
        "except StoreOwned as error: print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    with pytest.raises(StoreOwned) as refused:
        store_in(tmp_path)
    store.close()
    assert told.strip() == str(refused.value)
    assert "in use by process" in told
    store_in(tmp_path).close()


def test_a_checkpoint_and_what_follows_give_the_whole_state(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put(some_jobs(1234))
    assert store.keeper.checkpoint()
    run_some(store, 10)
    before = picture(store)
    store.close()
    again = store_in(tmp_path)
    assert picture(again) == before
    assert again.facts()["checkpoint"]
    again.close()


def test_a_checkpoint_is_exact_while_many_threads_work(tmp_path: Path) -> None:
    store = store_in(tmp_path, durability="process")
    store.put(some_jobs(3000))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            run_some(store, 3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        assert store.keeper.checkpoint()
    stop.set()
    for thread in threads:
        thread.join()
    before, ended = picture(store), dict(store.fold.ended)
    store.close()
    again = store_in(tmp_path)
    again.rescue_all()
    assert picture(again).keys() == before.keys()
    assert again.fold.ended.keys() == ended.keys()
    assert again.quarantined() == []
    again.close()


def test_only_the_newest_checkpoint_is_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(3):
        store.put(some_jobs(1))
        store.keeper.checkpoint()
    with store.journal.held():
        heads = [name for name, _ in store.journal.shelf.names("checkpoint|") if name.endswith("head")]
    assert len(heads) == 1
    store.close()


def test_a_checkpoint_cut_short_does_not_count_and_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put(some_jobs(1))

    def stop() -> None:
        raise KeyboardInterrupt

    faults.arm("checkpoint.after_chunk", stop)
    with pytest.raises(KeyboardInterrupt):
        store.keeper.checkpoint()
    faults.disarm()
    store.put(some_jobs(2))
    before = picture(store)
    store.close()
    again = store_in(tmp_path)
    assert again.facts()["checkpoint"] == 0
    assert picture(again) == before
    again.keeper.checkpoint()
    with again.journal.held():
        segments = {name.split("|")[1] for name, _ in again.journal.shelf.names("checkpoint|")}
    assert len(segments) == 1
    again.close()


def test_segments_go_when_they_are_covered_read_and_old(tmp_path: Path) -> None:
    clock = FakeClock()
    store = store_in(tmp_path, clock)
    for _ in range(4):
        store.put(some_jobs(1))
    first, second, third, fourth = numbers(store)
    clock.advance(2 * DAY)
    assert not store.keeper.trim(clock.now())
    assert numbers(store) == [first, second, third, fourth], "no checkpoint covers them"
    store.release_segments("recorder", second)
    store.keeper.checkpoint()
    store.keeper.trim(clock.now())
    assert numbers(store) == [third, fourth], "the recorder has not read the rest"
    store.release_segments("recorder", fourth)
    store.keeper.trim(clock.now() - 1.5 * DAY)
    assert numbers(store) == [third, fourth], "they are younger than the retention"
    store.keeper.trim(clock.now())
    assert numbers(store) == []
    store.close()
    again = store_in(tmp_path, clock)
    assert len(picture(again)) == 4
    assert again.facts()["readers"] == {"recorder": fourth}
    again.put(some_jobs(1))
    assert numbers(again) == [fourth + 1]
    again.close()


def test_a_full_store_refuses_jobs_finishes_what_runs_and_has_room_again(tmp_path: Path) -> None:
    store = store_in(tmp_path, store_limit=2**20)
    with pytest.raises(StoreFull, match="store_limit") as refused:
        while True:
            store.put(some_jobs(20, payload=b"p" * 1000))
    assert refused.value.retry_after > 0
    assert store.facts()["level"] == "full"
    waiting = store.counts()["mail"]["available"]
    assert waiting > 500, "nothing that was accepted is dropped"
    claim = store.claim(Want({"mail": 10_000}, "agent", 10_000))
    assert claim is not None
    store.finish([ev.JobCompleted(1_700_000_000.0, job.id, claim.token, 1) for job in claim.jobs])
    assert store.counts()["mail"]["running"] == 0
    while store.keeper.run_once(1_700_000_000.0) == 0:
        pass
    assert store.facts()["level"] == "ok"
    store.put(some_jobs(1))
    store.close()


def test_levels_are_told_before_it_is_too_late(tmp_path: Path) -> None:
    store = store_in(tmp_path, store_limit=2**20)
    seen = []
    with pytest.raises(StoreFull):
        while True:
            store.put(some_jobs(5, payload=b"p" * 1000))
            seen.append(store.facts()["level"])
    assert list(dict.fromkeys(seen)) == ["ok", "warning", "critical", "full"]
    store.close()


def test_used_bytes_are_the_same_after_a_restart(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    run_some(store, 50)
    store.keeper.checkpoint()
    store.put(some_jobs(5))
    used = store.facts()["used"]
    store.close()
    again = store_in(tmp_path)
    assert abs(int(str(again.facts()["used"])) - int(str(used))) < 1000
    again.close()


def reseal_all(store: JournalStore) -> None:
    while store.keeper.reseal_some():
        pass


def key_ids(home: Path) -> set[str]:
    with database(home) as connection:
        found = {row[0].hex() for row in connection.execute("SELECT substr(value, 2, 4) FROM Cache")}
    connection.close()
    return found


def test_after_a_rotation_everything_is_sealed_anew_and_the_old_key_is_forgotten(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(100):
        store.put(some_jobs(1))
    store.keeper.checkpoint()
    before = picture(store)
    old = store.ring.active
    new = store.rotate_keys()
    store.put([a_job("after")])
    reseal_all(store)
    assert store.facts()["keys"] == [new] != [old]
    store.close()
    assert key_ids(tmp_path) == {new}
    again = store_in(tmp_path)
    assert picture(again).keys() == before.keys() | {"after"}
    assert again.quarantined() == []
    again.close()


def test_a_rotation_that_was_cut_short_is_finished_after_the_restart(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(5):
        store.put(some_jobs(1))

    def stop() -> None:
        raise KeyboardInterrupt

    faults.arm("rotate.after_key", stop)
    with pytest.raises(KeyboardInterrupt):
        store.rotate_keys()
    faults.disarm()
    store.close()
    again = store_in(tmp_path)
    reseal_all(again)
    assert len(again.ring.ids) == 1
    assert len(picture(again)) == 5
    again.close()
    assert len(key_ids(tmp_path)) == 1


def test_keys_rotated_twice_in_a_row_lose_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(100):
        store.put(some_jobs(1))
    store.rotate_keys()
    store.keeper.reseal_some()
    store.rotate_keys()
    reseal_all(store)
    assert len(store.ring.ids) == 1
    store.close()
    again = store_in(tmp_path)
    assert len(picture(again)) == 100
    again.close()


def test_the_key_of_something_set_aside_is_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    old = store.ring.active
    store.put(some_jobs(1))
    store.put(some_jobs(1))
    store.close()
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET value = value || x'00' WHERE key = 1")
    connection.close()
    again = store_in(tmp_path)
    new = again.rotate_keys()
    reseal_all(again)
    assert again.ring.ids == [new, old]
    again.close()


def test_the_housekeeping_thread_does_its_duties_by_itself(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put(some_jobs(10))
    store.rotate_keys()
    until(lambda: len(store.ring.ids) == 1)
    store.close()
    until(lambda: "journal-keeper" not in [thread.name for thread in threading.enumerate()], what="its thread ends")


def test_a_reader_follows_segments_in_order_from_its_mark(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(5):
        store.put(some_jobs(2))
    reader = JournalReader(tmp_path, store.export_keys())
    got = list(reader.read(0, 3))
    assert [number for number, *_ in got] == [1, 2, 3]
    assert [len(events) for _, events, _ in got] == [2, 2, 2]
    assert [number for number, *_ in reader.read(3)] == [4, 5]
    assert reader.head() == 5
    store.put(some_jobs(1))
    assert [number for number, *_ in reader.read(5)] == [6]
    reader.close()
    store.close()


def test_a_reader_that_comes_before_the_store_finds_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    keys = store.export_keys()
    reader = JournalReader(tmp_path / "elsewhere", keys)
    assert list(reader.read(0)) == []
    assert reader.head() == 0
    reader.close()
    store.close()


def test_a_reader_goes_on_behind_segments_that_were_trimmed(tmp_path: Path) -> None:
    clock = FakeClock()
    store = store_in(tmp_path, clock, journal_retention=0)
    for _ in range(3):
        store.put(some_jobs(1))
    store.keeper.checkpoint()
    store.keeper.trim(clock.now())
    store.put(some_jobs(1))
    reader = store.reader()
    assert [number for number, *_ in reader.read(1)] == [4]
    reader.close()
    store.close()


def test_a_reader_is_told_when_keys_were_rotated_under_it(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    reader = store.reader()
    store.rotate_keys()
    store.put(some_jobs(1))
    with pytest.raises(UnknownKey):
        list(reader.read(0))
    reader.close()
    fresh = store.reader()
    assert [number for number, *_ in fresh.read(0)] == [1]
    fresh.close()
    store.close()


def test_a_reader_passes_over_a_segment_that_does_not_open(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(3):
        store.put(some_jobs(1))
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET value = zeroblob(80) WHERE key = 2")
        connection.execute("UPDATE Cache SET value = substr(value, 1, 40) WHERE key = 1")
    connection.close()
    reader = store.reader()
    assert [(number, len(events)) for number, events, _ in reader.read(0)] == [(1, 0), (2, 0), (3, 1)]
    assert reader.damaged == [1, 2]
    reader.close()
    store.close()


def test_numbers_do_not_repeat_when_the_store_was_not_closed(tmp_path: Path) -> None:
    """The last segments may go with the power, after a reader has read them."""
    store = store_in(tmp_path)
    store.put(some_jobs(1))
    store.close()
    with database(tmp_path) as connection:
        connection.execute("DELETE FROM Cache WHERE key = 'closed'")
    connection.close()
    again = store_in(tmp_path)
    again.put(some_jobs(1))
    assert numbers(again)[1] > 1_000_000
    again.close()
    third = store_in(tmp_path)
    third.put(some_jobs(1))
    assert numbers(third)[2] == numbers(third)[1] + 1
    assert third.quarantined() == []
    third.close()


@pytest.mark.parametrize("durability", ["power", "process"])
def test_power_syncs_what_is_accepted_and_process_does_not(tmp_path: Path, durability: str) -> None:
    store = store_in(tmp_path, durability=durability)
    store.put(some_jobs(1))
    with store.journal.held():
        level = store.journal.shelf.sql("PRAGMA synchronous").fetchone()[0]
    assert level == (2 if durability == "power" else 1)
    store.claim(Want({"mail": 1}, "agent", 1))
    with store.journal.held():
        assert store.journal.shelf.sql("PRAGMA synchronous").fetchone()[0] == 1, "a claim need not survive the power"
    store.close()


def test_a_reader_reads_a_store_that_nobody_has_open(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(20):
        store.put(some_jobs(1))
    keys = store.export_keys()
    store.close()
    reader = JournalReader(tmp_path, keys)
    assert [number for number, *_ in reader.read(0, 12)] == list(range(1, 13))
    assert [number for number, *_ in reader.read(12)] == list(range(13, 21))
    reader.close()


def test_a_long_log_is_shortened_when_the_store_is_closed(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put(some_jobs(10_000))
    last = store.journal.standing.number
    store.close()
    again = store_in(tmp_path)
    assert again.facts()["checkpoint"] == last
    assert len(picture(again)) == 10_000
    again.close()


def test_a_key_is_changed_before_its_nonces_could_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.keeper.KEY_LIFE", 3)
    store = store_in(tmp_path)
    first = store.ring.active
    store.put(some_jobs(1))
    store.keeper.run_once(1_700_000_000.0)
    assert store.ring.active == first
    store.put(some_jobs(1))
    store.put(some_jobs(1))
    store.keeper.run_once(1_700_000_000.0)
    second = store.ring.active
    assert second != first
    store.keeper.run_once(1_700_000_000.0)
    assert store.ring.active == second
    store.close()


def test_a_snapshot_is_not_begun_while_something_is_pending(tmp_path: Path) -> None:
    """What a put has appended and not committed is in the checkpoint or behind it, never lost between."""
    store = store_in(tmp_path)
    with store.lock:
        pending = store._append_put([a_job("pending")])
    assert store.keeper.checkpoint()
    pending.settle()
    assert store.keeper.covered is not None
    assert store.keeper.covered.event == 1
    store.close()
    again = store_in(tmp_path)
    assert set(picture(again)) == {"pending"}
    again.close()


def test_facts_tell_that_jobs_are_refused_while_the_last_room_of_the_disk_is_given_up(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.keeper.stop()  # it would hold the room back again
    assert store.facts()["trouble"] == ""
    with store.journal.held():
        store.journal.ballast.drop()
    assert "disk is full" in str(store.facts()["trouble"])
    with pytest.raises(StoreFull, match="disk is full"):
        store.put([a_job()])
    with store.journal.held():
        store.journal.ballast.hold()
    assert store.facts()["trouble"] == ""
    store.close()
