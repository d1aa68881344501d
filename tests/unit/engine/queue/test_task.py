from __future__ import annotations

import datetime
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.errors import DeclarationError, SettingsError, UnknownTask, ValidationError
from engine.queue.registry import Registry
from engine.queue.request import OPTIONS, JobRequest
from engine.queue.retry import Retry
from engine.queue.task import Task, declare, task
from tests.unit.engine.queue import tasks_of_a_user as users
from tests.unit.engine.queue.tasks_of_a_user import crunch, fetch, send_email

MODULE = users.__name__
ROOT = Path(__file__).parents[4]


class Recording:
    """An engine that remembers what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[JobRequest] = []

    def enqueue_many(self, requests: Sequence[JobRequest]) -> list[Any]:
        self.requests.extend(requests)
        return [request.task for request in requests]


def plain(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


def test_a_task_is_still_the_function() -> None:
    added = task(plain)
    assert (added(1), added(1, b=5)) == (3, 6)
    assert (added.__name__, added.__doc__) == ("plain", "Add.")


def test_a_declaration_says_all_about_a_task() -> None:
    spec = send_email.spec
    assert spec.name == f"{MODULE}.send_email"
    assert (spec.queue, spec.max_attempts, spec.timeout, spec.priority) == ("emails", 5, 30.0, 3)
    assert (spec.isolation, spec.wants_context, spec.doc) == ("thread", True, "Send one mail.")
    assert spec.given == {"queue", "max_attempts", "backoff", "timeout", "priority"}


def test_what_was_not_declared_has_plain_defaults_and_is_known_as_not_given() -> None:
    spec = fetch.spec
    assert (spec.queue, spec.max_attempts, spec.timeout, spec.backoff) == ("default", 1, 0.0, Retry())
    assert spec.given == frozenset()


def test_async_functions_run_on_the_loop() -> None:
    assert fetch.spec.isolation == "loop"


def test_options_and_arguments_stand_side_by_side() -> None:
    request = send_email.job("a@b", subject="hi", priority="high", tenant="acme", delay=5, idempotency_key="k")
    assert request == JobRequest(
        f"{MODULE}.send_email",
        {"to": "a@b", "subject": "hi"},
        priority="high",
        tenant="acme",
        delay=5,
        idempotency_key="k",
    )


def test_a_name_that_the_function_uses_itself_is_an_argument() -> None:
    def plan(delay: int, note: str = "") -> None: ...

    planned = task(plan)
    assert planned.job(delay=3).args == {"delay": 3}
    request = planned.options(delay=60, tenant="acme").job(delay=3)
    assert (request.args, request.delay, request.tenant) == ({"delay": 3}, 60, "acme")


def test_an_unknown_option_says_which_was_meant() -> None:
    with pytest.raises(ValidationError, match="priorty: no such option; did you mean 'priority'"):
        send_email.options(priorty="high")


def test_a_bound_task_enqueues_on_its_engine() -> None:
    engine = Recording()
    added = task(plain)
    added.bind(engine)
    assert added.enqueue(1, tenant="t") == added.name
    assert added.options(queue="q").enqueue(1, b=3) == added.name
    assert [(r.args, r.tenant, r.queue) for r in engine.requests] == [
        ({"a": 1}, "t", None),
        ({"a": 1, "b": 3}, "", "q"),
    ]


def test_an_unbound_task_says_how_to_load_it() -> None:
    with pytest.raises(UnknownTask, match=r"belongs to no engine yet; load its module with Engine\(tasks"):
        task(plain).enqueue(1)


def test_a_script_names_its_tasks_as_if_it_were_imported(tmp_path: Path) -> None:
    script = tmp_path / "jobs_script.py"
    script.write_text("from engine.queue.task import task\n@task\ndef run(): ...\nprint(run.name)\n")
    done = subprocess.run(
        [sys.executable, script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "jobs_script.run", done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"queue": "two words"}, "queue: expected 1–100 letters"),
        ({"name": "a/b"}, "name: expected 1–100 letters"),
        ({"max_attempts": 0}, "max_attempts: expected a whole number from 1, got 0"),
        ({"max_attempts": True}, "max_attempts: expected a whole number"),
        ({"timeout": -1}, "timeout: expected seconds, 0 or more, got -1"),
        ({"priority": "urgent"}, "priority: expected one of critical"),
        ({"isolation": "cluster"}, "isolation: expected thread, loop or process"),
        ({"isolation": "loop"}, "isolation: def cannot run as 'loop'"),
        ({"backoff": 5}, "backoff: expected a Retry"),
        ({"unique": ["c"]}, "unique: the function has no argument 'c'"),
        ({"unique": 5}, "unique: expected True or names"),
        ({"result_ttl": "day"}, "result_ttl: expected seconds"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_tasks_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        declare(plain, **options)
    assert text in str(refused.value) and str(refused.value).startswith("task ")


def test_a_process_task_must_be_importable() -> None:
    def inner() -> None: ...

    for func in (inner, lambda: None):
        with pytest.raises(DeclarationError, match="must be a function at the top of an importable module"):
            declare(func, isolation="process", name="x")
    assert crunch.spec.isolation == "process"


def test_a_unique_key_depends_on_the_named_arguments_alone() -> None:
    by_user = declare(plain, unique=["a"]).spec
    assert by_user.unique_key({"a": 1, "b": 2}) == by_user.unique_key({"a": 1, "b": 3}) != by_user.unique_key({"a": 2})
    whole = declare(plain, unique=True).spec
    assert whole.unique_key({"a": 1, "b": 2}) == whole.unique_key({"b": 2, "a": 1}) != whole.unique_key({"a": 1})
    assert declare(plain).spec.unique_key({"a": 1}) == ""


def test_a_unique_key_is_short_and_does_not_show_the_arguments() -> None:
    key = declare(lambda text: None, name="t", unique=True).spec.unique_key({"text": "s3cret" * 1_000})
    assert re.fullmatch(r"t:[0-9a-f]{32}", key)


def test_a_registry_finds_tasks_by_name() -> None:
    registry = Registry()
    registry.register(send_email)
    registry.register(crunch)
    assert registry.names() == ["crunch", send_email.name]
    assert registry.get("crunch") is crunch.spec
    assert registry.find("nope") is None
    assert set(registry) == {send_email, crunch}


def test_an_unknown_task_says_which_was_meant() -> None:
    registry = Registry()
    registry.register(crunch)
    with pytest.raises(UnknownTask, match="no task 'crunsh' is registered here; did you mean 'crunch'"):
        registry.get("crunsh")
    with pytest.raises(UnknownTask, match="with --tasks"):
        registry.get("zzz")


def test_a_name_stands_for_one_function() -> None:
    registry = Registry()
    registry.register(declare(plain, name="same"))
    registry.register(declare(plain, name="same", queue="other"))
    assert registry.get("same").queue == "other"
    with pytest.raises(DeclarationError, match=r"'same' is declared twice: .*plain.*; give one of them another name="):
        registry.register(declare(lambda: None, name="same"))


def test_loading_a_module_registers_its_tasks_once_each() -> None:
    registry = Registry()
    loaded = registry.load_module(MODULE)
    assert {found.name for found in loaded} == {send_email.name, fetch.name, "crunch"}
    assert len(loaded) == 3 and all(isinstance(found, Task) for found in loaded)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import not_a_package_anywhere", "needs 'not_a_package_anywhere', which is not installed"),
        ("1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("def (:", "failed: SyntaxError"),
        ("x = 1", "declares no task"),
        ("from engine.queue.task import task\n@task\ndef f(*a): ...", r"*a cannot carry"),
    ],
)
def test_a_module_that_cannot_be_loaded_says_why_in_one_line(
    source: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SettingsError) as refused:
        Registry().load_module(name)
    assert text in str(refused.value) and name in str(refused.value)


def test_a_module_that_is_not_there_says_so() -> None:
    for name in ("nowhere", "nowhere.tasks", "engine.nowhere"):
        with pytest.raises(SettingsError, match=f"there is no module '{name}'"):
            Registry().load_module(name)


NOW = 1_700_000_000.0


def test_a_request_knows_when_it_is_due() -> None:
    assert JobRequest("t").due(NOW) == 0
    assert JobRequest("t", delay=0).due(NOW) == 0
    assert JobRequest("t", delay=1.5).due(NOW) == NOW + 1.5
    assert JobRequest("t", run_at=NOW + 9).due(NOW) == NOW + 9
    assert JobRequest("t", run_at="2030-01-31T08:00:00Z").due(NOW) == 1_896_076_800
    assert JobRequest("t", run_at="2030-01-31T10:00:00+02:00").due(NOW) == 1_896_076_800
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert JobRequest("t", run_at=datetime.datetime(2030, 1, 31, 10, tzinfo=zone)).due(NOW) == 1_896_076_800  # type: ignore[arg-type]
    assert JobRequest("t", delay=datetime.timedelta(minutes=1)).due(NOW) == NOW + 60  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "field", "text"),
    [
        ({"delay": -1}, "delay", "expected seconds, 0 or more, got -1"),
        ({"delay": float("nan")}, "delay", "expected seconds"),
        ({"delay": "5"}, "delay", "expected seconds"),
        ({"delay": True}, "delay", "expected seconds"),
        ({"run_at": "tomorrow"}, "run_at", "expected a time as 2030-01-31T08:00:00Z, got 'tomorrow'"),
        ({"run_at": "2030-01-31T08:00:00"}, "run_at", "expected a time with its zone"),
        ({"run_at": [1]}, "run_at", "expected seconds"),
        ({"run_at": NOW, "delay": 1}, "run_at", "either delay or run_at"),
    ],
)
def test_a_request_with_a_wrong_time_is_refused(options: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(text)) as refused:
        JobRequest("t", **options).due(NOW)
    assert refused.value.field == field


def test_a_request_knows_when_it_expires() -> None:
    assert JobRequest("t").expiry(NOW) == 0
    assert JobRequest("t", expires=60).expiry(NOW) == NOW + 60
    assert JobRequest("t", expires="2030-01-31T08:00:00Z").expiry(NOW) == 1_896_076_800
    with pytest.raises(ValidationError, match="expires: expected more than 0 seconds"):
        JobRequest("t", expires=0).expiry(NOW)


def test_every_field_of_a_request_but_task_and_args_is_an_option() -> None:
    assert set(JobRequest.__struct_fields__) == OPTIONS | {"task", "args"}
