"""Telling agents what to do from the page: asking first where it cannot be taken back, and saying what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nicegui.element import Element

from console import actions
from console.pages.agents_rows import told
from console.pages.dialogs import confirm
from console.pages.forms import Ask, Field, ask, number, words
from console.pages.screen import Screen, exists
from engine.fleet.base import AgentView, Sent

#: commands that are given at once -> what is said when they were
COMMANDS = {
    "pause": "{} is paused: running jobs end, no more are started",
    "resume": "{} goes on",
    "drain": "{} finishes what it runs and takes nothing more",
}
STOP = "It ends gracefully: what it cannot finish in a few seconds goes back to its queues. Only its host can start it again."
FORGET = "It leaves the list and the message box. If it comes back, it is listed again."
TAKE_BACK = (
    "Only for an agent that will not come back. What it has begun runs again elsewhere; if it comes back with results "
    "after all, they are kept as conflicts for you to decide."
)
PRIORITIES = (("3", "High"), ("5", "Normal"), ("8", "Low"))
KEPT = (("3600", "1 hour"), ("86400", "1 day"), ("604800", "7 days"))


class Acts:
    """What a person does with agents."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._asking: dict[str, Callable[[AgentView, Element], Any]] = {
            "scale": lambda agent, _: self._scale(agent),
            "notify": lambda agent, _: self._notify(agent),
            "ping": lambda agent, _: self._ping(agent),
            "stop": self._stop,
            "forget": self._forget,
            "take_back": self._take_back,
        }

    async def do(self, name: str, agent: AgentView, place: Element) -> bool:
        """Do it, asking in ``place`` where need be; whether the agent is gone from the list thereby."""
        if name in COMMANDS:
            await self._command(agent, name, COMMANDS[name].format(agent.name))
            return False
        begun = self._asking[name](agent, place) if name in self._asking else None
        return bool(await begun) if begun is not None else False

    async def _command(self, agent: AgentView, command: str, done: str) -> None:
        sent = await self._screen.act(
            lambda actor: actions.command_agent(self._screen.console, actor, agent.id, command)
        )
        if sent is not None:
            self._screen.toast(told(sent, done))

    async def _ping(self, agent: AgentView) -> None:
        sent = await self._screen.act(
            lambda actor: actions.command_agent(self._screen.console, actor, agent.id, "ping")
        )
        if sent is not None and sent.latency is not None:
            self._screen.toast(f"{agent.name} answered in {sent.latency * 1000:.0f} ms")
        elif sent is not None:
            self._screen.toast(f"{agent.name} did not answer", bad=True)

    async def _stop(self, agent: AgentView, place: Element) -> None:
        if await self._sure(place, f"Stop {agent.name}?", STOP, "Stop"):
            await self._command(agent, "stop", f"{agent.name} is stopping")

    async def _forget(self, agent: AgentView, place: Element) -> bool:
        if not await self._sure(place, f"Forget {agent.name}?", FORGET, "Forget"):
            return False
        done = await self._screen.act(
            lambda actor: (actions.forget_agent(self._screen.console, actor, agent.id), True)[1]
        )
        if done:
            self._screen.toast(f"{agent.name} is off the list")
        return bool(done)

    async def _take_back(self, agent: AgentView, place: Element) -> None:
        if await self._sure(place, f"Give the jobs of {agent.name} to others?", TAKE_BACK, "Give to others"):
            count = await self._screen.act(lambda actor: actions.take_back(self._screen.console, actor, agent.id))
            if count is not None:
                self._screen.toast(f"{count:,} job{'' if count == 1 else 's'} given back to the queues")

    async def _sure(self, place: Element, title: str, says: str, yes: str) -> bool:
        if not exists(place):
            return False
        with place:
            return await confirm(title, says, yes, bad=True)

    # -- with words

    def _scale(self, agent: AgentView) -> None:
        def work(actor: actions.Actor, given: Mapping[str, Any]) -> Sent:
            slots = number(given, "concurrency", 0)
            return actions.command_agent(self._screen.console, actor, agent.id, "scale", concurrency=slots)

        says = "How many jobs it runs at the same time from now on, until its next start."
        field = Field("concurrency", "Jobs at the same time", "number", str(agent.concurrency))
        asked = Ask(f"Scale {agent.name}", says, "Scale", [field])
        ask(self._screen, asked, work, lambda sent: self._screen.toast(told(sent, f"{agent.name} is being scaled")))

    def _notify(self, agent: AgentView) -> None:
        def work(actor: actions.Actor, given: Mapping[str, Any]) -> Sent:
            return actions.notify_agent(self._screen.console, actor, agent.id, words(given, "text"), **_how(given))

        asked = Ask(f"Message to {agent.name}", "Tasks and plugins there that listen hear it.", "Send", _message())
        ask(self._screen, asked, work, lambda sent: self._screen.toast(told(sent, "the message was delivered")))

    def broadcast(self, capabilities: Sequence[str]) -> None:
        """Send a message to all agents, or to those with a capability."""

        def work(actor: actions.Actor, given: Mapping[str, Any]) -> Sent:
            chosen = words(given, "capability")
            text = words(given, "text")
            return actions.broadcast(self._screen.console, actor, text, capability=chosen, **_how(given))

        options = [("", "All agents of this fleet"), *((name, f"Those with {name}") for name in capabilities)]
        fields = [Field("capability", "To", "choice", options=options), *_message()]
        asked = Ask("Message to all agents", "Tasks and plugins that listen hear it.", "Send", fields)
        ask(self._screen, asked, work, lambda sent: self._screen.toast(told(sent, f"delivered to {sent.delivered:,}")))


def _message() -> list[Field]:
    return [
        Field("text", "Message", "lines", most=2000),
        Field("priority", "Priority", "choice", "5", options=PRIORITIES),
        Field("ttl", "Kept for those that are away", "choice", "3600", options=KEPT),
    ]


def _how(given: Mapping[str, Any]) -> dict[str, Any]:
    """Priority and time to live, as the choices have them."""
    priorities, kept = [value for value, _ in PRIORITIES], [value for value, _ in KEPT]
    priority, ttl = words(given, "priority"), words(given, "ttl")
    return {
        "priority": int(priority) if priority in priorities else 5,
        "ttl": float(ttl) if ttl in kept else 3600.0,
    }
