"""The small parts of a fleet: who an agent is, what it tells, what it is told."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings
from engine.fleet import identity
from engine.fleet.base import LATE_SECONDS, LOST_SECONDS, AgentView
from engine.fleet.drafts import notice_of
from engine.fleet.hearing import Hearing, checked
from engine.fleet.roster import SECOND, Record, records, views
from engine.kernel import events as ev
from engine.kernel.clock import FakeClock
from engine.kernel.errors import Conflict, NotFound, ValidationError
from engine.workers.tally import Tally
from tests.support.waiting import until


@pytest.fixture
def view() -> AgentView:
    return Engine().fleet.agents()[0]


# --- who an agent is ---


def test_an_agent_keeps_its_id_with_its_home(tmp_path: Path) -> None:
    first = identity.known_id(tmp_path)
    assert first.startswith(f"{identity.host()}-") and identity.known_id(tmp_path) == first
    identity.keep_id(tmp_path, first)
    assert (tmp_path / identity.ID_FILE).stat().st_mode & 0o077 == 0
    assert identity.known_id(tmp_path) == first


@pytest.mark.parametrize("kept", ["elsewhere-abcdef", "", "no id at all", "\xff"])
def test_a_home_that_came_from_another_host_gets_another_id(tmp_path: Path, kept: str) -> None:
    (tmp_path / identity.ID_FILE).write_text(kept, "latin-1")
    assert identity.known_id(tmp_path).startswith(f"{identity.host()}-")
    assert identity.known_id(tmp_path) != kept


def test_two_starts_on_one_home_are_one_agent_and_two_homes_are_two(tmp_path: Path) -> None:
    ids = []
    for home in ("a", "a", "b"):
        engine = Engine(Settings(home=tmp_path / home, durability="process"))
        ids.append(engine.agent)
        engine.stop()
    assert ids[0] == ids[1] != ids[2]


# --- what it tells ---


def test_presence_follows_from_the_last_word_and_its_age(view: AgentView) -> None:
    def presence(age: float, state: str = "up", said: str = "online") -> str:
        record = Record(0, state, msgspec.structs.replace(view, presence=said))
        return views([record], int(age * SECOND))[0].presence

    assert [presence(age) for age in (0, LATE_SECONDS, LATE_SECONDS + 0.1, LOST_SECONDS + 0.1)] == [
        "online",
        "online",
        "late",
        "lost",
    ]
    assert presence(0, said="draining") == "draining"
    assert presence(5, said="draining") == "late"
    assert presence(0, state="gone") == presence(60, state="gone") == "stopped"


def test_an_agent_that_writes_in_another_form_does_not_hide_the_others(view: AgentView) -> None:
    good = b"5 life up " + msgspec.msgpack.encode(view)
    found = dict(records([b"odd", b"5 life up \x91\x01", b"good", good]))
    assert list(found) == ["good"] and found["good"].seen == 5


def test_attempts_are_counted_when_they_completed_or_failed() -> None:
    tally = Tally()
    assert tally.mean_seconds == 0.0
    kinds = (ev.JobCompleted, ev.JobDied, ev.JobRetryScheduled, ev.JobSnoozed, ev.JobReleased, ev.JobCancelled)
    tally.take([kind(0.0, "j", 1, 1, duration=2.0) for kind in kinds])
    assert (tally.done, tally.failed, tally.mean_seconds) == (3, 2, 2.0)


# --- what it is told ---


class Hands:
    """Remembers what an agent was told to do."""

    def __init__(self) -> None:
        self.did: list[object] = []

    def halt(self) -> None:
        self.did.append("halt")

    def go_on(self) -> None:
        self.did.append("go on")

    def scale(self, workers: int) -> None:
        self.did.append(workers)
        if workers > 100:
            raise Conflict("too many")

    def leave(self) -> None:
        self.did.append("leave")


def test_commands_become_deeds_and_what_cannot_be_done_harms_nobody() -> None:
    hands = Hands()
    hearing = Hearing(hands)
    for command, args in (("pause", {}), ("drain", {}), ("resume", {}), ("scale", {"concurrency": 3}), ("stop", {})):
        hearing.obey(command, args, "ada")
    assert hands.did == ["halt", "halt", "go on", 3, "leave"]
    for command, args in (("scale", {"concurrency": 101}), ("scale", {}), ("dance", {}), ("ping", {})):
        hearing.obey(command, args, "")
    assert hands.did[5:] == [101]


def test_draining_ends_with_any_other_word_about_work() -> None:
    hearing = Hearing(Hands())
    hearing.obey("drain", {}, "")
    assert hearing.draining
    hearing.obey("pause", {}, "")
    assert not hearing.draining


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("text", {"text": " "}),
        ("text", {"text": "x" * 2_001}),
        ("text", {"text": None}),
        ("priority", {"priority": 0}),
        ("priority", {"priority": True}),
        ("ttl", {"ttl": -1}),
        ("ttl", {"ttl": float("nan")}),
        ("ttl", {"ttl": 8 * 86_400}),
        ("data", {"data": {"x": object()}}),
        ("data", {"data": {"x": "y" * 20_000}}),
    ],
)
def test_a_notice_that_could_not_be_delivered_is_refused(field: str, given: dict[str, object]) -> None:
    fields: dict[str, object] = {"text": "hello", "priority": 5, "ttl": 60, "data": {}} | given
    with pytest.raises(ValidationError) as caught:
        notice_of(FakeClock(), fields["text"], "", fields["priority"], fields["ttl"], fields["data"], "*")  # type: ignore[arg-type]
    assert caught.value.field == field


def test_commands_are_checked_before_they_are_sent() -> None:
    assert checked("pause", {}) == {}
    assert checked("scale", {"concurrency": 4}) == {"concurrency": 4}
    for command, args in (
        ("scale", {"concurrency": "4"}),
        ("scale", {"concurrency": 1, "more": 2}),
        ("stop", {"x": 1}),
    ):
        with pytest.raises(ValidationError):
            checked(command, args)


# --- a fleet of one ---


def test_an_engine_alone_is_a_fleet_that_hears_itself() -> None:
    engine = Engine()
    fleet, heard = engine.fleet, []
    leave = fleet.subscribe(heard.append)
    assert fleet.notify(engine.agent, "one").delivered == 1
    assert fleet.broadcast("all", fleet="main").delivered == 1
    assert fleet.broadcast("elsewhere", fleet="other").delivered == 0
    leave()
    fleet.notify(engine.agent, "unheard")
    assert [notice.text for notice in heard] == ["one", "all"] and fleet.sent == 3
    with pytest.raises(NotFound):
        fleet.notify("nobody", "hello")
    with pytest.raises(Conflict):
        fleet.forget(engine.agent)


def test_an_engine_that_is_told_to_stop_stops_or_asks_its_launcher_to() -> None:
    engine, asked = Engine(), threading.Event()
    engine.on_leave = asked.set
    engine.fleet.command(engine.agent, "stop")
    assert asked.is_set()
    engine.on_leave = None
    engine.start()
    engine.fleet.command(engine.agent, "stop")
    until(lambda: engine._stopped and engine._ended.is_set(), what="it stopped")
