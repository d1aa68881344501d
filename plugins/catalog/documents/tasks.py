"""The task ``documents.extract``: find the source, check that it may be read, have a child read it.

A path is looked up in the plugin's folders (setting ``folders``) and must still be inside one after links are followed;
a path outside and a path that isn't there get the same answer, so that the task can't be used to look around.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec

from engine import Context, Discard
from plugins import child
from plugins.services import Services

READER = "plugins.catalog.documents.reading:read_document"
#: bytes of a result beside its text
FACTS = 16_384


def tasks(services: Services) -> Mapping[str, Callable[..., Any]]:
    """The plugin's functions by task name."""

    def extract(
        ctx: Context,
        path: str | None = None,
        content: bytes | None = None,
        name: str = "",
        max_characters: Annotated[int, msgspec.Meta(ge=0)] | None = None,
    ) -> dict[str, Any]:
        """Text and metadata of one document, given by ``path`` in an allowed folder or as base64 ``content``.

        The result holds format, title, author, created, language, pages, words, characters, text (cut to
        ``max_characters``, then ``truncated`` is true), sha256 and warnings.
        """
        with _source(services, path, content) as source:
            ctx.log.info("reading %s, %d bytes", name or path or "content", _size(source))
            left = ctx.deadline - services.clock.now() if ctx.deadline else None
            work = _work(services, name or Path(path or "").name, max_characters, left)
            result = child.run(work, source, services.clock, ctx.progress, ctx.check_cancelled)
        ctx.progress(1.0, f"{result['words']:,} words")
        return result

    return {"documents.extract": extract}


def _work(services: Services, name: str, characters: int | None, left: float | None) -> child.Work:
    """What the child is to do, in the seconds that are ``left`` of the attempt, or else as many as a task has."""
    most = min(services.option("max_characters"), services.settings.result_limit)
    request = {
        "name": name[-200:],
        "max_characters": most if characters is None else min(characters, most),
        "max_text_bytes": max(services.settings.result_limit - FACTS, services.settings.result_limit // 2),
        "max_pages": services.option("max_pages"),
        "max_unpacked": services.option("max_unpacked"),
    }
    manifest = services.manifest
    seconds = manifest.tasks[0].timeout if left is None else left
    return child.Work(READER, request, manifest.limits, seconds)


@contextmanager
def _source(services: Services, path: str | None, content: bytes | None) -> Iterator[IO[bytes]]:
    """The one source that was given, open and checked."""
    if (path is None) == (content is None):
        raise Discard("give one of path and content: where the document is, or the document itself in base64")
    with _open(services, path) if path is not None else _spool(content or b"") as source:
        size, most = _size(source), services.option("max_bytes")
        if not size:
            raise Discard("the document is empty: it has 0 bytes")
        if size > most:
            raise Discard(f"the document has {size:,} bytes; max_bytes of the plugin allows {most:,}")
        yield source


def _spool(content: bytes) -> IO[bytes]:
    """The content as an open file without a name, as a child needs one."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(content)
    file.seek(0)
    return file


def _open(services: Services, path: str) -> IO[bytes]:
    for folder in services.readable():
        found = _inside(folder, path)
        if found:
            return _opened(found)
    raise Discard(
        f"path: no file {path!r:.200} in the folders that the plugin may read; its setting folders names them"
    )


def _inside(folder: Path, path: str) -> Path | None:
    """The file that ``path`` names in ``folder``, unless it isn't there or links lead out."""
    try:
        found = (folder / path).resolve(strict=True)
        return found if found.is_relative_to(folder) and stat.S_ISREG(found.stat().st_mode) else None
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        return None
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}:
            return None
        raise


def _opened(found: Path) -> IO[bytes]:
    """Open without following a link that was put there since, or waiting on a pipe; other failures are temporary."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return io.FileIO(os.open(found, flags))
    except PermissionError as error:
        raise Discard(f"path: {found.name!r:.200} may not be read by this user; change its permissions") from error


def _size(source: IO[bytes]) -> int:
    return os.fstat(source.fileno()).st_size
