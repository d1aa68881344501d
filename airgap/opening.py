"""Which store a home has: the sealed one alone, or linked to a Redis if the settings name one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airgap.storage import JournalStore, open_journal
from engine.kernel.bus import Bus
from engine.kernel.clock import Clock
from engine.kernel.settings import Settings

if TYPE_CHECKING:
    from airgap.linked import LinkedStore


def open_store(settings: Settings, clock: Clock, bus: Bus) -> JournalStore | LinkedStore:
    """The store of ``settings.home``; not open yet.  Raises ``SettingsError`` for a Redis that cannot be meant."""
    return _linked(settings, clock, bus) if settings.redis else open_journal(settings, clock, bus)


def _linked(settings: Settings, clock: Clock, bus: Bus) -> LinkedStore:
    # a process without Redis starts faster, and is smaller, if it never loads what talks to one
    from airgap.linked import LinkedStore
    from engine.storage.redis.client import Client
    from engine.storage.redis.connect import target_from
    from engine.storage.redis.store import RedisStore

    client = Client(target_from(settings), clock)
    remote = RedisStore(
        client,
        clock,
        bus,
        fleet=settings.fleet,
        result_ttl=settings.result_ttl,
        result_limit=settings.result_limit,
        idempotency_ttl=settings.idempotency_ttl,
    )
    return LinkedStore(
        settings, clock, bus, remote, pool=lambda: msgspec.structs.asdict(client.stats()), address=client.address
    )
