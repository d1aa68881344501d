"""From a request to the event that puts a job into a store: the task is found, everything is checked, defaults filled in.

Pure but for the clock and fresh ids.  Nothing is half accepted: the first thing that is wrong raises.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.kernel.clock import Clock
from engine.kernel.errors import ValidationError
from engine.kernel.events import JobEnqueued
from engine.kernel.job import NORMAL, band_of, check_name, new_id
from engine.queue import codec
from engine.queue.policy import QueuePolicy
from engine.queue.registry import Registry
from engine.queue.request import JobRequest, capabilities_of, needs_of, seconds_of
from engine.queue.task import TaskSpec

#: characters of an idempotency or unique key, and of a correlation id
KEY_LIMIT = 200


class Acceptance:
    """Turns requests into jobs."""

    def __init__(self, registry: Registry, policies: Mapping[str, QueuePolicy], clock: Clock, max_payload: int) -> None:
        self._registry = registry
        self._policies = policies
        self._clock = clock
        self._max_payload = max_payload

    def accept(self, request: JobRequest) -> JobEnqueued:
        """The job for a request.  Raises ``UnknownTask``, ``ValidationError``."""
        spec = self._registry.get(request.task)
        args = request.args
        if not isinstance(args, dict):
            raise ValidationError(f"args: expected an object of arguments by name, got {type(args).__name__}", "args")
        spec.validator.check(args)
        now = self._clock.now()
        queue = spec.queue if request.queue is None else check_name(request.queue, "queue")
        policy = self._policies.get(queue)
        return JobEnqueued(
            now,
            new_id(),
            queue,
            spec.name,
            codec.encode(
                args, _metadata(request), _text(request.correlation_id, "correlation_id"), limit=self._max_payload
            ),
            _band(request, spec, policy),
            check_name(request.tenant, "tenant") if request.tenant else "",
            request.due(now),
            request.expiry(now),
            _attempts(request.max_attempts, spec.max_attempts),
            spec.timeout if request.timeout is None else seconds_of(request.timeout, "timeout"),
            _scoped(request.tenant, _text(request.idempotency_key, "idempotency_key")),
            _scoped(request.tenant, _text(request.unique_key, "unique_key") or spec.unique_key(args)),
            needs_of(spec.capabilities, capabilities_of(request.capabilities))
            if spec.capabilities or request.capabilities is not None
            else "",
        )


def _metadata(request: JobRequest) -> dict[str, object]:
    if not isinstance(request.metadata, dict):
        raise ValidationError("metadata: expected an object", "metadata")
    return request.metadata


def _band(request: JobRequest, spec: TaskSpec, policy: QueuePolicy | None) -> int:
    if request.priority is not None:
        return band_of(request.priority)
    if spec.priority is not None:
        return spec.priority
    return policy.job_priority if policy is not None else NORMAL


def _attempts(wanted: object, declared: int) -> int:
    if wanted is None:
        return declared
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 1 <= wanted <= 1_000_000:
        return wanted
    raise ValidationError(f"max_attempts: expected a whole number from 1, got {wanted!r:.40}", "max_attempts")


def _text(value: object, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and 0 < len(value) <= KEY_LIMIT and value.isprintable():
        return value
    raise ValidationError(f"{field}: expected 1–{KEY_LIMIT} printable characters", field)


def _scoped(tenant: str, key: str) -> str:
    """Keys of one tenant say nothing about another's."""
    return f"{tenant}/{key}" if key else ""
