"""How a link stands, for whoever only looks.

Each is one attribute of the state and needs no lock; two read one after the other may be of different moments.
"""

from __future__ import annotations

from airgap.failover import LinkState


class LinkView:
    """The readable side of ``Link``."""

    _core: LinkState

    @property
    def state(self) -> str:
        """``connected``, ``airgapped`` or ``recovering``."""
        return self._core.state

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self._core.reason

    @property
    def mode(self) -> str:
        """``automatic``, ``manual`` or ``airgap-safe``."""
        return self._core.mode

    @property
    def forced(self) -> bool:
        """Whether it is held airgapped by hand."""
        return self._core.forced

    @property
    def suspect(self) -> bool:
        """Whether a call or a probe failed since the last good one."""
        return self._core.suspect

    @property
    def silent(self) -> bool:
        """Whether nothing at all may be sent to Redis."""
        return self._core.silent

    @property
    def may_run_local(self) -> bool:
        """Whether jobs that this node holds for itself may run; no only in the mode ``manual`` until ``force``."""
        return self._core.may_run_local

    @property
    def round(self) -> int:
        """Number of the last reason to resync."""
        return self._core.round

    @property
    def history_changed(self) -> bool:
        """Whether the resync going on was asked for because Redis was emptied or went back in time."""
        return self._core.history_changed

    @property
    def stopped(self) -> str:
        """Why a resync stands still until a person releases the link; "" if it does not."""
        return self._core.stopped

    @property
    def failovers(self) -> int:
        """Times the link was lost since this process began."""
        return self._core.failovers
