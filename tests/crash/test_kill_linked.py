"""A real node of a fleet is killed with SIGKILL, at every fault point that it comes by; nothing that it accepted is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.evidence import Evidence, Journals, Watcher, executions
from tests.chaos.fleet import Accounts, Node, at_rest
from tests.chaos.inside import disorder
from tests.support.redis_hosts import RedisHost, redis_host
from tests.support.waiting import until

PATIENCE = 120.0
#: points that a life comes by only when it begins, or comes back
AT_START = ("resync.after_marks", "resync.after_keep")
#: points on the way of every job
ON_THE_WAY = ("ship.before_send", "ship.after_send", "claim.after_commit")
#: points that a node without a Redis comes by too
KNOWN = (
    "finish.after_commit",
    "put.before_append", "commit.before_write", "commit.after_write", "attempt.after_start", "attempt.before_finish",
)  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Iterator[RedisHost]:
    with redis_host() as host:
        yield host


@pytest.fixture
def redis(host: RedisHost) -> RedisHost:
    host.flush()
    return host


class Scene:
    """A home beside a Redis, its lives, and their account."""

    def __init__(self, folder: Path, redis: RedisHost) -> None:
        self.redis = redis
        self.accounts = Accounts()
        self.effects = folder / "effects"
        self.ids = folder / "ids"
        self.node = Node(folder / "home", redis.url, self.effects, self.accounts)
        self.watcher = Watcher(redis.url)

    def die_at(self, fault: str) -> None:
        """A life that feeds until it comes to the fault."""
        self.node.start(fault)
        with suppress(BrokenPipeError):  # it may have died already
            self.node.tell("feed")
        assert self.node.wait_dead(PATIENCE) == -signal.SIGKILL, f"{fault} was not reached: {self.node.log[-2000:]}"

    def account(self, forgot: bool = False) -> None:
        """A last life in which nothing goes wrong, and what came of all; what only Redis had may be gone if it forgot."""
        self.node.start()
        self.node.up()
        at_rest([self.node], PATIENCE)
        self.watcher.catch_up()
        journals = Journals()
        journals.catch_up(self.node.home)
        accepted = {id_ for id_, job in self.accounts.snapshot().items() if not (forgot and job.queue == "direct")}
        self.ids.write_text("\n".join(accepted))
        states = self.node.order("states", str(self.ids))
        evidence = Evidence(executions(self.effects), [*journals.events, *self.watcher.events])
        assert set(states) == accepted, "nothing accepted is lost"
        assert {state for state, _ in states.values()} <= {"completed", "dead"}
        assert forgot or not evidence.silent_doubles()
        assert not disorder(self.redis.cli)
        assert self.node.stop() == 0


@pytest.fixture
def scene(tmp_path: Path, redis: RedisHost) -> Iterator[Scene]:
    made = Scene(tmp_path, redis)
    yield made
    made.watcher.close()
    if made.node.alive:
        made.node.kill()


@pytest.mark.parametrize("point", [*ON_THE_WAY, *(pytest.param(point, marks=pytest.mark.chaos) for point in KNOWN)])
def test_a_linked_node_killed_on_the_way_of_its_jobs_loses_none(point: str, scene: Scene) -> None:
    scene.die_at(f"{point}:13")
    scene.account()


@pytest.mark.parametrize("point", AT_START)
def test_a_linked_node_killed_while_it_comes_back_loses_nothing(point: str, scene: Scene) -> None:
    scene.die_at("commit.after_write:40")
    scene.die_at(point)
    scene.account()


@pytest.mark.parametrize(
    "point", ["ship.after_send", pytest.param("ship.before_send", marks=pytest.mark.chaos), *AT_START]
)
def test_a_linked_node_killed_while_it_gives_a_forgetful_redis_everything_again_loses_nothing(
    point: str, scene: Scene
) -> None:
    scene.node.start()
    scene.node.up()
    scene.node.order("feed")
    until(lambda: len(scene.accounts.snapshot()) > 50, PATIENCE)
    scene.node.kill()
    scene.redis.flush()
    scene.die_at(point)
    scene.account(forgot=True)
