"""The box of an agent: nothing is heard twice, nothing is lost while answers get lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fleet.base import Notice
from engine.fleet.post import Box, Command, Letter, Message, read, written
from engine.kernel.errors import Unreachable

NOW, LATER = 1_000, 2_000


def letter(id_: str, priority: int = 5) -> Letter:
    return Letter(Notice(id_, 0.0, "hello", priority))


def entry(message: Message, expires: int = LATER) -> bytes:
    return b"%d %s" % (expires, written(message))


class Redis:
    """The other side of a box: what lies there, and whether the next call is carried out, and answered."""

    def __init__(self, *entries: bytes) -> None:
        self.there = set(entries)
        self.answers = True
        self.works = True

    def take(self, entries: Sequence[bytes]) -> list[int]:
        found = [int(one in self.there) for one in entries]
        if self.works:
            self.there -= set(entries)
        if not (self.answers and self.works):
            raise Unreachable("no answer")
        return found


def test_messages_are_heard_in_the_order_of_importance_then_of_time() -> None:
    redis = Redis(
        *(entry(message) for message in (letter("b"), letter("c", 1), letter("a"), Command("z", 0.0, "stop")))
    )
    heard = Box(redis.take).look(redis.there, NOW)
    assert [message.id for message in heard] == ["z", "c", "a", "b"]


def test_what_is_too_old_or_written_by_a_newer_version_is_taken_and_not_heard() -> None:
    redis = Redis(entry(letter("old"), expires=NOW), b"%d \x93\x01\x02\x03" % LATER, entry(letter("good")))
    assert [message.id for message in Box(redis.take).look(redis.there, NOW)] == ["good"]
    assert not redis.there
    assert read(b"1 rubbish") is None


def test_what_somebody_else_took_first_is_not_heard() -> None:
    redis = Redis()
    assert Box(redis.take).look([entry(letter("a"))], NOW) == []


@pytest.mark.parametrize("works", [True, False])
def test_a_lost_answer_loses_no_message_and_doubles_none(works: bool) -> None:
    redis = Redis(entry(letter("a")))
    box = Box(redis.take)
    redis.answers, redis.works = False, works
    with pytest.raises(Unreachable):
        box.look(set(redis.there), NOW)
    redis.answers = redis.works = True
    assert [message.id for message in box.look(set(redis.there), NOW)] == ["a"]
    assert box.look(set(redis.there), NOW) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=30))
def test_each_message_is_heard_exactly_once_whatever_gets_lost(steps: list[tuple[int, bool, bool]]) -> None:
    redis, sent, heard = Redis(), [], []
    box = Box(redis.take)
    for fresh, redis.works, redis.answers in [*steps, (0, True, True), (0, True, True)]:
        for _ in range(fresh):
            sent.append(f"{len(sent):03}")
            redis.there.add(entry(letter(sent[-1])))
        try:
            heard += [message.id for message in box.look(set(redis.there), NOW)]
        except Unreachable:
            continue
    assert sorted(heard) == sent
