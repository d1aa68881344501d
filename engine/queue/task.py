"""Tasks: how a function becomes one.

``@task`` makes a ``Task`` that belongs to no engine; an engine that loads it binds it, and only a bound task can enqueue.
What cannot work (positional varargs, a process task that no child could import) is refused while the program loads.
Nothing here touches a store.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

import msgspec

from engine.kernel.errors import DeclarationError, UnknownTask, ValidationError
from engine.kernel.job import band_of, check_name
from engine.queue.arguments import ArgumentValidator
from engine.queue.codec import to_plain
from engine.queue.request import OPTIONS, JobRequest, capabilities_of, seconds_of
from engine.queue.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")
Isolation = Literal["thread", "loop", "process"]
DEFAULT_QUEUE = "default"


class TaskSpec(msgspec.Struct, frozen=True):
    """All that a task's declaration says."""

    name: str
    func: Callable[..., Any]
    validator: ArgumentValidator
    queue: str = DEFAULT_QUEUE
    max_attempts: int = 1
    backoff: Retry = Retry()
    #: seconds one attempt may run, 0 for no limit
    timeout: float = 0.0
    #: band 1–10, ``None`` for the queue's own
    priority: int | None = None
    isolation: Isolation = "thread"
    #: names of the arguments whose values make the unique key; empty for none
    unique: tuple[str, ...] = ()
    #: seconds that a result is kept, ``None`` for the engine's setting
    result_ttl: float | None = None
    #: what an agent must have to run it
    capabilities: tuple[str, ...] = ()
    #: options that the declaration named itself; the queue's policy may fill in the others
    given: frozenset[str] = frozenset()

    @property
    def wants_context(self) -> bool:
        return self.validator.wants_context

    @property
    def doc(self) -> str:
        """The function's docstring."""
        return inspect.getdoc(self.func) or ""

    def unique_key(self, args: Mapping[str, Any]) -> str:
        """The key that a job with ``args`` holds if the task is declared unique, else ``""``."""
        if not self.unique:
            return ""
        values = [args.get(name) for name in self.unique]
        text = msgspec.json.encode(values, order="deterministic", enc_hook=to_plain)
        return f"{self.name}:{hashlib.sha256(text).hexdigest()[:32]}"


class Enqueuer(Protocol):
    """What a task needs of its engine."""

    def enqueue_many(self, requests: Sequence[JobRequest]) -> list[Any]:
        """Enqueue all or none; returns their handles."""


class Task(Generic[P, R]):
    """A declared task.  Calling it runs the function here and now; ``enqueue`` makes a job of it."""

    def __init__(self, func: Callable[P, R], spec: TaskSpec) -> None:
        self.spec = spec
        self._engine: Enqueuer | None = None
        #: names that ``enqueue`` takes as options: not those that the function uses itself
        self._options = OPTIONS - set(spec.validator.names)
        functools.update_wrapper(self, func)

    @property
    def name(self) -> str:
        return self.spec.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.spec.func(*args, **kwargs)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<task {self.name} on {self.spec.queue}>"

    def bind(self, engine: Enqueuer) -> None:
        """Make ``enqueue`` go to ``engine``; the last one that loaded the task wins."""
        self._engine = engine

    def job(self, *args: Any, **kwargs: Any) -> JobRequest:
        """A request for this task; options of the job may stand among the arguments, as in ``priority="high"``."""
        options = {name: kwargs.pop(name) for name in self._options & kwargs.keys()}
        return JobRequest(self.name, self.spec.validator.bind(args, kwargs), **options)

    def enqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a job and return its handle.  Raises ``ValidationError``, ``StoreFull``, ``Stopped``."""
        return self._enqueuer().enqueue_many((self.job(*args, **kwargs),))[0]

    def options(self, **options: Any) -> TaskWithOptions:
        """The task with options of the job set apart, for functions that use one of their names for an argument."""
        for name in options:
            if name not in OPTIONS:
                near = difflib.get_close_matches(name, OPTIONS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(OPTIONS))}"
                raise ValidationError(f"{name}: no such option; {hint}", name)
        return TaskWithOptions(self, options)

    def _enqueuer(self) -> Enqueuer:
        if self._engine is None:
            raise UnknownTask(
                f"task {self.name!r} belongs to no engine yet; load its module with Engine(tasks=[…]) or --tasks first"
            )
        return self._engine


class TaskWithOptions:
    """A task and the options its next jobs get."""

    def __init__(self, task: Task[Any, Any], options: Mapping[str, Any]) -> None:
        self._task = task
        self._options = options

    def job(self, *args: Any, **kwargs: Any) -> JobRequest:
        """A request; here every keyword is an argument of the function."""
        return JobRequest(self._task.name, self._task.spec.validator.bind(args, kwargs), **self._options)

    def enqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a job and return its handle."""
        return self._task._enqueuer().enqueue_many((self.job(*args, **kwargs),))[0]


@overload
def task(func: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    queue: str | None = ...,
    name: str | None = ...,
    max_attempts: int | None = ...,
    backoff: Retry | None = ...,
    timeout: float | None = ...,
    priority: str | int | None = ...,
    isolation: Isolation | None = ...,
    unique: bool | Sequence[str] | None = ...,
    result_ttl: float | None = ...,
    capabilities: str | Sequence[str] | None = ...,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a task that belongs to no engine yet.  Raises ``DeclarationError``."""
    if func is not None:
        return declare(func)
    return functools.partial(declare, **options)


def declare(
    func: Callable[P, R],
    *,
    queue: str | None = None,
    name: str | None = None,
    max_attempts: int | None = None,
    backoff: Retry | None = None,
    timeout: float | None = None,
    priority: str | int | None = None,
    isolation: Isolation | None = None,
    unique: bool | Sequence[str] | None = None,
    result_ttl: float | None = None,
    capabilities: str | Sequence[str] | None = None,
) -> Task[P, R]:
    """Make a task of ``func``.  Raises ``DeclarationError`` naming the function and what is wrong."""
    label = name or task_name(func)
    try:
        validator = ArgumentValidator(func, name or "")
        spec = TaskSpec(
            name=check_name(label, "name"),
            func=func,
            validator=validator,
            queue=check_name(DEFAULT_QUEUE if queue is None else queue, "queue"),
            max_attempts=_attempts(max_attempts),
            backoff=_backoff(backoff),
            timeout=seconds_of(timeout or 0.0, "timeout"),
            priority=None if priority is None else band_of(priority),
            isolation=_isolation(func, isolation),
            unique=_unique(unique, validator),
            result_ttl=None if result_ttl is None else seconds_of(result_ttl, "result_ttl"),
            capabilities=capabilities_of(capabilities),
            given=_given(queue=queue, max_attempts=max_attempts, backoff=backoff, timeout=timeout, priority=priority),
        )
    except ValidationError as error:
        raise DeclarationError(f"task {label}: {error}") from None
    return Task(func, spec)


def task_name(func: Callable[..., Any]) -> str:
    """``module.function``; for a script that was started itself, what its module would be called when imported."""
    module = func.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        found = getattr(main, "__spec__", None)
        module = found.name.removesuffix(".__main__") if found else PurePath(getattr(main, "__file__", "main")).stem
    return f"{module}.{func.__name__}"


def _given(**options: object) -> frozenset[str]:
    return frozenset(name for name, value in options.items() if value is not None)


def _attempts(value: object) -> int:
    if value is None:
        return 1
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000:
        return value
    raise ValidationError(f"max_attempts: expected a whole number from 1, got {value!r:.40}", "max_attempts")


def _backoff(value: object) -> Retry:
    if value is None:
        return Retry()
    if isinstance(value, Retry):
        return value
    raise ValidationError(f"backoff: expected a Retry, as Retry(initial=1, maximum=30), got {value!r:.40}", "backoff")


def _isolation(func: Callable[..., Any], wanted: object) -> Isolation:
    is_async = inspect.iscoroutinefunction(func)
    if wanted is None or (wanted == "loop" and is_async):
        return "loop" if is_async else "thread"
    if wanted == "thread" and not is_async:
        return "thread"
    if wanted == "process":
        _check_module_level(func)
        return "process"
    if wanted in ("thread", "loop"):
        raise ValidationError(f"isolation: {'async def' if is_async else 'def'} cannot run as {wanted!r}", "isolation")
    raise ValidationError(f"isolation: expected thread, loop or process, got {wanted!r:.40}", "isolation")


def _check_module_level(func: Callable[..., Any]) -> None:
    if "<" in func.__qualname__ or func.__module__ == "__main__":
        raise ValidationError(
            "isolation: a process imports the task by name, so it must be a function at the top of an importable module",
            "isolation",
        )


def _unique(wanted: object, validator: ArgumentValidator) -> tuple[str, ...]:
    if wanted is None or wanted is False:
        return ()
    if wanted is True:
        return validator.names or ("",)
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted) if isinstance(wanted, (list, tuple)) else None
    if names is None:
        raise ValidationError(f"unique: expected True or names of arguments, got {wanted!r:.40}", "unique")
    for name in names:
        if name not in validator.names:
            raise ValidationError(f"unique: the function has no argument {name!r:.40}", "unique")
    return names
