"""A fleet over Redis: this agent says once a second that it is there, hears what is said to it, and sees the others.

Everything that is said to an agent lies in a box in Redis and is taken out with the heartbeat; a knock over publish and
subscribe only makes the next heartbeat come at once.  So there is one way for a message, whether the agent is there or
away.  Time is that of Redis.  Without Redis this agent goes on and tries again at each beat; the list of agents is then the
last one known, growing old.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.fleet.base import BEAT_SECONDS, LOST_SECONDS, AgentView, Notice, Sent
from engine.fleet.drafts import notice_of
from engine.fleet.hearing import Hearing, checked
from engine.fleet.post import BOX_MOST, COMMAND_TTL, Box, Command, Letter, Message, written
from engine.fleet.report import Member, Reporter, silent
from engine.fleet.roster import SECOND, Roster
from engine.fleet.scripts import script, tag_of
from engine.kernel.bell import Bell
from engine.kernel.errors import Conflict, NotFound, Unreachable
from engine.kernel.job import new_id

if TYPE_CHECKING:
    from engine.storage.redis.client import Client

log = logging.getLogger("holdfast.fleet")

#: seconds that a heartbeat may take, and the last one when leaving
BEAT_TIMEOUT, GOODBYE_TIMEOUT = 1.0, 0.3
#: seconds in which ``stop`` returns
STOP_SECONDS = 0.4
#: seconds after which the ear looks whether it is to stop
EAR_SECONDS = 0.25
#: seconds that an answer to ``ping`` is waited for, and kept
PING_SECONDS, PONG_TTL = 3.0, 10
#: microseconds of silence after which an agent counts as away
AWAY = int(LOST_SECONDS * SECOND)


class RemoteFleet:
    """Implements ``engine.fleet.base.Fleet``."""

    def __init__(self, member: Member, client: Client, name: str) -> None:
        self.name = name
        self.sent = 0
        self._member = member
        self._client = client
        self._tag = tag_of(name)
        self._hearing = Hearing(member)
        self._reporter = Reporter(member, self._hearing)
        self._roster = Roster(client, self._tag, member.clock)
        self._box = Box(self._take)
        #: tells this start of the agent from others of the same id
        self._life = secrets.token_hex(4)
        self._queues = 0
        self._beats = 0
        self._away = False
        self._bell = Bell()
        self._stopping = threading.Event()
        self._door = client.subscribe(f"{self._tag}door:{member.agent}")
        self._threads = [
            threading.Thread(target=self._beat_on, name="fleet-beat", daemon=True),
            threading.Thread(target=self._listen, name="fleet-ear", daemon=True),
        ]

    # --- being there ---

    def start(self) -> None:
        """See ``Fleet.start``."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """See ``Fleet.stop``; the others are told if Redis can be reached."""
        self._stopping.set()
        self._bell.ring()
        deadline = self._member.clock.monotonic() + STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._member.clock.monotonic()))

    def serves_console(self) -> None:
        """See ``Fleet.serves_console``."""
        self._reporter.console = True

    def _beat_on(self) -> None:
        while not self._stopping.is_set():
            try:
                delay = self.run_once()
            except Exception:
                log.exception("a heartbeat failed; the next one follows")
                delay = BEAT_SECONDS
            self._bell.sleep(delay)
        self._leave()

    def run_once(self) -> float:
        """One heartbeat; returns seconds until the next."""
        if not silent(self._member.store):
            try:
                self._beat()
                self._reached()
            except Unreachable as error:
                self._missed(error)
        return BEAT_SECONDS * random.uniform(0.9, 1.0)

    def _beat(self) -> None:
        now, queues, other, entries = self._say("up", BEAT_TIMEOUT)
        if other and self._beats:
            log.warning("another process is agent %s too; give its home a file agent of its own", self._member.agent)
        self._beats += 1
        self._meet(queues)
        for message in self._box.look(entries, int(now)):
            self._hear(message)
            self._bell.ring()  # the others are to see what came of it

    def _say(self, state: str, timeout: float) -> Any:
        blob = msgspec.msgpack.encode(self._reporter.view())
        return self._client.call(
            script("beat"), self._tag, self._member.agent, self._life, state, blob, timeout=timeout
        )

    def _reached(self) -> None:
        if self._away:
            log.info("the fleet is back")
        self._away = False

    def _missed(self, error: Unreachable) -> None:
        if not self._away:
            log.warning("the fleet cannot be reached, this agent goes on: %s", error)
        self._away = True

    def _leave(self) -> None:
        if self._away or silent(self._member.store):
            return
        try:
            self._say("gone", GOODBYE_TIMEOUT)
        except Unreachable:
            log.info("left without a word: the fleet cannot be reached")

    def _meet(self, queues: int) -> None:
        """Take note of queues that others made."""
        if queues != self._queues:
            for name in self._client.command("SMEMBERS", f"{self._tag}queues"):
                self._member.meet(name.decode())
            self._queues = queues

    # --- hearing ---

    def _listen(self) -> None:
        """A knock at the door makes the next heartbeat come at once."""
        while not self._stopping.is_set():
            try:
                if silent(self._member.store):
                    self._stopping.wait(BEAT_SECONDS)
                elif self._door.listen(EAR_SECONDS) is not None:
                    self._bell.ring()
            except Unreachable:
                self._stopping.wait(BEAT_SECONDS)
        self._door.end()

    def _take(self, entries: Sequence[bytes]) -> Sequence[int]:
        answers: list[int] = self._client.call(script("take"), self._tag, self._member.agent, *entries)
        return answers

    def _hear(self, message: Message) -> None:
        if isinstance(message, Letter):
            self._hearing.tell(message.notice)
        elif message.do == "ping":
            pong = f"{self._tag}pong:{message.id}"
            self._client.commands([("RPUSH", pong, "1"), ("EXPIRE", pong, PONG_TTL)], key=pong)
        else:
            self._hearing.obey(message.do, message.args, message.by)

    def subscribe(self, hear: Callable[[Notice], None]) -> Callable[[], None]:
        """See ``Fleet.subscribe``."""
        return self._hearing.subscribe(hear)

    # --- speaking ---

    def agents(self) -> list[AgentView]:
        """See ``Fleet.agents``."""
        if self._away or silent(self._member.store):  # whoever looks need not wait for what the last beat waited for
            return self._roster.remembered(self._reporter.view())
        try:
            return self._roster.asked()
        except Unreachable:
            return self._roster.remembered(self._reporter.view())

    def command(self, agent: str, command: str, by: str = "", **args: Any) -> Sent:
        """See ``Fleet.command``."""
        given, now = checked(command, args), self._member.clock.now()
        if agent == self._member.agent:  # also while Redis is away
            self._hearing.obey(command, given, by)
            self._bell.ring()
            return Sent(delivered=1, latency=0.0 if command == "ping" else None)
        message = Command(new_id(), now, command, given, by, now + COMMAND_TTL)
        asked_at = self._member.clock.monotonic()
        sent = self._send_one(agent, message, COMMAND_TTL)
        if command != "ping" or not sent.delivered:
            return sent
        pong = f"{self._tag}pong:{message.id}"
        answer = self._client.blocking(PING_SECONDS, "BLPOP", pong, PING_SECONDS, key=pong)
        waited = self._member.clock.monotonic() - asked_at
        return msgspec.structs.replace(sent, latency=waited if answer else None)

    def notify(
        self, agent: str, text: str, *, by: str = "", priority: int = 5, ttl: float = 3600.0, **data: Any
    ) -> Sent:
        """See ``Fleet.notify``."""
        letter = Letter(notice_of(self._member.clock, text, by, priority, ttl, data, agent))
        sent = self._send_one(agent, letter, ttl)
        self.sent += sent.delivered + sent.buffered
        return sent

    def broadcast(
        self,
        text: str,
        *,
        fleet: str = "",
        capability: str = "",
        by: str = "",
        priority: int = 5,
        ttl: float = 3600.0,
        **data: Any,
    ) -> Sent:
        """See ``Fleet.broadcast``."""
        letter = Letter(notice_of(self._member.clock, text, by, priority, ttl, data, "*"))
        self._may_speak()
        there = fleet or self.name
        roster = self._roster if there == self.name else Roster(self._client, tag_of(there), self._member.clock)
        chosen = [view.id for view in roster.asked() if not capability or capability in view.capabilities]
        sent = _counted(self._send(tag_of(there), chosen, letter, ttl))
        self.sent += sent.delivered + sent.buffered
        return sent

    def _send_one(self, agent: str, message: Message, ttl: float) -> Sent:
        [answer] = self._send(self._tag, [agent], message, ttl)
        if answer < 0:
            raise NotFound(f"there is no agent {agent:.80} in the fleet {self.name}")
        return _counted([answer])

    def _send(self, tag: str, agents: Sequence[str], message: Message, ttl: float) -> Sequence[int]:
        self._may_speak()
        if not agents:
            return []
        milliseconds = max(1, int(ttl * 1000))
        answers: list[int] = self._client.call(
            script("send"), tag, BOX_MOST, milliseconds, message.priority, AWAY, written(message), *agents
        )
        return answers

    def _may_speak(self) -> None:
        if silent(self._member.store):
            raise Unreachable("this node is kept apart from Redis and says nothing; release it first: airgap release")

    def forget(self, agent: str) -> bool:
        """See ``Fleet.forget``."""
        self._may_speak()
        answer = self._roster.forget(agent, AWAY)
        if answer < 0:
            raise Conflict(f"agent {agent:.80} is there; stop it first")
        return answer > 0


def _counted(answers: Sequence[int]) -> Sent:
    """What the script says of each agent, in numbers."""
    return Sent(answers.count(2), answers.count(1), answers.count(0))
