"""One connection: commands go out in one write, answers come back in order.

A wire that broke is not used again, and no command of it is sent twice: whether it was carried out is not known.  ``cut``
may be called from any thread and ends a call under way at once.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis.exceptions import RedisError, ResponseError

from engine.kernel.errors import Unreachable
from engine.storage.redis.errors import code_of

Command = tuple[Any, ...]
#: turns an error of the driver into one of ours; the second is the command's name
Translate = Callable[[BaseException, str], Exception]


class Script(NamedTuple):
    """A Lua script; its name is what messages call it."""

    name: str
    source: str
    sha: str

    @classmethod
    def of(cls, name: str, source: str) -> Script:
        """With the hash that Redis knows it by."""
        return cls(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class ScriptCall(NamedTuple):
    """A script with its one key and its arguments."""

    script: Script
    tag: str
    args: Sequence[Any]

    def command(self) -> Command:
        """As Redis takes it."""
        return ("EVALSHA", self.script.sha, 1, self.tag, *self.args)


class Wire:
    """A connection in use by one thread at a time."""

    def __init__(self, connection: Any, generation: int) -> None:
        self._connection = connection
        #: taken by ``cut``, because the driver's own reference vanishes when it disconnects
        self._socket: socket.socket = connection._sock
        #: the pool's count of disconnections when it was made
        self.generation = generation
        #: scripts that the server was given over it
        self._loaded: set[str] = set()
        #: when it was put back
        self.idle_since = 0.0
        self.broken = False
        #: whether a Cluster's node is to take what it does not yet own (ASK)
        self.asking = False

    def stale(self) -> bool:
        """Whether the other side ended it, or sent what nobody asked for."""
        try:
            return self.broken or bool(self._connection.can_read(0))
        except (RedisError, OSError):
            return True

    def exchange(self, commands: Sequence[Command], wait: float | None = None) -> list[Any]:
        """An answer for each command; a refusal is an element, and so is whatever kept an answer from coming.

        ``wait`` is how long the first answer may take; otherwise, and for the others, the connection's own timeout counts.
        """
        if self.asking:
            return self._exchange([part for command in commands for part in (("ASKING",), command)], wait)[1::2]
        return self._exchange(commands, wait)

    def _exchange(self, commands: Sequence[Command], wait: float | None) -> list[Any]:
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            if wait is not None and not self._connection.can_read(wait):
                raise TimeoutError(f"no answer for {wait:g} s")
        except (RedisError, OSError, AttributeError) as error:
            return [self._break(error)] * len(commands)
        return list(self._answers(len(commands)))

    def _answers(self, count: int) -> Iterator[Any]:
        lost: BaseException | None = None
        for _ in range(count):
            if lost is None:
                try:
                    yield self._connection.read_response()
                    continue
                except ResponseError as refusal:
                    # a primary that became a replica: the next connection goes to its successor
                    self.broken = self.broken or code_of(refusal) == "READONLY"
                    yield refusal
                    continue
                except (RedisError, OSError, AttributeError) as error:
                    lost = self._break(error)
            yield lost

    def _break(self, error: BaseException) -> BaseException:
        """Note that it is of no more use; an ``AttributeError`` is the driver's way to meet a cut in the middle."""
        self.broken = True
        return ConnectionError("the connection was dropped") if isinstance(error, AttributeError) else error

    def calls(self, calls: Sequence[ScriptCall], wait: float | None = None) -> list[Any]:
        """Answers of scripts, each loaded first where this server may not know it.

        NOSCRIPT says that nothing was carried out: those calls, and only those, are sent once more after the others.
        """
        answers = self._calls(calls, wait)
        again = [index for index, answer in enumerate(answers) if _unknown(answer)]
        if again:
            self._loaded.clear()
            for index, answer in zip(again, self._calls([calls[index] for index in again], wait), strict=True):
                answers[index] = answer
        return answers

    def _calls(self, calls: Sequence[ScriptCall], wait: float | None) -> list[Any]:
        needed = {call.script.sha: call.script.source for call in calls if call.script.sha not in self._loaded}
        loads = [("SCRIPT", "LOAD", source) for source in needed.values()]
        answers = self.exchange([*loads, *(call.command() for call in calls)], wait)
        refused = next((answer for answer in answers[: len(loads)] if isinstance(answer, BaseException)), None)
        if refused is None:
            self._loaded.update(needed)
        found = answers[len(loads) :]
        return found if refused is None else [refused if _unknown(answer) else answer for answer in found]

    def send(self, *command: Any) -> None:
        """Send without waiting for an answer, as subscriptions do.  Raises what the driver raises."""
        self._connection.send_packed_command(self._connection.pack_commands([command]))

    def hear(self, timeout: float) -> Any:
        """What the server sends next, or ``None`` after ``timeout`` seconds.  Raises what the driver raises."""
        return self._connection.read_response() if self._connection.can_read(timeout) else None

    def cut(self) -> None:
        """End it now; a thread that waits for an answer gets none."""
        self.broken = True
        cut_off(self._socket)

    def end(self) -> None:
        """Close it; by who holds it."""
        self.broken = True
        self._connection.disconnect()


def _unknown(answer: object) -> bool:
    return type(answer).__name__ == "NoScriptError" or (isinstance(answer, Exception) and "NOSCRIPT" in str(answer)[:9])


def cut_off(open_socket: socket.socket | None) -> None:
    """End a socket that another thread may be reading."""
    if open_socket is not None:
        with suppress(OSError):
            # not the socket's own method: that of TLS first forgets what its reader is using
            socket.socket.shutdown(open_socket, socket.SHUT_RDWR)


def dropped(address: str) -> Unreachable:
    """What a call gets after the client was closed."""
    return Unreachable(f"the connections to Redis at {address} were closed")
