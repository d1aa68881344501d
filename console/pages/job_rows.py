"""What the jobs page asks and shows, as values: the question in the address, the filter it makes, the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.design import CHIPS
from console.reading import Job
from data.filters import Term, Value
from data.rows import Count

#: parameters of the address, as in the API, that become words of the filter
WORDS = ("queue", "task", "tenant", "since", "until")
_PATTERN = re.compile(r"[\w.*][\w.\-*]*", re.ASCII)
STATES = frozenset(state for state, _ in CHIPS)


@dataclass(frozen=True)
class Question:
    """Which jobs are asked for: the chip, the words of the filter box, and from where on."""

    state: str = ""
    text: str = ""
    cursor: str = ""

    @property
    def words(self) -> str:
        """The filter without the chip, for counting every state."""
        return self.text

    @property
    def filter(self) -> str:
        """The whole filter."""
        return f"state:{self.state} {self.text}".strip() if self.state else self.text

    @property
    def query(self) -> dict[str, str]:
        """As it stands in the address."""
        return {"state": self.state, "q": self.text, "cursor": self.cursor}


def question_of(query: dict[str, str]) -> Question:
    """The question of an address.  A state that has no chip, or several, becomes a word like the others."""
    state = query.get("state", "")
    words = [query.get("q", ""), *(_word(key, query[key]) for key in WORDS if query.get(key))]
    if state and state not in STATES:
        words.append(f"state:{state}")
    return Question(state if state in STATES else "", " ".join(word for word in words if word), query.get("cursor", ""))


def _word(key: str, value: str) -> str:
    return str(Term(key, (Value(value, "*" in value and _PATTERN.fullmatch(value) is not None),)))


def tally(counts: Mapping[str, Count], state: str = "") -> Count:
    """How many jobs have a state, or any."""
    meant = [counts[state]] if state in counts else [] if state else list(counts.values())
    return Count(sum(count.n for count in meant), any(count.more for count in meant))


def said(count: Count) -> str:
    """The number in words; counting stops somewhere, and that is said."""
    return f"{count.n:,}+" if count.more else f"{count.n:,}"


def row_of(job: Job) -> dict[str, Any]:
    """A line of the table."""
    return {
        "id": job.id,
        "state": job.state,
        "task": job.task,
        "queue": job.queue,
        "attempt": job.attempt,
        "max": job.max_attempts,
        "created": job.created_at,
        "started": job.started_at,
        "ran": job.finished_at - job.started_at if job.finished_at and job.started_at else None,
        "error": f"{job.error.type}: {job.error.message}"[:300] if job.error and job.state != "completed" else "",
        "progress": job.progress.value if job.progress and job.state == "running" else None,
        "note": _note(job),
    }


def _note(job: Job) -> str:
    if job.state == "running":
        return job.progress.message[:200] if job.progress else ""
    return job.why_waiting.text[:200] if job.why_waiting else ""
