"""Real agent processes on one Redis: they share the work, obey, die, and lose nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from engine.fleet.base import AgentView
from tests.support.agents import TASKS, agents, giver, present, running
from tests.support.launched import alive, run
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until

PATIENCE = 120.0


@pytest.fixture
def engine(tmp_path: Path, redis_server: RedisHost, fleet: str) -> Iterator[Engine]:
    with giver(tmp_path / "giver", redis_server.url, fleet) as made:
        yield made


def linked(agents: list[AgentView]) -> list[AgentView]:
    """The agents once all are connected."""
    return agents if {agent.link for agent in agents} == {"connected"} else []


def test_agents_share_the_work_and_only_of_their_queues(engine: Engine, tmp_path: Path, url: str, fleet: str) -> None:
    common = ("--fleet", fleet, "--concurrency", "2")
    with (
        agents(tmp_path / "a", url, *common, "--name", "press") as press,
        agents(tmp_path / "b", url, *common, "--name", "oven", "--queues", "default", "--capabilities", "gpu"),
    ):
        there = until(lambda: linked(present(engine, 2)), PATIENCE, "both are connected")
        assert [(agent.name, agent.concurrency, agent.capabilities) for agent in there] == [
            ("oven", 2, ("gpu",)),
            ("press", 2, ()),
        ]
        assert there[0].queues == ("default",) and there[0].node
        jobs = [engine.enqueue("launched.add", {"a": i, "b": i}) for i in range(40)]
        assert [job.result(timeout=PATIENCE) for job in jobs] == [2 * i for i in range(40)]
        elsewhere = engine.enqueue("launched.add", {"a": 1, "b": 2}, queue="elsewhere")
        able = engine.enqueue("launched.add", {"a": 1, "b": 2}, capabilities=["gpu"])
        assert elsewhere.result(timeout=PATIENCE) == able.result(timeout=PATIENCE) == 3
        done = until(lambda: sum(agent.done for agent in engine.fleet.agents()) >= 42, PATIENCE, "all are counted")
        assert done
        engine.fleet.command(press.id(), "stop")
        assert press.process.wait(PATIENCE) == 0
        [left] = present(engine, 1)
        assert left.name == "oven"


def test_jobs_of_a_killed_agent_run_elsewhere_and_none_is_lost(
    engine: Engine, tmp_path: Path, url: str, fleet: str
) -> None:
    common = ("--fleet", fleet, "--concurrency", "4")
    go = tmp_path / "go"
    jobs = [engine.enqueue("launched.wait_for", {"path": str(go)}) for _ in range(4)]
    with agents(tmp_path / "a", url, *common) as doomed:
        held = set(running(engine, until(doomed.id, PATIENCE, "it has an id"), 4))
        with agents(tmp_path / "b", url, *common):
            present(engine, 2)
            jobs.append(engine.enqueue("launched.add", {"a": 1, "b": 1}))
            doomed.stop(signal.SIGKILL)
            go.touch()
            assert {job.id for job in jobs[:4]} == held
            assert [job.result(timeout=PATIENCE) for job in jobs] == ["found"] * 4 + [2]


def test_an_agent_that_died_is_started_anew_and_gives_back_what_it_held(tmp_path: Path, url: str, fleet: str) -> None:
    """In a queue that holds its jobs nobody else may take them, however late: only their holder gives them back."""
    queues = {"held": {"reclaim": "hold"}}
    with giver(tmp_path / "giver", url, fleet, queues=queues) as engine:
        home = tmp_path / "crew"
        home.mkdir()
        (tmp_path / "fleet.toml").write_text('[queues.held]\nreclaim = "hold"\n')
        given = ("--fleet", fleet, "--concurrency", "1", "--processes", "2", "--config", str(tmp_path / "fleet.toml"))
        with agents(home, url, *given, "--name", "press") as crew:
            first, second = present(engine, 2)
            assert {first.name, second.name} == {"press-1", "press-2"}
            go = tmp_path / "go"
            job = engine.enqueue("launched.wait_for", {"path": str(go)}, queue="held")
            holder = until(
                lambda: next((view for view in engine.fleet.agents() if view.current), None), PATIENCE, "one runs it"
            )
            os.kill(holder.pid, signal.SIGKILL)
            go.touch()
            assert job.result(timeout=PATIENCE) == "found"

            def back() -> bool:
                return any(view.id == holder.id and view.pid != holder.pid for view in present(engine, 2))

            until(back, PATIENCE, "it is back, as another process")
            pids = [view.pid for view in present(engine, 2)]
            crew.stop(signal.SIGKILL)
            until(lambda: not any(alive(pid) for pid in pids), what="no agent outlives its parent")


def test_a_crew_stops_in_time_and_hands_back_what_runs(engine: Engine, tmp_path: Path, url: str, fleet: str) -> None:
    with agents(tmp_path / "crew", url, "--fleet", fleet, "--concurrency", "1", "--processes", "2") as crew:
        pids = [view.pid for view in present(engine, 2)]
        jobs = [engine.enqueue("launched.linger", {"seconds": 600}) for _ in range(2)]
        until(lambda: sum(view.busy for view in engine.fleet.agents()) == 2, PATIENCE, "both work")
        assert crew.stop(seconds=PATIENCE) == 0
        assert not any(alive(pid) for pid in pids)
        until(lambda: all(job.state == "available" for job in jobs), PATIENCE, "they wait again")
        # a busy machine may keep one from saying that it leaves
        until(lambda: {view.presence for view in engine.fleet.agents()} <= {"stopped", "lost"}, what="both are gone")


def test_an_agent_without_a_redis_or_with_wrong_settings_says_so_and_ends(tmp_path: Path) -> None:
    done = run("agent", "--home", tmp_path / "a")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--redis redis://" in done.stderr
    done = run(
        "agent", "--home", tmp_path / "a", "--redis", "redis://127.0.0.1:1", "--processes", "2", "--tasks", "no.such"
    )
    assert done.returncode == 2 and "no.such" in done.stderr


def test_an_agent_starts_without_its_redis_and_joins_when_it_is_there(tmp_path: Path, fleet: str) -> None:
    with redis_host() as host:
        host.stop()
        with agents(tmp_path / "a", host.url, "--fleet", fleet) as early:
            until(lambda: "works for the fleet" in early.said, PATIENCE, "it runs")
            host.start()
            with giver(tmp_path / "giver", host.url, fleet) as engine:
                present(engine, 1)
                assert engine.enqueue("launched.add", {"a": 2, "b": 3}).result(timeout=PATIENCE) == 5
            given = ("--redis", host.url, "--fleet", fleet, "--tasks", TASKS)
            done = run("enqueue", "launched.add", "--args", '{"a": 4, "b": 5}', "--wait", *given)
            assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr
            done = run("enqueue", "launched.fail", "--args", '{"message": "oh"}', "--wait", *given)
            assert done.returncode == 1 and "RuntimeError: oh" in done.stderr
            done = run("enqueue", "launched.add", "--args", '{"a": "x"}', *given)
            assert done.returncode == 2 and "args.b: missing" in done.stderr
