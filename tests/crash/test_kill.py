"""A real process is killed with SIGKILL, at every named fault point and at random; nothing that it accepted is lost."""

from __future__ import annotations

import random
import signal
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.jobdetail import job
from engine import Engine, Settings
from engine.kernel.events import POISON
from engine.kernel.faults import POINTS
from engine.storage.base import CRASH_CAP
from tests.crash import mortal
from tests.crash.scenes import Scene
from tests.support.launched import alive, launched
from tests.support.waiting import until

PATIENCE = 120.0
#: steps that a life takes only now and then
RARE = ("checkpoint.", "trim.", "rotate.", "recorder.")


#: steps that are taken only with a Redis: see ``test_kill_linked``
LINKED = ("ship.", "resync.")


@pytest.mark.parametrize("point", sorted(point for point in POINTS if not point.startswith(LINKED)))
def test_killed_at_a_fault_point_nothing_is_lost(point: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "home")
    for passage in (1, 2) if point.startswith(RARE) else (1, 6):
        assert scene.live(jobs=120, fault=f"{point}:{passage}", forever=True) == -signal.SIGKILL, (
            f"{point} was not reached"
        )
    scene.finish()
    scene.check()
    assert scene.kills == 2


def test_killed_in_the_middle_of_work_nothing_is_lost(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "home")
    rng = random.Random(7)
    for _ in range(4):
        scene.live(jobs=300, kill_after=rng.randint(1, 280), forever=True)
    scene.finish()
    scene.check()
    assert scene.kills == 4


def test_a_job_that_is_there_at_three_deaths_is_poison_and_the_fourth_life_goes_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "home")
    engine = Engine(Settings(home=scene.home))
    engine.add(mortal.task)
    killer = mortal.task.enqueue(1)
    engine.stop()
    for _ in range(CRASH_CAP):
        assert scene.live(fault="attempt.after_start") == -signal.SIGKILL
    scene.finish()
    database = scene.history()
    found = job(database, killer.id)
    database.close()
    assert found is not None and (found.row.state, found.row.reason) == ("dead", POISON)
    assert [attempt.rescued for attempt in found.attempts] == [True] * CRASH_CAP
    assert found.error is None, "it never failed; it was there when its worker died"


def test_a_process_task_dies_with_the_program_that_runs_it(tmp_path: Path) -> None:
    home, arguments = tmp_path / "home", ("--tasks", "tests.integration.engine.works")
    with launched(home, *arguments) as first, first.client as client:
        id_ = client.post("/v1/jobs", json={"task": "works.linger"}).json()["id"]

        def pid() -> int:
            return int((client.get(f"/v1/jobs/{id_}").json().get("progress") or {}).get("message") or 0)

        child = until(pid, PATIENCE, "the child tells its process id")
        assert alive(child)
        first.process.kill()
        until(lambda: not alive(child), PATIENCE, "the child is gone")
    with launched(home, *arguments) as again, again.client as client:
        until(lambda: client.get(f"/v1/jobs/{id_}").json().get("state") == "running", PATIENCE)

        def rescued() -> Any:
            tries = client.get(f"/v1/jobs/{id_}").json()["attempts"]
            return tries[0] if tries and tries[0]["rescued"] else None

        assert until(rescued, PATIENCE, "its first attempt counts as rescued")["error"] is None
        assert again.stop(seconds=PATIENCE) == 0


@pytest.mark.chaos
def test_killed_a_hundred_times_nothing_is_lost(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "home")
    rng = random.Random(11)
    while scene.kills < 100:
        if rng.random() < 0.5:
            scene.live(jobs=150, fault=f"{rng.choice(sorted(POINTS))}:{rng.randint(1, 20)}")
        else:
            scene.live(jobs=200, kill_after=rng.randint(1, 180))
    scene.finish()
    scene.check()


def test_what_the_api_answered_202_survives_a_kill_of_the_whole_program(tmp_path: Path) -> None:
    home, arguments = tmp_path / "home", ("--tasks", "tests.support.tasks_launched")
    accepted: dict[str, int] = {}
    with launched(home, *arguments) as first:
        enough = threading.Event()

        def send(share: int) -> None:
            with first.client as client:
                for number in range(share, 100_000, 2):
                    try:
                        answer = client.post("/v1/jobs", json={"task": "launched.add", "args": {"a": number, "b": 1}})
                    except httpx.HTTPError:
                        return
                    assert answer.status_code == 202
                    accepted[answer.json()["id"]] = number + 1
                    if len(accepted) >= 60:
                        enough.set()

        senders = [threading.Thread(target=send, args=(share,)) for share in range(2)]
        for sender in senders:
            sender.start()
        assert enough.wait(PATIENCE)
        first.process.kill()
        for sender in senders:
            sender.join(PATIENCE)
    with launched(home, *arguments) as again, again.client as client:

        def open_jobs() -> list[str]:
            return [id_ for id_ in accepted if client.get(f"/v1/jobs/{id_}").json().get("state") != "completed"]

        until(lambda: not open_jobs(), PATIENCE, "every accepted job is completed")
        for id_, result in accepted.items():
            assert client.get(f"/v1/jobs/{id_}").json()["result"] == result
