"""Chooses the fleet of an engine by what its store offers."""

from __future__ import annotations

from engine.fleet.alone import Alone
from engine.fleet.base import Fleet
from engine.fleet.report import Member


def fleet_of(member: Member) -> Fleet:
    """The fleet over the Redis of the member's store; of the member alone if its store has none."""
    client = getattr(member.store, "client", None)
    if client is None:
        return Alone(member)
    from engine.fleet.remote import RemoteFleet

    named = getattr(member.store, "fleet_name", "") or getattr(member.store, "fleet", "")
    return RemoteFleet(member, client, named or member.settings.fleet)
