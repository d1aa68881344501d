"""``documents.extract``: text and metadata of PDF, Word, HTML and text files.

``tasks.py`` runs in our process and decides what may be read; ``reading.py`` and the formats beside it run in a child
process and see nothing but the bytes of one file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import JobRequest


def sample_request() -> JobRequest:
    """The job behind "Run the sample job": the small PDF that ships in this folder."""
    from engine import JobRequest  # the child imports this package and has no use for the engine

    return JobRequest(task="documents.extract", args={"path": "sample.pdf"})
