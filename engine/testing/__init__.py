"""For tests of programs that use Holdfast: run jobs inline under a clock that stands still, break the store, assert.

``Harness`` is the whole kit; its parts can be used alone.  See ``docs/testing.md``.
"""

from __future__ import annotations

from engine.kernel.clock import FakeClock
from engine.testing.faults import Disconnected, FaultyStore
from engine.testing.harness import Enqueued, Harness
from engine.testing.waiting import wait_for_jobs

__all__ = ["Disconnected", "Enqueued", "FakeClock", "FaultyStore", "Harness", "wait_for_jobs"]
