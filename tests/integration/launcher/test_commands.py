"""The operator commands against a running console: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.launched import Launched, launched, run
from tests.support.waiting import until


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    home = tmp_path_factory.mktemp("commands") / "home"
    with launched(home, "--tasks", "tests.support.tasks_launched") as started:
        yield started


def asked(console: Launched, *argv: str) -> tuple[int, str, str]:
    done = run(*argv, "--home", console.home)
    return done.returncode, done.stdout, done.stderr


def answered(console: Launched, *argv: str) -> Any:
    code, output, errors = asked(console, *argv, "--json")
    assert code == 0, errors
    return json.loads(output)


def test_a_job_is_enqueued_and_its_result_waited_for(console: Launched) -> None:
    assert asked(console, "enqueue", "launched.add", "--args", '{"a": 2, "b": 3}', "--wait") == (0, "5\n", "")
    job = answered(console, "enqueue", "launched.add", "--args", '{"a": 1, "b": 1}', "--wait")
    assert (job["state"], job["result"]) == ("completed", 2)


def test_waiting_for_a_job_that_fails_is_exit_code_1_with_the_reason(console: Launched) -> None:
    code, output, errors = asked(console, "enqueue", "launched.fail", "--args", '{"message": "no luck"}', "--wait")
    assert (code, output) == (1, "")
    assert errors.endswith("is dead: RuntimeError: no luck\n")


def test_a_job_is_listed_shown_and_cancelled(console: Launched) -> None:
    code, id, _ = asked(
        console, "enqueue", "launched.add", "--args", '{"a": 1, "b": 1}', "--delay", "600", "--priority", "3"
    )
    assert code == 0
    id = id.strip()
    until(lambda: id in asked(console, "jobs", "list", "state:scheduled")[1], 60, "history has the job")
    shown = asked(console, "jobs", "show", id)[1]
    assert "waiting" in shown
    assert '{"a": 1, "b": 1}' in shown
    assert asked(console, "jobs", "cancel", id) == (0, f"{id} cancelled\n", "")
    assert answered(console, "jobs", "show", id)["state"] == "cancelled"


def test_all_that_match_are_retried_and_deleted(console: Launched) -> None:
    for _ in range(3):
        asked(console, "enqueue", "launched.fail", "--args", '{"message": "again"}', "--queue", "bulk", "--wait")

    def died(attempts: int) -> bool:
        """Whether history knows that all three died after so many attempts."""
        jobs = answered(console, "jobs", "list", "state:dead", "queue:bulk")["jobs"]
        return [job["attempt"] for job in jobs if job["state"] == "dead"] == [attempts] * 3

    until(lambda: died(1), 60, "all have died")
    assert asked(console, "jobs", "retry", "--where", "state:dead queue:bulk")[0] == 0
    until(lambda: died(2), 60, "all have died once more")
    assert answered(console, "jobs", "delete", "--where", "state:dead queue:bulk")["done"] == 3
    until(lambda: not answered(console, "jobs", "list", "queue:bulk")["jobs"], 60, "history forgets them")


def test_one_wrong_id_among_several_does_not_stop_the_others(console: Launched) -> None:
    ids = [
        asked(console, "enqueue", "launched.add", "--args", '{"a": 1, "b": 1}', "--delay", "600")[1].strip()
        for _ in range(2)
    ]
    code, output, errors = asked(console, "jobs", "cancel", ids[0], "nothing", ids[1])
    assert (code, output) == (1, f"{ids[0]} cancelled\n{ids[1]} cancelled\n")
    assert errors == "holdfast: there is no job nothing\n"


def test_a_queue_is_paused_and_resumed(console: Launched) -> None:
    assert asked(console, "queues", "pause", "reports") == (0, "reports is paused\n", "")
    assert {queue["name"]: queue["paused"] for queue in answered(console, "queues", "list")["queues"]}[
        "reports"
    ] is True
    assert asked(console, "queues", "resume", "reports") == (0, "reports is open\n", "")


def test_the_table_of_queues_has_a_line_for_each(console: Launched) -> None:
    output = asked(console, "queues", "list")[1].splitlines()
    assert output[0].split()[:3] == ["NAME", "STATE", "PRIORITY"]
    assert len(output) >= 15
    assert "\x1b" not in "".join(output), "colours are for terminals"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("enqueue", "no.such"), 2, "no task 'no.such' is registered"),
        (("enqueue", "launched.add", "--args", '{"a": "x", "b": 1}'), 2, "args.a"),
        (("enqueue", "launched.add", "--args", "{a}"), 2, "--args is no JSON"),
        (("enqueue", "launched.add", "--args", "[1]"), 2, "expected a JSON object"),
        (("enqueue",), 2, "required: task"),
        (("enqueue", "launched.linger", "--args", '{"seconds": 0}', "--priority", "urgent"), 2, "priority"),
        (("jobs", "list", "colour:red"), 2, "colour"),
        (("jobs", "show", "nothing"), 1, "nothing"),
        (("jobs", "retry"), 2, "name jobs by ID"),
        (("jobs", "frobnicate"), 2, "invalid choice"),
        (("queues", "pause", "no-such-queue"), 1, "no-such-queue"),
        (("jobs", "list", "--token", "wrong"), 2, "HOLDFAST_TOKEN"),
        (("jobs", "list", "--url", "http://127.0.0.1:9", "--token", "x"), 1, "no console answers at"),
        (("jobs", "list", "--url", "ftp://x"), 2, "expected http"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    console: Launched, argv: tuple[str, ...], code: int, words: str
) -> None:
    got, output, errors = asked(console, *argv)
    assert (got, output) == (code, ""), errors
    assert len(errors.splitlines()) == 1
    assert errors.startswith("holdfast: ")
    assert words in errors


def test_the_local_token_is_not_shown_to_another_console(console: Launched) -> None:
    code, _, errors = asked(console, "jobs", "list", "--url", "http://127.0.0.1:9")
    assert code == 2
    assert "is not the console of" in errors


def test_without_any_console_the_commands_say_how_to_start_one(tmp_path: Path) -> None:
    done = run("jobs", "list", "--home", tmp_path / "never")
    assert done.returncode == 1
    assert "start one with: python3 run.py" in done.stderr


def test_the_doctor_finds_a_running_console_well(console: Launched) -> None:
    code, output, _ = asked(console, "doctor")
    assert code == 0, output
    assert {line.split()[0] for line in output.splitlines()} <= {"ok", "warning"}
    assert f"a console is running at {console.url}" in output
    assert f"in use by process {console.process.pid}" in output
