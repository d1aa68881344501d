"""Where the program's own log goes, and how its lines look; the same in every process of the house."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

LOG_BYTES, LOG_FILES = 10 * 2**20, 5
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
#: libraries that would tell of every request
CHATTY = ("httpx", "httpcore", "alembic", "asyncio", "uvicorn")


def to_folder(folder: Path, level: str) -> None:
    """Everything to a file that turns over; to the terminal of a person only what is wrong, to a service's log all."""
    file = logging.handlers.RotatingFileHandler(folder / "holdfast.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1)
    stream = logging.StreamHandler(sys.stderr)
    stream.setLevel(logging.WARNING if sys.stderr.isatty() else logging.NOTSET)
    logging.basicConfig(level=level.upper(), format=FORMAT, handlers=[file, stream], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def to_stderr(level: str) -> None:
    """For a child process: it shares its parent's."""
    logging.basicConfig(level=level.upper(), format=FORMAT)
