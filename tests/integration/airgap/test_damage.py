"""A store that was hurt: what opens is loaded, what does not is kept and reported, a wrong key changes nothing."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap import JournalStore
from airgap.segment import Sealer
from engine.kernel.bus import Bus
from engine.kernel.clock import FakeClock
from engine.kernel.errors import SettingsError, StoreDamaged
from engine.kernel.events import EntryQuarantined
from tests.support.journals import a_job, database, events_of, picture, store_in

SEGMENTS = 6
#: what nobody wrote, the same in every run
NOISE = random.Random(200).randbytes(200)


def make(home: Path) -> None:
    """Six segments of one job each; a checkpoint stands at the third."""
    store = store_in(home)
    for number in range(SEGMENTS):
        store.put([a_job(f"job-{number + 1}")])
        if number == 2:
            store.keeper.checkpoint()
    store.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make(tmp_path / "home")
    return tmp_path / "home"


def change(home: Path, statement: str, *values: object) -> None:
    with database(home) as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def value_of(home: Path, key: object) -> bytes:
    with database(home) as connection:
        found: bytes = connection.execute("SELECT value FROM Cache WHERE key = ?", (key,)).fetchone()[0]
    connection.close()
    return found


def flip(home: Path, key: object, place: int = -1) -> None:
    value = bytearray(value_of(home, key))
    value[place] ^= 1
    change(home, "UPDATE Cache SET value = ? WHERE key = ?", bytes(value), key)


def reports(store: JournalStore) -> list[str]:
    return [item.what for item in store.quarantined()]


def jobs(store: JournalStore) -> set[str]:
    return set(picture(store))


def all_but(*missing: int) -> set[str]:
    return {f"job-{number + 1}" for number in range(SEGMENTS) if number + 1 not in missing}


@pytest.mark.parametrize("number", [4, 5, 6])
def test_a_flipped_bit_costs_its_segment_and_is_reported_once(home: Path, number: int) -> None:
    flip(home, number)
    bus = Bus()
    seen = events_of(bus)
    store = store_in(home, bus=bus)
    assert jobs(store) == all_but(number)
    assert reports(store) == [f"segment {number}"]
    assert [event.what for event in seen if isinstance(event, EntryQuarantined)] == [f"segment {number}"]
    store.put([a_job("after")])
    store.close()
    again = store_in(home)
    assert jobs(again) == all_but(number) | {"after"}
    assert reports(again) == [f"segment {number}"]
    again.close()


def unacknowledged(store: JournalStore) -> int:
    found = store.facts()["unacknowledged"]
    assert isinstance(found, int)
    return found


def test_what_was_acknowledged_stays_kept_and_listed_and_is_known_after_a_restart_and_a_checkpoint(home: Path) -> None:
    flip(home, 5)
    store = store_in(home)
    assert unacknowledged(store) == 1
    assert store.acknowledge_quarantined() == 1
    assert store.acknowledge_quarantined() == 0, "there is nothing new"
    store.keeper.checkpoint()
    store.close()
    again = store_in(home)
    assert (reports(again), unacknowledged(again)) == (["segment 5"], 0)
    (item,) = again.facts()["quarantined"]  # type: ignore[misc]
    assert item["acknowledged"] and item["what"] == "segment 5"
    again.close()


def test_what_is_set_aside_later_needs_attention_again(home: Path) -> None:
    clock = FakeClock()
    flip(home, 5)
    store = store_in(home, clock)
    store.acknowledge_quarantined()
    store.close()
    clock.advance(60)
    flip(home, 6)
    again = store_in(home, clock)
    assert (reports(again), unacknowledged(again)) == (["segment 5", "segment 6"], 1)
    again.close()


def test_an_acknowledgement_does_not_cover_what_takes_the_number_of_a_row_removed_by_hand(home: Path) -> None:
    clock = FakeClock()
    flip(home, 5)
    store = store_in(home, clock)
    store.acknowledge_quarantined()
    store.close()
    change(home, "DELETE FROM Quarantine")
    clock.advance(60)
    flip(home, 6)
    again = store_in(home, clock)
    assert unacknowledged(again) == len(again.quarantined()) >= 1
    assert {item.id for item in again.quarantined()} >= {1}
    again.close()


def test_what_was_set_aside_is_kept_as_it_was(home: Path) -> None:
    flip(home, 5)
    damaged = value_of(home, 5)
    store_in(home).close()
    with database(home) as connection:
        kept = connection.execute("SELECT value FROM Quarantine WHERE key = 5").fetchone()[0]
    connection.close()
    assert kept == damaged


def test_loss_begins_a_new_incarnation(home: Path) -> None:
    flip(home, 5)
    store = store_in(home)
    assert store.ring.incarnation == 2
    store.close()


def test_a_segment_that_covered_work_is_not_needed_any_more(home: Path) -> None:
    flip(home, 2)
    store = store_in(home)
    assert jobs(store) == all_but()
    store.close()


def test_a_damaged_head_of_a_checkpoint_costs_nothing(home: Path) -> None:
    name = "checkpoint|000000000000003|head"
    flip(home, name)
    store = store_in(home)
    assert jobs(store) == all_but()
    assert reports(store) == [name]
    store.close()


def test_a_damaged_chunk_of_a_checkpoint_is_reported_and_the_rest_is_loaded(home: Path) -> None:
    flip(home, "checkpoint|000000000000003|000001")
    store = store_in(home)
    assert jobs(store) == all_but(1, 2, 3)
    assert reports(store) == ["checkpoint|000000000000003|000001"]
    store.close()


@pytest.mark.parametrize("number", [4, 5])
def test_a_segment_that_was_deleted_is_missed(home: Path, number: int) -> None:
    change(home, "DELETE FROM Cache WHERE key = ?", number)
    store = store_in(home)
    assert jobs(store) == all_but(number)
    assert reports(store) == [f"segment {number}"]
    store.close()
    again = store_in(home)
    assert reports(again) == [f"segment {number}"]
    again.close()


def test_a_log_cut_short_after_it_was_closed_is_noticed(home: Path) -> None:
    change(home, "DELETE FROM Cache WHERE key = ?", 6)
    store = store_in(home)
    assert jobs(store) == all_but(6)
    assert reports(store) == ["segments after 5"]
    store.close()


def test_two_segments_exchanged_are_both_set_aside(home: Path) -> None:
    four, five = value_of(home, 4), value_of(home, 5)
    change(home, "UPDATE Cache SET value = ? WHERE key = 4", five)
    change(home, "UPDATE Cache SET value = ? WHERE key = 5", four)
    store = store_in(home)
    assert jobs(store) == all_but(4, 5)
    assert reports(store) == ["segment 4", "segment 5"]
    store.close()


def test_a_segment_of_an_earlier_copy_of_the_store_does_not_fit_the_chain(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    change(copy, "DELETE FROM Cache WHERE key = 4")
    change(copy, "DELETE FROM Cache WHERE key = 5")
    change(copy, "DELETE FROM Cache WHERE key = 6")
    change(copy, "DELETE FROM Cache WHERE key = 'closed'")
    other = store_in(copy)
    with other.journal.held():
        other.journal.standing = msgspec.structs.replace(other.journal.standing, number=3)
    other.put([a_job("forged")])
    other.close()
    change(home, "UPDATE Cache SET value = ? WHERE key = 4", value_of(copy, 4))
    store = store_in(home)
    assert jobs(store) == all_but(4)
    assert reports(store) == ["segment 4"]
    store.close()


def test_an_event_that_makes_no_sense_costs_itself_only(home: Path) -> None:
    store = store_in(home)
    sealer, standing = store.ring.sealer(), store.journal.standing
    body = msgspec.msgpack.encode(
        (sealer.node, 1, standing.event + 1, standing.chain, [a_job("good"), ["from-the-future", 1, 2]])
    )
    store.journal.shelf.add(standing.number + 1, sealer.seal("segment", standing.number + 1, body), 0.0, sync=True)
    store.close()
    again = store_in(home)
    assert jobs(again) == all_but() | {"good"}
    assert reports(again)[0] == "segment 7, event 8"
    again.close()


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x02" + NOISE[:80], NOISE])
def test_garbage_and_other_versions_are_set_aside(home: Path, garbage: bytes) -> None:
    change(home, "UPDATE Cache SET value = ? WHERE key = 5", garbage)
    store = store_in(home)
    assert jobs(store) == all_but(5)
    assert reports(store) == ["segment 5"]
    store.close()


def entries(home: Path) -> list[tuple[object, ...]]:
    with database(home) as connection:
        rows = connection.execute("SELECT key, value FROM Cache ORDER BY rowid").fetchall()
    connection.close()
    return rows


def test_the_keys_of_another_home_are_refused_and_nothing_is_touched(home: Path, tmp_path: Path) -> None:
    make(tmp_path / "other")
    shutil.rmtree(home / "keys")
    shutil.copytree(tmp_path / "other" / "keys", home / "keys")
    before = entries(home)
    with pytest.raises(StoreDamaged, match=r"none of its \d+ entries opens .* nothing was changed"):
        store_in(home)
    assert entries(home) == before


def test_missing_keys_are_not_made_anew_over_an_old_store(home: Path) -> None:
    shutil.rmtree(home / "keys")
    with pytest.raises(StoreDamaged, match="Restore keys/ from a backup"):
        store_in(home)
    assert not (home / "keys" / "ring.json").exists()


def test_a_wrong_passphrase_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    secret = {"key_source": "passphrase", "passphrase": "correct horse battery"}
    store = store_in(tmp_path, **secret)
    store.put([a_job("kept")])
    store.close()
    before = entries(tmp_path)
    with pytest.raises(StoreDamaged, match="HOLDFAST_PASSPHRASE"):
        store_in(tmp_path, key_source="passphrase", passphrase="wrong horse battery")
    with pytest.raises(SettingsError):
        store_in(tmp_path)
    assert entries(tmp_path) == before
    again = store_in(tmp_path, **secret)
    assert jobs(again) == {"kept"}
    again.close()


def test_a_store_that_was_refused_is_free_for_the_next_try(home: Path) -> None:
    hidden = home / "keys-away"
    (home / "keys").rename(hidden)
    with pytest.raises(StoreDamaged):
        store_in(home)
    shutil.rmtree(home / "keys")
    hidden.rename(home / "keys")
    store = store_in(home)
    assert jobs(store) == all_but()
    store.close()


def test_a_store_wiped_beside_its_keys_starts_a_new_incarnation(home: Path) -> None:
    shutil.rmtree(home / "airgap")
    store = store_in(home)
    assert store.ring.incarnation == 2
    assert jobs(store) == set()
    store.close()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pristine") / "home"
    make(home)
    return home


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_the_file_can_be_changed_without_a_word(pristine: Path, tmp_path: Path, data: st.DataObject) -> None:
    """The same state, or a report, or a refusal."""
    home = tmp_path / "hurt"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(pristine, home)
    path = home / "airgap" / "cache.db"
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        store = store_in(home)
    except StoreDamaged:
        return
    assert jobs(store) == all_but() or store.quarantined()
    store.close()


def test_a_sealer_of_this_home_is_needed_to_write_into_it(home: Path) -> None:
    forger = Sealer("0" * 16, {"01020304": os.urandom(32)}, "01020304")
    with database(home) as connection:
        connection.execute(
            "INSERT INTO Cache (key, raw, size, mode, value) VALUES (7, 1, 0, 2, ?)",
            (forger.seal("segment", 7, b"forged"),),
        )
    connection.close()
    store = store_in(home)
    assert jobs(store) == all_but()
    assert reports(store) == ["segment 7"]
    store.close()
