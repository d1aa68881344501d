"""From an exception to the ``Failure`` kept with the job: cut, cleaned, and with a fingerprint that groups equal causes.

The traceback begins at the task's own frames: those of Holdfast and Huey above them tell a user nothing.  The
fingerprint is the same on every machine and for every job: no line numbers, no absolute paths, and of the message only
what stays when numbers, ids and quoted values are taken out.  Texts are valid UTF-8 without NUL, so any store holds them.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Sequence
from pathlib import PurePath

from engine.kernel.job import Failure

#: characters kept
MESSAGE_LIMIT = 2_000
TRACEBACK_LIMIT = 16_000
#: innermost frames that make the fingerprint
FINGERPRINT_FRAMES = 3
_FINGERPRINT_MESSAGE = 200

_OURS = str(PurePath(__file__).parents[1])
_HUEY = re.compile(r"[/\\]huey[/\\](api|consumer|registry|utils|signals)\.py\Z")
#: what differs between two jobs that failed for the same cause
_VARIABLE = re.compile(
    r"""
    "(?:[^"\\]|\\.)*" | (?<!\w)'(?:[^'\\]|\\.)*'   # quoted values
    | \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b   # uuids
    | \b0x[0-9a-fA-F]+\b
    | \b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{6,}\b   # hashes
    | (?:[A-Za-z]:)?(?:[/\\][\w.\-]+){2,}   # paths
    | [+-]?\d+(?:[.,:]\d+)*
    """,
    re.VERBOSE,
)


def failure_of(error: BaseException, task: str = "") -> Failure:
    """Why an attempt failed.  ``task`` tells apart failures that have no frames of their own, as time-outs."""
    message = _clean(_message(error))
    text, frames = _told(error)
    return Failure(
        type(error).__name__,
        _cut(message, MESSAGE_LIMIT),
        _cut(_clean(text), TRACEBACK_LIMIT),
        fingerprint(type(error).__qualname__, message, frames, task),
    )


def fingerprint(kind: str, message: str, frames: Sequence[traceback.FrameSummary] = (), task: str = "") -> str:
    """16 hex digits that are equal for failures of the same cause."""
    places = [f"{'/'.join(PurePath(f.filename).parts[-2:])}:{f.name}" for f in frames[-FINGERPRINT_FRAMES:]]
    words = [kind, general(message), *(places or [task])]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def general(message: str) -> str:
    """The first line of a message without what differs from job to job."""
    line = message.strip().partition("\n")[0]
    return _VARIABLE.sub("…", line[: 4 * _FINGERPRINT_MESSAGE])[:_FINGERPRINT_MESSAGE]


def task_frames(frames: Sequence[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """``frames`` without those of Holdfast and Huey around the task; all of them if nothing else is there."""
    first = next((i for i, frame in enumerate(frames) if not _is_ours(frame)), 0)
    last = next((i for i in range(len(frames), first, -1) if not _is_ours(frames[i - 1])), len(frames))
    return list(frames[first:last])


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_OURS) or bool(_HUEY.search(frame.filename))


def _told(error: BaseException) -> tuple[str, list[traceback.FrameSummary]]:
    """The formatted traceback and the task's frames; an exception that cannot even be formatted still gives its type."""
    try:
        told = traceback.TracebackException.from_exception(error, compact=True)
        _strip(told, set())
        return "".join(told.format()).rstrip(), list(told.stack)
    except Exception as broken:
        return f"{type(error).__name__} <traceback unreadable: {type(broken).__name__}>", []


def _strip(told: traceback.TracebackException, seen: set[int]) -> None:
    """Take our frames out of an exception and of those that caused it."""
    if id(told) in seen:
        return
    seen.add(id(told))
    told.stack = traceback.StackSummary.from_list(task_frames(told.stack))
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _strip(other, seen)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<message unreadable: {type(broken).__name__}>"


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _cut(text: str, limit: int) -> str:
    """The beginning and the end of a long text: in a traceback the end says most."""
    if len(text) <= limit:
        return text
    mark = f"\n… {len(text) - limit:,} characters cut …\n"
    head = (limit - len(mark)) // 3
    return text[:head] + mark + text[len(text) - (limit - len(mark) - head) :]
