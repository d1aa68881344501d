"""Bundles: one file to carry between homes that never meet on a network — jobs out, results back.

``listing`` is for whoever shows them; who makes or takes in bundles opens a ``Desk``.
"""

from __future__ import annotations

from airgap.bundles.desk import Desk, journal_of
from airgap.bundles.incoming import Taken, take_in
from airgap.bundles.outgoing import Wanted, export_jobs, export_results
from airgap.bundles.records import BundleRecord, BundleView
from airgap.bundles.trust import Trusted
from engine.storage.base import Store

__all__ = [
    "BundleRecord",
    "BundleView",
    "Desk",
    "Taken",
    "Trusted",
    "Wanted",
    "export_jobs",
    "export_results",
    "journal_of",
    "listing",
    "take_in",
]


def listing(store: Store) -> list[BundleView]:
    """All bundles that were made or taken in, newest first.  Raises ``Conflict`` for a store that keeps none."""
    return Desk(store).views()
