"""What an agent does with what it hears: it tells notices to who listens, and obeys commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from engine.fleet.base import COMMANDS, Notice
from engine.kernel.errors import HoldfastError, ValidationError

log = logging.getLogger("holdfast.fleet")

#: most jobs that an agent may be told to run at the same time
SLOTS_MOST = 256


class Hands(Protocol):
    """What an agent can do about itself."""

    def halt(self) -> None:
        """Start no more jobs."""

    def go_on(self) -> None:
        """Start jobs again."""

    def scale(self, workers: int) -> None:
        """Run so many jobs at the same time."""

    def leave(self) -> None:
        """Stop gracefully; returns before it is done."""


class Hearing:
    """Subscribers and obedience of one agent."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._listeners: tuple[Callable[[Notice], None], ...] = ()
        #: told to finish what runs and take nothing more
        self.draining = False

    def subscribe(self, hear: Callable[[Notice], None]) -> Callable[[], None]:
        """Be told of notices; the function returned ends it."""
        self._listeners = (*self._listeners, hear)

        def unsubscribe() -> None:
            self._listeners = tuple(listener for listener in self._listeners if listener is not hear)

        return unsubscribe

    def tell(self, notice: Notice) -> None:
        """Tell a notice; a listener that raises is logged and does not stop the others."""
        log.info("notice from %s: %s", notice.by or "the fleet", notice.text)
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception:
                log.exception("listener %r failed on a notice", listener)

    def obey(self, command: str, args: dict[str, Any], by: str) -> None:
        """Do as told; a command that cannot be followed is logged."""
        log.info("told by %s to %s %s", by or "the fleet", command, args or "")
        try:
            getattr(self, f"_{command}")(**args)
        except (HoldfastError, AttributeError, TypeError) as error:
            log.warning("the command %s could not be followed: %s", command, error)

    def _pause(self) -> None:
        self._hands.halt()
        self.draining = False

    def _drain(self) -> None:
        self.draining = True
        self._hands.halt()

    def _resume(self) -> None:
        self.draining = False
        self._hands.go_on()

    def _scale(self, concurrency: int) -> None:
        self._hands.scale(concurrency)

    def _stop(self) -> None:
        self._hands.leave()

    def _ping(self) -> None:
        """The answer is the fleet's."""


def checked(command: str, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a command.  Raises ``ValidationError``."""
    if command not in COMMANDS:
        raise ValidationError(f"command: expected one of {', '.join(COMMANDS)}, got {command!r:.40}", "command")
    if command != "scale":
        if args:
            raise ValidationError(f"{next(iter(args)):.40}: {command} takes no arguments", next(iter(args)))
        return {}
    slots = args.get("concurrency")
    if not isinstance(slots, int) or isinstance(slots, bool) or not 1 <= slots <= SLOTS_MOST or len(args) > 1:
        raise ValidationError(f"concurrency: expected a whole number from 1 to {SLOTS_MOST}", "concurrency")
    return {"concurrency": slots}
