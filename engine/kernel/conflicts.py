"""What is right setting by setting and wrong together.  Pure: looks at the settings and at the rights of their folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.kernel.settings import Settings


def conflicts(settings: Settings) -> Iterator[str]:
    """One line for each thing that cannot be, with its mend."""
    yield from redis_conflicts(settings)
    if settings.key_source == "passphrase" and not settings.passphrase:
        yield "passphrase: key_source is passphrase and there is none; set HOLDFAST_PASSPHRASE"
    if settings.key_source == "environment" and not settings.key:
        yield "key: key_source is environment and there is none; set HOLDFAST_KEY to 32 random bytes in base64"
    if settings.admin_token is not None and len(settings.admin_token) < 16:
        yield "admin_token: expected at least 16 characters; make one with: openssl rand -base64 32"
    if settings.home.exists() and not settings.home.is_dir():
        yield f"home: expected a folder, got the file {settings.home}; name another folder"
    elif not os.access(_standing(settings.home), os.W_OK | os.X_OK):
        yield f"home: {_standing(settings.home)} may not be written by this user; name another folder or change its owner"


def redis_conflicts(settings: Settings) -> Iterator[str]:
    """What does not go together about Redis, and about what queues make of it."""
    if settings.redis_pool_min > settings.redis_pool_max:
        yield "redis_pool_min: it is above redis_pool_max; lower it"
    if bool(settings.redis_cert) != bool(settings.redis_key):
        yield "redis_cert: a certificate and its key go together; set redis_cert and redis_key"
    if settings.failover == "airgap-safe" and not settings.redis:
        yield "failover: airgap-safe is about a Redis and there is none; set redis or take failover away"
    if settings.durability == "redis" and not settings.redis:
        yield "durability: redis needs a Redis and there is none; set redis, or durability to power"
    for name, table in settings.queues.items():
        own = table.get("durability")
        if own == "redis" and not settings.redis:
            yield f"queues: {name}: durability redis needs a Redis and there is none; set redis, or take durability away"
        if own == "power" and settings.durability == "process":
            yield f"queues: {name}: durability power is more than the store gives; set durability of all to power"


def _standing(path: Path) -> Path:
    """The path itself or its nearest parent that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
