"""Jobs over HTTP, for programs that are not the engine's process: the same words as ``Engine``, and the same errors.

``client(url, token=…)`` speaks to the REST API of a console.  What the console refuses comes back as the error that the
engine would have raised; when nothing answers, ``Unreachable``.  A refusal to take jobs for now (``StoreFull``) carries
``retry_after``.  One client may be used by several threads.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from engine.kernel.errors import (
    Conflict,
    HoldfastError,
    JobCancelled,
    JobFailed,
    NotFound,
    ResultTimeout,
    Stopped,
    StoreFull,
    UnknownTask,
    ValidationError,
)
from engine.kernel.job import TERMINAL, JobState
from engine.queue.codec import to_plain
from engine.queue.request import JobRequest

if TYPE_CHECKING:
    import httpx

#: seconds that an answer may take
PATIENCE = 30.0
#: and one to a large file
FILE_PATIENCE = 900.0


class Unreachable(HoldfastError):
    """No console answers at the address."""


class Refused(HoldfastError):
    """The console refused for a reason of its own: who is asking, or how often; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RemoteJob:
    """A job in another process."""

    __slots__ = ("_client", "id", "new")

    def __init__(self, client: Client, id_: str, new: bool) -> None:
        self._client = client
        self.id = id_
        #: ``False`` if an idempotency or unique key named a job that was there first
        self.new = new

    def __repr__(self) -> str:
        return f"<remote job {self.id}>"

    def read(self) -> dict[str, Any]:
        """All that the console tells of it.  Raises ``NotFound``."""
        return self._client.get(self.id)

    @property
    def state(self) -> JobState:
        """Where it stands now."""
        return JobState(self.read()["state"])

    def cancel(self) -> dict[str, Any]:
        """See ``Client.cancel``."""
        return self._client.cancel(self.id)

    def retry(self) -> dict[str, Any]:
        """See ``Client.retry``."""
        return self._client.retry(self.id)

    def result(self, timeout: float | None = None) -> Any:
        """The task's return value, waited for.  Raises ``JobFailed``, ``JobCancelled``, ``ResultTimeout``, ``NotFound``."""
        job = self._client.ended(self.id, timeout)
        if job["state"] == JobState.COMPLETED:
            return job["result"]
        if job["state"] == JobState.CANCELLED:
            raise JobCancelled(f"job {self.id} was cancelled", self.id)
        error = job.get("error") or {}
        raise JobFailed(f"job {self.id} failed: {error.get('type')}: {error.get('message')}", self.id)


class Client:
    """Calls of a console's REST API."""

    def __init__(self, url: str, token: str = "", *, timeout: float = PATIENCE) -> None:
        import httpx

        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- jobs ---

    def enqueue(self, task: str, args: Mapping[str, Any] | None = None, **options: Any) -> RemoteJob:
        """As ``Engine.enqueue``."""
        return self.submit_one(JobRequest(task, dict(args or {}), **options))

    def submit_one(self, request: JobRequest) -> RemoteJob:
        """Enqueue one request."""
        answer = self.call("POST", "/v1/jobs", body=_body(request))
        return RemoteJob(self, answer["id"], answer["new"])

    def submit(self, requests: Sequence[JobRequest]) -> list[RemoteJob | HoldfastError]:
        """As ``Engine.submit``: for each request, in order, its job or what is wrong with it."""
        answer = self.call("POST", "/v1/jobs/bulk", body={"jobs": [_body(request) for request in requests]})
        return [
            error_of(line["problem"]["status"], line["problem"])
            if "problem" in line
            else RemoteJob(self, line["id"], line["new"])
            for line in answer["jobs"]
        ]

    def get(self, id_: str) -> dict[str, Any]:
        """A job with all that is known of it.  Raises ``NotFound``."""
        return self.object("GET", f"/v1/jobs/{_part(id_)}")

    def jobs(self, q: str = "", **query: Any) -> dict[str, Any]:
        """A page of jobs: ``{"jobs": […], "next_cursor": …}``; ``q`` is the filter language."""
        return self.object("GET", "/v1/jobs", query={"q": q, **query})

    def all_jobs(self, q: str = "", **query: Any) -> Iterator[dict[str, Any]]:
        """Every job that matches, newest first, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.jobs(q, cursor=cursor, **query)
            yield from page["jobs"]
            cursor = page["next_cursor"]

    def cancel(self, id_: str) -> dict[str, Any]:
        """Cancel a job, or ask it to stop if it runs.  Raises ``NotFound``, ``Conflict``."""
        return self.object("POST", f"/v1/jobs/{_part(id_)}/cancel")

    def retry(self, id_: str) -> dict[str, Any]:
        """Send a dead job back, or make a waiting one due.  Raises ``NotFound``, ``Conflict``."""
        return self.object("POST", f"/v1/jobs/{_part(id_)}/retry")

    def delete(self, id_: str) -> None:
        """Remove a job that is not running.  Raises ``NotFound``, ``Conflict``."""
        self.call("DELETE", f"/v1/jobs/{_part(id_)}")

    def act(self, action: str, filter: str, *, over: float = 0.0) -> dict[str, int]:
        """Retry, cancel or delete all jobs that match; says how many were meant and moved."""
        return self.object("POST", "/v1/jobs/actions", body={"action": action, "filter": filter, "over": over})

    def ended(self, id_: str, timeout: float | None = None) -> dict[str, Any]:
        """The job once it has ended.  Raises ``ResultTimeout``."""
        job = self.get(id_)
        if job["state"] in TERMINAL:
            return job
        try:
            for _ in self.events(id_, timeout):
                continue
        except TimeoutError:
            raise ResultTimeout(f"job {id_} has not ended within {timeout:g} s", id_) from None
        return self.get(id_)

    def events(self, id_: str, timeout: float | None = None) -> Iterator[str]:
        """Lines of the job's event stream until it ends.  ``TimeoutError`` after ``timeout`` seconds."""
        import httpx

        from engine.kernel.clock import SystemClock

        clock = SystemClock()
        until = None if timeout is None else clock.monotonic() + timeout
        patience = httpx.Timeout(self._timeout, read=timeout)
        try:
            with self._http.stream("GET", f"/v1/jobs/{_part(id_)}/events", timeout=patience) as answer:
                if answer.is_error:
                    answer.read()
                    self._decoded(answer)
                for line in answer.iter_lines():
                    yield line
                    if until is not None and clock.monotonic() > until:
                        raise TimeoutError
        except httpx.ReadTimeout:
            raise TimeoutError from None
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    # --- queues ---

    def queues(self) -> list[dict[str, Any]]:
        """All queues."""
        found: list[dict[str, Any]] = self.call("GET", "/v1/queues")["queues"]
        return found

    def pause(self, queue: str) -> dict[str, Any]:
        """Start no more jobs of a queue.  Raises ``NotFound``."""
        return self.object("POST", f"/v1/queues/{_part(queue)}/pause")

    def resume(self, queue: str) -> dict[str, Any]:
        """Start jobs of a queue again.  Raises ``NotFound``."""
        return self.object("POST", f"/v1/queues/{_part(queue)}/resume")

    # --- the wire ---

    def object(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """``call`` for answers that are objects."""
        answer: dict[str, Any] = self.call(method, path, body=body, query=query)
        return answer

    def call(self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """One call; the decoded answer, ``None`` if it has no body."""
        import httpx

        content = msgspec.json.encode(body, enc_hook=to_plain) if body is not None else None
        asked = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            answer = self._http.request(method, path, content=content, params=asked, headers=headers)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        return self._decoded(answer)

    def upload(self, path: str, content: Iterable[bytes], kind: str, **query: Any) -> dict[str, Any]:
        """Send a file of a media type as it is read; the decoded answer."""
        import httpx

        patience = httpx.Timeout(self._timeout, read=FILE_PATIENCE, write=FILE_PATIENCE)
        try:
            answer = self._http.post(
                path, content=content, params=query, headers={"Content-Type": kind}, timeout=patience
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        decoded: dict[str, Any] = self._decoded(answer)
        return decoded

    def download(self, method: str, path: str, write: Callable[[bytes], Any], body: Any = None) -> Mapping[str, str]:
        """A call that answers a file, handed on as it comes; the answer's headers."""
        import httpx

        content, patience = msgspec.json.encode(body or {}), httpx.Timeout(self._timeout, read=FILE_PATIENCE)
        headers = {"Content-Type": "application/json"}
        try:
            with self._http.stream(method, path, content=content, headers=headers, timeout=patience) as answer:
                if answer.is_error:
                    answer.read()
                    self._decoded(answer)
                for piece in answer.iter_bytes():
                    write(piece)
                return answer.headers
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _decoded(self, answer: httpx.Response) -> Any:
        try:
            content = msgspec.json.decode(answer.content) if answer.content else None
        except msgspec.DecodeError:
            raise Unreachable(f"what answers at {self.url} is no Holdfast console ({answer.status_code})") from None
        if answer.is_error:
            raise error_of(answer.status_code, content if isinstance(content, dict) else {})
        return content

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"no console answers at {self.url} ({type(error).__name__}); is it running, is the address right?"
        )


def client(url: str = "http://127.0.0.1:8080", token: str = "", *, timeout: float = PATIENCE) -> Client:
    """A client of the console at ``url``."""
    return Client(url, token, timeout=timeout)


def error_of(status: int, problem: Mapping[str, Any]) -> HoldfastError:
    """The error that a problem document stands for."""
    text = str(problem.get("detail") or problem.get("title") or f"the console answered {status}")
    if status == 422 and problem.get("title") == "No such task":
        return UnknownTask(text)
    if status in (413, 422):
        return ValidationError(text, str(problem.get("field", "")))
    if status == 507:
        return StoreFull(text, float(problem.get("retry_after") or 5.0))
    kinds: dict[int, type[HoldfastError]] = {404: NotFound, 409: Conflict, 503: Stopped}
    return kinds[status](text) if status in kinds else Refused(text, status)


def _part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _body(request: JobRequest) -> dict[str, Any]:
    """What is sent of a request: the fields that say something."""
    fields = msgspec.structs.asdict(request)
    return {name: _plain(value) for name, value in fields.items() if value not in (None, "", {}) or name == "task"}


def _plain(value: Any) -> Any:
    """Spans and times as the API takes them."""
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return value
