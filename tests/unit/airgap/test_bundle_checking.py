"""What a trusted home may not write into a bundle either."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airgap.bundles.checking import check
from airgap.bundles.records import JOBS, RESULTS, CarriedJob, Outcome, Preface, Record
from engine.kernel import events as ev
from engine.kernel.errors import BundleRefused
from engine.kernel.job import Failure
from tests.support.journals import a_job

DONE = ev.JobCompleted(1.0, "j1", 1, 1, result=b"[1]")
FAILED = ev.JobRetryScheduled(1.0, "j1", 1, 1, started_at=1.0, failure=Failure("E", "no"))


def outcome(*ends: Any) -> Outcome:
    return Outcome("b1", "j1", 1, ends)


def test_what_is_right_passes() -> None:
    check(JOBS, CarriedJob(1, a_job(tenant="acme", run_at=5.0)), 100)
    for ends in ((DONE,), (FAILED, DONE), (FAILED, FAILED, ev.JobDied(1.0, "j1", 1, 1))):
        check(RESULTS, outcome(*ends), 100)


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": "../mail"}, {"queue": ""}, {"task": "a b"}, {"id": "x" * 101}, {"tenant": "a/b"}, {"priority": 0},
        {"priority": 11}, {"max_attempts": 0}, {"run_at": float("nan")}, {"expires_at": float("inf")}, {"at": float("nan")},
        {"payload": b"x" * 101}, {"unique": "u" * 1_001},
    ],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
def test_a_job_that_nobody_could_have_enqueued_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BundleRefused):
        check(JOBS, CarriedJob(1, msgspec.structs.replace(a_job(), **fields)), 100)


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (RESULTS, outcome()),
        (RESULTS, outcome(FAILED)),
        (RESULTS, outcome(DONE, DONE)),
        (RESULTS, outcome(DONE, FAILED)),
        (RESULTS, outcome(a_job(), DONE)),
        (RESULTS, outcome(ev.ValueSet(1.0, "k", b"v"))),
        (RESULTS, outcome(msgspec.structs.replace(DONE, result=b"no json"))),
        (RESULTS, outcome(msgspec.structs.replace(DONE, result=b"\xff"))),
        (RESULTS, outcome(msgspec.structs.replace(DONE, duration=float("nan")))),
        (RESULTS, CarriedJob(1, a_job())),
        (JOBS, outcome(DONE)),
        (JOBS, Preface("x")),
        ("keys", CarriedJob(1, a_job())),
    ],
)
def test_what_has_no_place_in_a_bundle_of_its_kind_is_refused(kind: str, record: Record) -> None:
    with pytest.raises(BundleRefused):
        check(kind, record, 100)
