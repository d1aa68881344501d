"""What stands in a bundle, and what a home remembers of those that it made or took in."""

from __future__ import annotations

import msgspec

from airgap.bundles.sealing import Wrapped
from engine.kernel import events as ev

#: what a bundle carries
JOBS, RESULTS = "jobs", "results"
OUT, IN = "out", "in"

#: states of a bundle, as ``BundleView.state`` says them
PREPARING, CARRIED, RETURNED, RELEASED = "preparing", "carried", "returned", "released"
SENT, DELIVERED = "sent", "delivered"
IMPORTING, RUNNING, ENDED, REPORTED, APPLIED = "importing", "running", "ended", "reported", "applied"


class Header(msgspec.Struct, frozen=True):
    """The clear beginning of a bundle; the signature covers it."""

    id: str
    #: ``jobs`` or ``results``
    kind: str
    #: fingerprint of the signing key
    sender: str
    #: wall time
    created: float
    #: jobs or outcomes in it
    count: int
    recipients: tuple[Wrapped, ...]


class Preface(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """The first record inside: what the sender has taken in from the recipients."""

    #: name that the sender gives itself
    name: str
    #: ids of results bundles that were applied
    applied: tuple[str, ...] = ()


class CarriedJob(msgspec.Struct, frozen=True, array_like=True, tag="j"):
    """One job to be run elsewhere."""

    #: under which its home has it claimed
    token: int
    job: ev.JobEnqueued


class Outcome(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """What became of one."""

    #: the jobs bundle that brought it
    bundle: str
    id: str
    token: int
    #: of its attempts in order, the outcome last
    ends: tuple[ev.AnyEvent, ...]


Record = Preface | CarriedJob | Outcome


class CarriedEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job that went out, in the book."""

    id: str
    token: int
    #: hash of the outcome that came home; ``released`` if it was taken back; "" while it is away
    outcome: str = ""


class BundleRecord(msgspec.Struct, frozen=True):
    """A bundle, in the book."""

    id: str
    #: ``out`` or ``in``
    direction: str
    kind: str
    #: whom it is for or from, by the names given here
    peer: str
    #: fingerprints of those homes' signing keys
    keys: tuple[str, ...]
    at: float
    by: str
    #: jobs or outcomes in it
    jobs: int
    state: str
    #: of them, those whose outcome came home or was applied
    done: int = 0
    conflicts: int = 0
    refused: int = 0
    bytes: int = 0
    #: for results sent: the number of the last outcome in it
    upto: int = 0


class BundleView(msgspec.Struct, frozen=True):
    """A bundle as people see it."""

    id: str
    #: ``out`` or ``in``
    direction: str
    #: ``jobs`` or ``results``
    kind: str
    peer: str
    #: wall time at which it was made or taken in
    at: float
    #: jobs or outcomes in it, and those of them that are through: came home, ended here, were applied
    jobs: int
    done: int
    #: out: preparing, carried, returned, released; sent, delivered — in: importing, running, ended, reported, applied
    state: str
    conflicts: int = 0
    #: outcomes that were not the sender's to tell
    refused: int = 0
    bytes: int = 0
    by: str = ""
