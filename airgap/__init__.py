"""Life without Redis: key ring, sealed journal, and what reads it.

What is named here is imported when it is first used, so that a process that needs one room does not pay for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.kernel.door import door

if TYPE_CHECKING:
    from airgap.keys import KeyRing
    from airgap.opening import open_store
    from airgap.owner import Owner, current_owner
    from airgap.quarantine import Quarantined
    from airgap.reader import JournalReader
    from airgap.segment import UnknownKey
    from airgap.storage import JournalStore, open_journal, rewrap_keys

#: where each name comes from
_ROOMS = {
    "airgap.keys": ("KeyRing",),
    "airgap.opening": ("open_store",),
    "airgap.owner": (
        "Owner",
        "current_owner",
    ),
    "airgap.quarantine": ("Quarantined",),
    "airgap.reader": ("JournalReader",),
    "airgap.segment": ("UnknownKey",),
    "airgap.storage": (
        "JournalStore",
        "open_journal",
        "rewrap_keys",
    ),
}

__all__ = [
    "JournalReader",
    "JournalStore",
    "KeyRing",
    "Owner",
    "Quarantined",
    "UnknownKey",
    "current_owner",
    "open_journal",
    "open_store",
    "rewrap_keys",
]

__getattr__ = door(__name__, _ROOMS)
