"""Cards and private keys of homes: what is read is what was shown, and nothing secret lies open."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.bundles.cards import Card, good_name, read_card
from airgap.bundles.identity import Identity, identity_of
from airgap.bundles.trust import Trust
from airgap.keys import RING_FILE, KeyRing
from engine.kernel.clock import FakeClock
from engine.kernel.errors import Conflict, NotFound, ValidationError
from engine.storage.memory import MemoryStore


def an_identity(name: str = "ship", seed: int = 1) -> Identity:
    return Identity(bytes([seed]) * 64, name)


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), keys=st.binary(min_size=64, max_size=64))
def test_a_card_is_read_as_it_was_shown(name: str, keys: bytes) -> None:
    card = Card(name, keys[:32], keys[32:])
    assert read_card(f"  {card.line()}\n") == card


def test_a_mistyped_letter_in_a_card_is_found() -> None:
    line = an_identity().card.line()
    for place in range(len(line)):
        letter = "A" if line[place] != "A" else "B"
        with pytest.raises(ValidationError, match="card"):
            read_card(line[:place] + letter + line[place + 1 :])
    with pytest.raises(ValidationError, match="use a newer one"):
        read_card(line.replace(":1:", ":2:", 1))
    with pytest.raises(ValidationError, match="cut or mistyped"):
        read_card(line[:-4])


def test_any_text_makes_a_name() -> None:
    assert [good_name(text) for text in ("MS Anna's PC", "…", "a" * 200)] == ["MS-Anna-s-PC", "home", "a" * 100]


def test_an_identity_stays_with_the_ring_and_never_lies_open(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, "file")
    card = identity_of(ring, "ship").card
    private = ring.secret("identity", lambda: b"never made anew")
    assert len(private) == 64 and private[:32] not in (tmp_path / RING_FILE).read_bytes()
    ring.rotate()
    ring.retire([])
    ring.rewrap("passphrase", "open sesame")
    again = KeyRing.open(tmp_path, "passphrase", "open sesame")
    assert identity_of(again, "ship").card == card
    assert private.hex() not in repr(identity_of(again, "ship"))


def test_trust_goes_by_the_key_and_names_are_given_once() -> None:
    store = MemoryStore(FakeClock())
    trust = Trust(store, store.clock)
    own, ship, other = (an_identity(name, seed).card for name, seed in (("shore", 1), ("ship", 2), ("ship", 3)))
    trust.add(ship.line(), own=own, by="ann")
    assert trust.add(ship.line(), own=own).name == "ship"
    with pytest.raises(Conflict, match="with another key"):
        trust.add(other.line(), own=own)
    assert trust.add(other.line(), own=own, name="ship2").name == "ship2"
    with pytest.raises(Conflict, match="already, as ship2"):
        trust.add(other.line(), own=own, name="ship3")
    with pytest.raises(Conflict, match="this home itself"):
        trust.add(own.line(), own=own)
    found = trust.by_key(other.fingerprint)
    assert found is not None and found.name == "ship2"
    trust.remove("ship")
    assert [one.name for one in trust.all()] == ["ship2"] and trust.by_key(ship.fingerprint) is None
    with pytest.raises(NotFound, match="there are ship2"):
        trust.named("ship")
