"""The tasks that an engine knows, by name.  A name stands for one function; modules of tasks are loaded here."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

from engine.kernel.errors import DeclarationError, SettingsError, UnknownTask
from engine.queue.task import Task, TaskSpec


class Registry:
    """The tasks that one engine knows, by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[Any, Any]] = {}

    def __iter__(self) -> Iterator[Task[Any, Any]]:
        return iter(list(self._tasks.values()))

    def register(self, task: Task[Any, Any]) -> TaskSpec:
        """Take a task in.  Raises ``DeclarationError`` if its name stands for another function already."""
        known = self._tasks.get(task.name)
        if known is not None and not _same(known.spec.func, task.spec.func):
            raise DeclarationError(
                f"task {task.name!r} is declared twice: {_place(known.spec.func)} and {_place(task.spec.func)}; "
                "give one of them another name="
            )
        self._tasks[task.name] = task
        return task.spec

    def names(self) -> list[str]:
        """Names of all tasks, sorted."""
        return sorted(self._tasks)

    def find(self, name: str) -> TaskSpec | None:
        """The task of that name, if there is one."""
        found = self._tasks.get(name)
        return None if found is None else found.spec

    def get(self, name: str) -> TaskSpec:
        """The task of that name.  Raises ``UnknownTask``."""
        found = self._tasks.get(name)
        if found is not None:
            return found.spec
        near = difflib.get_close_matches(str(name), self._tasks, 1)
        hint = f"did you mean {near[0]!r}?" if near else "load the module that declares it with --tasks"
        raise UnknownTask(f"no task {str(name)[:100]!r} is registered here; {hint}")

    def load_module(self, name: str) -> list[Task[Any, Any]]:
        """Import a module and register the tasks found in it.  Raises ``SettingsError``."""
        module = _imported(name)
        tasks = list({id(value): value for value in vars(module).values() if isinstance(value, Task)}.values())
        if not tasks:
            raise SettingsError(f"tasks: module {name!r} declares no task; put @task above a function in it")
        for found in tasks:
            self.register(found)
        return tasks


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SettingsError(
                f"tasks: there is no module {name!r}; check the name and that its folder is on PYTHONPATH"
            ) from error
        raise SettingsError(f"tasks: module {name!r} needs {error.name!r}, which is not installed") from error
    except DeclarationError as error:
        raise SettingsError(f"tasks: module {name!r}: {error}") from error
    except Exception as error:
        raise SettingsError(f"tasks: importing {name!r} failed: {type(error).__name__}: {error}") from error


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions are the same piece of source, as after a reload."""
    return one is other or _place(one) == _place(other)


def _place(func: Callable[..., Any]) -> str:
    code = getattr(func, "__code__", None)
    return f"{func.__module__}.{func.__qualname__} ({code.co_filename}:{code.co_firstlineno})" if code else repr(func)
