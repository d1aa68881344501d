"""The key ring: made once, opened by what it was made with, rotated without a moment in which an entry has no key."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import msgspec
import pytest

from airgap.keys import KeyExport, KeyRing
from engine.kernel import faults
from engine.kernel.errors import SettingsError, StoreDamaged

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("source", "secret"), [("file", None), ("passphrase", "correct horse battery"), ("environment", KEY)]
)
def test_a_ring_opens_again_with_what_it_was_made_with(tmp_path: Path, source: str, secret: str | None) -> None:
    entry = KeyRing.open(tmp_path, source, secret).sealer().seal("segment", 1, b"body")
    again = KeyRing.open(tmp_path, source, secret)
    assert again.sealer().open("segment", 1, entry) == b"body"


@pytest.mark.parametrize(
    ("source", "right", "wrong"),
    [("passphrase", "correct horse", "wrong horse"), ("environment", KEY, base64.b64encode(b"w" * 32).decode())],
)
def test_a_wrong_secret_is_refused_with_the_mend_and_changes_nothing(
    tmp_path: Path, source: str, right: str, wrong: str
) -> None:
    KeyRing.open(tmp_path, source, right)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StoreDamaged, match=r"does not open it; nothing was changed\. set HOLDFAST_") as refused:
        KeyRing.open(tmp_path, source, wrong)
    assert wrong not in str(refused.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_key_file_of_another_home_is_refused(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, "file")
    (tmp_path / "master.key").write_bytes(os.urandom(32))
    with pytest.raises(StoreDamaged, match=r"restore master\.key"):
        KeyRing.open(tmp_path, "file")


def test_a_missing_key_file_is_not_made_anew_for_an_old_ring(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, "file")
    (tmp_path / "master.key").unlink()
    with pytest.raises(StoreDamaged, match=r"master\.key: missing"):
        KeyRing.open(tmp_path, "file")


def test_a_ring_that_was_edited_is_refused(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    path = tmp_path / "ring.json"
    path.write_text(path.read_text().replace(ring.node, "0" * 16))
    with pytest.raises(StoreDamaged):
        KeyRing.open(tmp_path, "file")


def test_another_source_than_the_rings_is_a_wrong_setting(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, "file")
    with pytest.raises(SettingsError, match="HOLDFAST_KEY_SOURCE=file"):
        KeyRing.open(tmp_path, "passphrase", "correct horse")


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode(), "§"])
def test_a_key_that_is_not_32_bytes_is_a_wrong_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand -base64 32"):
        KeyRing.open(tmp_path, "environment", text)


def test_only_the_owner_may_read_the_ring(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    KeyRing.open(folder, "file")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_no_key_stands_in_the_ring_in_the_clear(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "environment", KEY)
    keys = msgspec.msgpack.decode(ring.export_for_reader(), type=KeyExport).keys
    text = (tmp_path / "ring.json").read_bytes()
    for key in keys.values():
        assert key not in text
        assert base64.b64encode(key) not in text


def test_after_a_rotation_old_entries_open_and_new_ones_have_the_new_key(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    old = ring.active
    entry = ring.sealer().seal("segment", 1, b"body")
    new = ring.rotate()
    assert ring.ids == [new, old]
    assert KeyRing.open(tmp_path, "file").sealer().open("segment", 1, entry) == b"body"


def test_retiring_spares_the_keys_that_are_used(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    first = ring.active
    second = ring.rotate()
    third = ring.rotate()
    assert ring.retire({second}) == [first]
    assert KeyRing.open(tmp_path, "file").ids == [third, second]


def test_a_crash_in_a_rotation_leaves_both_keys_in_the_ring(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    faults.arm("rotate.after_key", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        with pytest.raises(KeyboardInterrupt):
            ring.rotate()
    finally:
        faults.disarm()
    assert len(KeyRing.open(tmp_path, "file").ids) == 2


def test_a_ring_can_be_opened_by_another_source_from_then_on(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    entry = ring.sealer().seal("segment", 1, b"body")
    ring.rewrap("passphrase", "correct horse")
    with pytest.raises(SettingsError):
        KeyRing.open(tmp_path, "file")
    assert KeyRing.open(tmp_path, "passphrase", "correct horse").sealer().open("segment", 1, entry) == b"body"


def test_what_opened_a_ring_before_is_forgotten_when_another_source_does(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    entry = ring.sealer().seal("segment", 1, b"body")
    ring.rewrap("environment", KEY)
    assert not (tmp_path / "master.key").exists()
    ring.rewrap("passphrase", "correct horse")
    with pytest.raises(SettingsError):
        KeyRing.open(tmp_path, "environment", KEY)
    ring.rewrap("passphrase", "another horse")
    with pytest.raises(StoreDamaged, match="nothing was changed"):
        KeyRing.open(tmp_path, "passphrase", "correct horse")
    assert KeyRing.open(tmp_path, "passphrase", "another horse").sealer().open("segment", 1, entry) == b"body"


def test_a_key_file_that_was_left_behind_is_not_used_again(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, "passphrase", "correct horse")
    (tmp_path / "master.key").write_bytes(bytes(32))
    KeyRing.open(tmp_path, "passphrase", "correct horse").rewrap("file")
    assert (tmp_path / "master.key").read_bytes() != bytes(32)
    assert KeyRing.open(tmp_path, "file").source == "file"


def test_a_file_is_not_replaced_by_itself_and_a_wrong_key_leaves_the_ring_as_it_was(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    with pytest.raises(SettingsError, match="by a file already"):
        ring.rewrap("file")
    with pytest.raises(SettingsError, match="openssl rand"):
        ring.rewrap("environment", "short")
    assert KeyRing.open(tmp_path, "file").ids == ring.ids


def test_a_reader_opens_with_exported_keys(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    entry = ring.sealer().seal("segment", 1, b"body")
    export = msgspec.msgpack.decode(ring.export_for_reader(), type=KeyExport)
    assert export.sealer().open("segment", 1, entry) == b"body"
