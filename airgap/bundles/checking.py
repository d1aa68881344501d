"""Looks at every record of a bundle before one is applied: a trusted home may be broken, or no more its owner's."""

from __future__ import annotations

import math

import msgspec

from airgap.bundles.outcomes import is_told_well
from airgap.bundles.records import JOBS, RESULTS, CarriedJob, Outcome, Record
from engine.kernel import events as ev
from engine.kernel.errors import BundleRefused, ValidationError
from engine.kernel.job import check_name

#: characters of a key or a list of capabilities
LONGEST = 1_000


def check(kind: str, record: Record, max_payload: int) -> None:
    """Raise ``BundleRefused`` for a record that has no place in a bundle of that kind."""
    if isinstance(record, CarriedJob) and kind == JOBS:
        _check_job(record.job, max_payload)
    elif isinstance(record, Outcome) and kind == RESULTS and is_told_well(record.ends):
        for end in record.ends:
            assert isinstance(end, ev.AttemptEnded)
            _check_end(end)
    else:
        raise BundleRefused(f"it says that it carries {kind:.20}, and has something else")


def _check_job(job: ev.JobEnqueued, max_payload: int) -> None:
    try:
        for value, field in (
            (job.id, "id"),
            (job.queue, "queue"),
            (job.task, "task"),
            (job.tenant or "none", "tenant"),
        ):
            check_name(value, field)
    except ValidationError as error:
        raise BundleRefused(f"a job in it has a wrong {error.field}") from None
    _check_numbers(job.id, job.at, job.run_at, job.expires_at, job.timeout)
    if max(map(len, (job.idempotency_key, job.unique, job.needs))) > LONGEST:
        raise BundleRefused(f"job {job.id} has a key of more than {LONGEST:,} characters")
    if not (1 <= job.priority <= 10 and job.max_attempts >= 1):
        raise BundleRefused(f"job {job.id} has a wrong priority or number of attempts")
    if len(job.payload) > max_payload:
        raise BundleRefused(
            f"job {job.id} has {len(job.payload):,} bytes of arguments; max_payload allows {max_payload:,}"
        )


def _check_end(end: ev.AttemptEnded) -> None:
    _check_numbers(end.id, end.at, end.started_at, end.duration, end.run_at, end.cpu)
    if end.result is not None:
        try:
            msgspec.json.decode(end.result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise BundleRefused(f"the result of job {end.id:.60} is no JSON") from None


def _check_numbers(id_: str, *numbers: float) -> None:
    if not all(map(math.isfinite, numbers)):
        raise BundleRefused(f"job {id_:.60} has a time that is none")
