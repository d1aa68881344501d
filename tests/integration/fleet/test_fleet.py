"""Agents over a real Redis: who is there, what they are told, what they do."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from engine import Engine
from engine.fleet.base import LATE_SECONDS, LOST_SECONDS, AgentView, Notice
from engine.fleet.post import BOX_MOST
from engine.fleet.scripts import script, tag_of
from engine.kernel.errors import Conflict, NotFound, Unreachable, ValidationError
from engine.kernel.job import JobState, JobView
from engine.storage.redis.client import Client
from engine.storage.redis.connect import target_of
from tests.integration.engine.test_outcomes import PATIENCE
from tests.integration.fleet.conftest import Join
from tests.support.redis_hosts import RedisHost
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("unhurried")


def seen(engine: Engine, agent: str) -> AgentView | None:
    return next((view for view in engine.fleet.agents() if view.id == agent), None)


def presence(engine: Engine, agent: str) -> str:
    view = seen(engine, agent)
    return view.presence if view is not None else ""


def both(join: Join) -> tuple[Engine, Engine]:
    one, other = join(), join()
    until(lambda: len(one.fleet.agents()) == 2, what="both are listed")
    return one, other


def age(redis_server: RedisHost, fleet: str, agent: str, seconds: float) -> None:
    """Make an agent's last word older than it is."""
    raw = redis_server.cli("HGET", f"{tag_of(fleet)}agents", agent)
    seen_at, rest = raw.split(b" ", 1)
    redis_server.cli("HSET", f"{tag_of(fleet)}agents", agent, b"%d %s" % (int(seen_at) - int(seconds * 1e6), rest))


def hears(engine: Engine) -> list[Notice]:
    heard: list[Notice] = []
    engine.fleet.subscribe(heard.append)
    return heard


# --- who is there ---


def test_agents_see_each_other_with_all_that_they_tell(join: Join, fleet: str) -> None:
    one, other = join(agent_name="press"), join(agent_name="oven", capabilities=("gpu",), workers=3)
    until(lambda: len(one.fleet.agents()) == 2, what="both are listed")
    view = until(lambda: (found := seen(one, other.agent)) and found.presence == "online" and found, what="it is there")
    assert (view.name, view.fleet, view.capabilities, view.concurrency) == ("oven", fleet, ("gpu",), 3)
    assert (view.presence, view.paused, view.busy) == ("online", False, 0)
    assert view.memory > 1_000_000 and view.version and view.pid
    assert [view.name for view in one.fleet.agents()] == ["oven", "press"]


def test_an_agent_tells_what_it_runs_and_what_it_has_done(join: Join) -> None:
    one, other = both(join)
    go = threading.Event()

    @other.queue("q").task(name="t.stay")
    def stay() -> None:
        go.wait(PATIENCE)

    job = stay.enqueue(tenant="acme")
    view = until(lambda: (found := seen(one, other.agent)) and found.busy and found, what="it is told")
    assert [(current.id, current.task, current.tenant) for current in view.current] == [(job.id, "t.stay", "acme")]
    go.set()
    view = until(
        lambda: (found := seen(one, other.agent)) and found.done and not found.busy and found, what="its end is told"
    )
    assert (view.done, view.failed, view.busy) == (1, 0, 0)


def test_an_agent_that_leaves_is_stopped_and_one_that_falls_silent_is_late_then_lost(
    join: Join, fleet: str, redis_server: RedisHost
) -> None:
    one, other = both(join)
    other.stop(timeout=0.5)
    assert presence(one, other.agent) == "stopped"
    gone = join(start=False)

    def beats() -> bool:
        gone.fleet.run_once()  # type: ignore[attr-defined]
        return presence(one, gone.agent) == "online"

    until(beats, what="it is there")
    age(redis_server, fleet, gone.agent, LATE_SECONDS + 0.1)
    assert presence(one, gone.agent) == "late"
    age(redis_server, fleet, gone.agent, LOST_SECONDS)
    assert presence(one, gone.agent) == "lost"
    age(redis_server, fleet, gone.agent, 86_400)
    assert presence(one, gone.agent) == ""


def test_only_who_is_away_can_be_forgotten(join: Join) -> None:
    one, other = both(join)
    with pytest.raises(Conflict, match="stop it first"):
        one.fleet.forget(other.agent)
    other.stop(timeout=0.5)
    assert one.fleet.forget(other.agent)
    assert not one.fleet.forget(other.agent)
    assert seen(one, other.agent) is None


def test_fleets_do_not_see_each_other(join: Join, fleet: str) -> None:
    here, there = join(), join(name=f"{fleet}x")
    heard = hears(there)
    until(lambda: seen(here, here.agent), what="it is listed")
    until(lambda: seen(there, there.agent), what="it is listed")
    assert seen(here, there.agent) is None
    assert here.fleet.broadcast("hello over there", fleet=f"{fleet}x").delivered == 1
    until(lambda: heard, what="it was heard")


def test_a_queue_that_another_agent_made_is_served(join: Join, fleet: str, redis_server: RedisHost) -> None:
    one = join()
    assert "made-elsewhere" not in one.serves()
    redis_server.cli("SADD", f"{tag_of(fleet)}queues", "made-elsewhere")
    until(lambda: "made-elsewhere" in one.serves(), what="it is served")


# --- what they are told ---


def test_commands_are_obeyed(join: Join) -> None:
    one, other = both(join)
    assert one.fleet.command(other.agent, "pause", by="ada").delivered == 1
    until(lambda: other.paused, what="it pauses")
    until(lambda: (view := seen(one, other.agent)) and view.paused and view.presence == "online", what="it says so")
    one.fleet.command(other.agent, "drain")
    until(lambda: presence(one, other.agent) == "draining", what="it drains")
    one.fleet.command(other.agent, "resume")
    until(lambda: not other.paused and presence(one, other.agent) == "online", what="it goes on")
    one.fleet.command(other.agent, "scale", concurrency=5)
    until(lambda: other.load().slots == 5, what="it has more workers")
    one.fleet.command(other.agent, "stop")
    until(lambda: presence(one, other.agent) == "stopped", what="it stops")


def test_a_drained_agent_finishes_what_it_runs_and_takes_nothing_more(join: Join) -> None:
    one, other = both(join)
    go, ran = threading.Event(), []

    @other.queue("q").task(name="t.stay")
    def stay(number: int) -> None:
        ran.append(number)
        go.wait(PATIENCE)

    first = [stay.enqueue(number=number) for number in range(2)]
    until(lambda: len(ran) == 2, what="both run")
    one.fleet.command(other.agent, "drain")
    until(lambda: other.paused, what="it drains")
    last = stay.enqueue(number=2)
    go.set()
    for job in first:
        job.result(timeout=PATIENCE)
    assert len(ran) == 2 and last.state == "available"


def test_a_ping_is_answered_with_how_long_it_took(join: Join) -> None:
    one, other = both(join)
    sent = one.fleet.command(other.agent, "ping")
    assert sent.delivered == 1 and sent.latency is not None and sent.latency > 0


@pytest.mark.parametrize(
    ("command", "args"), [("dance", {}), ("scale", {}), ("scale", {"concurrency": 0}), ("pause", {"why": "no"})]
)
def test_what_cannot_be_obeyed_is_refused_where_it_is_said(join: Join, command: str, args: dict[str, object]) -> None:
    one = join()
    with pytest.raises(ValidationError):
        one.fleet.command(one.agent, command, **args)


def test_nobody_can_be_told_who_is_not_there(join: Join) -> None:
    one = join()
    with pytest.raises(NotFound, match="no agent nobody"):
        one.fleet.command("nobody", "pause")
    with pytest.raises(NotFound):
        one.fleet.notify("nobody", "hello")


def test_a_notice_reaches_one_and_a_broadcast_all_or_those_with_a_capability(join: Join) -> None:
    plain, able = join(), join(capabilities=("gpu",))
    until(lambda: len(plain.fleet.agents()) == 2, what="both are listed")
    to_plain, to_able = hears(plain), hears(able)
    assert plain.fleet.notify(able.agent, "to one", by="ada", shift=2).delivered == 1
    until(lambda: to_able, what="it was heard")
    assert (to_able[0].text, to_able[0].by, to_able[0].data, to_plain) == ("to one", "ada", {"shift": 2}, [])
    assert able.fleet.broadcast("to all").delivered == 2
    until(lambda: to_plain and len(to_able) == 2, what="both heard")
    assert able.fleet.broadcast("to the able", capability="gpu").delivered == 1
    until(lambda: len(to_able) == 3, what="it was heard")
    assert [notice.text for notice in to_plain] == ["to all"]
    assert (plain.fleet.sent, able.fleet.sent) == (1, 3)


def test_a_listener_that_fails_does_not_keep_others_from_hearing(join: Join) -> None:
    one = join()

    def fail(notice: Notice) -> None:
        raise ValueError(notice.text)

    one.fleet.subscribe(fail)
    heard = hears(one)
    until(lambda: seen(one, one.agent), what="it is listed")
    one.fleet.notify(one.agent, "hello")
    until(lambda: heard, what="it was heard")


# --- while they are away ---


def test_what_is_said_to_an_agent_that_is_away_waits_and_is_heard_once(join: Join) -> None:
    one, other = both(join)
    other.stop(timeout=0.5)
    assert one.fleet.notify(other.agent, "less important", priority=8).buffered == 1
    assert one.fleet.notify(other.agent, "important", priority=1).buffered == 1
    again = join(start=False, id=other.agent)
    heard = hears(again)
    again.start()
    until(lambda: len(heard) == 2, what="both were heard")
    again.fleet.run_once()  # type: ignore[attr-defined]
    assert [notice.text for notice in heard] == ["important", "less important"]


def test_a_full_box_drops_the_least_important_first_and_refuses_what_is_less(join: Join) -> None:
    one, other = both(join)
    other.stop(timeout=0.5)
    for number in range(BOX_MOST):
        assert one.fleet.notify(other.agent, f"{number}", priority=5).buffered == 1
    assert one.fleet.notify(other.agent, "less", priority=6).refused == 1
    assert one.fleet.notify(other.agent, "more", priority=2).buffered == 1
    assert one.fleet.notify(other.agent, "equal", priority=5).buffered == 1
    again = join(start=False, id=other.agent)
    heard = hears(again)
    again.start()
    until(lambda: len(heard) == BOX_MOST, what="all were heard")
    texts = [notice.text for notice in heard]
    assert texts[0] == "more" and texts[-1] == "equal" and "less" not in texts
    assert "0" not in texts and "1" not in texts and "2" in texts


def test_what_is_too_old_is_not_heard_any_more(join: Join, fleet: str, redis_server: RedisHost) -> None:
    one, other = both(join)
    other.stop(timeout=0.5)
    said_at = one.clock.now()
    one.fleet.notify(other.agent, "soon stale", ttl=0.05)
    one.fleet.notify(other.agent, "lasting", ttl=60)
    box = f"{tag_of(fleet)}box:{other.agent}"
    assert 0 < redis_server.cli("PTTL", box) <= 60_000
    until(lambda: one.clock.now() > said_at + 0.1, what="it is stale")
    again = join(start=False, id=other.agent)
    heard = hears(again)
    again.start()
    until(lambda: heard, what="it was heard")
    assert [notice.text for notice in heard] == ["lasting"]


def test_two_processes_of_one_id_hear_a_message_once_between_them(join: Join) -> None:
    one = join(start=False)
    two = join(start=False, id=one.agent)
    heard = [*[hears(one)], hears(two)]
    one.fleet.run_once()  # type: ignore[attr-defined]
    one.fleet.notify(one.agent, "hello")
    two.fleet.run_once()  # type: ignore[attr-defined]
    one.fleet.run_once()  # type: ignore[attr-defined]
    assert [len(notices) for notices in heard] == [0, 1]


# --- without Redis ---


def test_an_agent_says_nothing_while_it_has_to_be_silent(join: Join) -> None:
    one, other = both(join)
    other.store.silent = True  # type: ignore[attr-defined]
    before = until(
        lambda: (view := seen(one, other.agent)) and view.presence in ("late", "lost") and view, what="it is missed"
    )
    assert [view.id for view in other.fleet.agents() if view.presence == "online"] == [other.agent]
    for speak in (lambda: other.fleet.command(one.agent, "pause"), lambda: other.fleet.broadcast("hello")):
        with pytest.raises(Unreachable, match="airgap release"):
            speak()
    assert other.fleet.command(other.agent, "pause").delivered == 1 and other.paused, "it can be told itself"
    other.store.silent = False  # type: ignore[attr-defined]
    until(lambda: (view := seen(one, other.agent)) and view.seen_at > before.seen_at, what="it is back")


def test_an_agent_that_redis_forgot_is_listed_again_with_its_next_beat(
    join: Join, fleet: str, redis_server: RedisHost
) -> None:
    one = join()
    until(lambda: seen(one, one.agent), what="it is listed")
    redis_server.cli("DEL", f"{tag_of(fleet)}agents")
    until(lambda: seen(one, one.agent), what="it is listed again")


# --- what it costs ---


def test_a_heartbeat_is_one_cheap_call(join: Join, fleet: str, url: str, redis_server: RedisHost) -> None:
    one = join(start=False)
    redis_server.cli("CONFIG", "RESETSTAT")
    with closing(Client(target_of(url))) as client:
        for number in range(100):
            client.call(script("beat"), tag_of(fleet), f"agent-{number}", "life", "up", b"x" * 600)
        listed = client.call(script("list"), tag_of(fleet))
    stats = redis_server.cli("INFO", "commandstats").decode()
    line = next(line for line in stats.splitlines() if line.startswith("cmdstat_evalsha"))
    calls = int(line.split("calls=")[1].split(",")[0])
    assert len(listed[1]) == 200 and calls < 150
    assert one.fleet.agents() == []


# --- why a job waits ---


def test_why_a_job_waits_is_said_of_all_agents_that_could_run_it(join: Join) -> None:
    plain, able = join(), join(capabilities=("gpu",), workers=1)
    until(lambda: len(plain.fleet.agents()) == 2, what="both are listed")
    plain.queue("q")
    able.queue("q")
    until(lambda: all("q" in agent.queues for agent in plain.fleet.agents()), what="both serve the queue")

    def why(needs: str = "") -> str:
        job = JobView("id", "q", "t", JobState.AVAILABLE, 5, "", 0.0, 0.0, 0.0, 1, 0.0, 0, 0, b"", needs=needs)
        found = plain.why_waiting(job)
        return found.reason if found is not None else ""

    until(lambda: (why("gpu"), why("tpu"), why()) == ("next", "capability", "next"), what="able alone fits")
    plain.fleet.command(able.agent, "pause")
    until(lambda: (view := seen(plain, able.agent)) and view.paused, what="it pauses")
    until(lambda: (why("gpu"), why()) == ("agents-paused", "next"), what="it is told")
