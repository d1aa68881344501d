"""After a rotation: sealing everything older with the new key, a few entries at a time, and then forgetting old keys.

A pass looks through all rows once for one key; if the keys are rotated meanwhile it begins anew.  A key is retired only at
the end of a pass for the key that is active then, and never while something that was set aside is sealed with it.
"""

from __future__ import annotations

import logging

from airgap import checkpoint
from airgap.disk import Key
from airgap.journal import Journal
from airgap.keys import KeyRing
from airgap.quarantine import Quarantine
from airgap.recovery import NOTE
from airgap.segment import KEY_ID_BYTES, VERSION, Sealer, key_id
from engine.kernel.errors import StoreDamaged

log = logging.getLogger("holdfast.journal")

#: rows looked through while the lead is held
STEP = 64


class Resealer:
    """Called from one thread at a time."""

    def __init__(self, journal: Journal, ring: KeyRing) -> None:
        self._journal = journal
        self._ring = ring
        #: the key that everything is known to be sealed with
        self._sealed_with = ring.active if len(ring.ids) == 1 else ""
        #: the key of the pass under way, and the row up to which it has come
        self._key = ""
        self._row = 0
        #: keys of entries that do not open any more
        self._needed: set[str] = set()

    def step(self) -> bool:
        """Seal a few entries; whether there is more to do."""
        with self._journal.held():
            if self._sealed_with == self._ring.active:
                return False
            if self._key != self._ring.active:
                self._key, self._row, self._needed = self._ring.active, 0, set()
            upto = self._row + STEP
            self._reseal(self._ring.sealer(), upto)
            self._row = upto
            if upto < self._journal.shelf.last_row():
                return True
            self._retire()
            return False

    def _reseal(self, sealer: Sealer, upto: int) -> None:
        shelf = self._journal.shelf
        prefix = bytes([VERSION]) + bytes.fromhex(sealer.active)
        fresh: list[tuple[Key, bytes]] = []
        for key, entry in shelf.rows_without(prefix, self._row, upto):
            try:
                fresh.append((key, _resealed(sealer, key, entry)))
            except StoreDamaged as error:
                log.error("%s: not resealed: %s", shelf.path, error)
                self._needed.add(key_id(entry))
        if fresh:
            shelf.replace(fresh)

    def _retire(self) -> None:
        prefixes = Quarantine(self._journal.shelf).prefixes(1 + KEY_ID_BYTES)
        self._ring.retire({key_id(prefix) for prefix in prefixes} | self._needed)
        self._journal.use_sealer(self._ring.sealer())
        self._sealed_with = self._ring.active


def _resealed(sealer: Sealer, key: Key, entry: bytes) -> bytes:
    kind = "segment" if isinstance(key, int) else checkpoint.KIND if key.startswith(checkpoint.KIND) else NOTE
    return sealer.seal(kind, key, sealer.open(kind, key, entry))
