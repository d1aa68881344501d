"""The filter language: what people type to find jobs, as in ``state:dead queue:emails task:send* -tenant:acme since:1h``.

Words are ``key:value`` or free text; ``-`` before a word turns it round; ``,`` separates several values, any of which may
match; ``*`` stands for any text in queue, task, tenant, agent and id; ``"…"`` quotes what holds blanks, commas, colons or
stars.  All words must match.  ``parse`` gives a frozen ``Filter`` whose ``str`` parses to the same filter again; how it
becomes SQL is the matter of ``data.plans``.
"""

from __future__ import annotations

import datetime
import difflib
import re
from dataclasses import dataclass

from engine.kernel.errors import ValidationError
from engine.kernel.job import PRIORITIES, JobState

STATES = tuple(state.value for state in JobState)

#: key -> what may stand after it, for help and messages
KEYS: dict[str, str] = {
    "state": "one of " + ", ".join(STATES),
    "queue": "a queue's name; * stands for any text",
    "task": "a task's name, as in send*",
    "tenant": "a tenant's name",
    "error": "text in the type or message of the error",
    "since": "created after: a span such as 90s, 15m, 1h, 7d, or a time such as 2025-01-31T08:00Z",
    "until": "created before: a span ago or a time, as with since",
    "agent": "an agent's name",
    "id": "a job's id, or at least its first 8 characters and *",
    "is": "rescued, retried, masked or cancelling",
    "priority": "critical, high, normal, low or 1 to 10",
    "key": "an idempotency key",
    "correlation": "a correlation id",
    "fingerprint": "the fingerprint of an error, as in the list of dead letters",
}
FLAGS = ("rescued", "retried", "masked", "cancelling")
_PATTERNS = frozenset({"queue", "task", "tenant", "agent", "id"})
_SINGLE = frozenset({"since", "until"})
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h|d|w)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: longest filter that is read
MOST = 2_000
#: characters of an id that a search for its beginning needs
ID_PREFIX = 8

_TOKEN = re.compile(
    r"""\s*(?P<minus>-)?(?:(?P<key>[A-Za-z_]+):)?(?P<values>(?:"(?:[^"\\]|\\.)*"|[^\s,"]+)(?:,(?:"(?:[^"\\]|\\.)*"|[^\s,"]+))*)?""",
    re.DOTALL,
)
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s,"]+)', re.DOTALL)


@dataclass(frozen=True)
class Value:
    """One value; a star in it means any text only where it was not quoted."""

    text: str
    pattern: bool = False

    def matches(self, name: str) -> bool:
        """Whether a name fits."""
        return bool(_glob(self.text).match(name)) if self.pattern else name == self.text

    def __str__(self) -> str:
        if self.pattern or re.fullmatch(r'[^\s,":*\-\\][^\s,":*\\]*', self.text):
            return self.text
        return '"' + self.text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Term:
    """One word: ``key`` is "" for free text."""

    key: str
    values: tuple[Value, ...]
    negated: bool = False

    def __str__(self) -> str:
        values = ",".join(str(value) for value in self.values)
        return ("-" if self.negated else "") + (f"{self.key}:{values}" if self.key else values)


@dataclass(frozen=True)
class Filter:
    """All words of a filter; matches every job when it has none."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(str(term) for term in self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __and__(self, other: Filter) -> Filter:
        """What matches both."""
        return Filter(self.terms + other.terms)

    def words(self, key: str) -> tuple[Term, ...]:
        """The words with that key."""
        return tuple(term for term in self.terms if term.key == key)


def parse(text: str) -> Filter:
    """The filter that ``text`` means.  ``ValidationError`` names the word that is wrong and the mend."""
    if len(text) > MOST:
        raise ValidationError(f"filter: expected at most {MOST} characters, got {len(text)}", "q")
    terms = []
    position, text = 0, text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.end() == position or not found["values"] or not _ends_word(text, found.end()):
            raise _unreadable(text, position)
        terms.append(_term(found))
        position = found.end()
    return Filter(tuple(terms))


def build(q: str = "", **values: str | None) -> Filter:
    """A filter from text and single fields, as query parameters give them: ``build(q, state="dead,retryable", queue=…)``."""
    found = parse(q)
    for key, value in values.items():
        if value:
            found &= Filter((_checked(key, _values(value if '"' in value else _quoted_blanks(value)), False),))
    return found


def quote(text: str) -> str:
    """``text`` as a value of a filter that means exactly it."""
    return str(Value(text))


def moment(text: str, now: float) -> float:
    """Wall time meant by ``since:`` or ``until:``: a span before ``now``, or ISO 8601 (UTC unless it says otherwise)."""
    span = _SPAN.match(text)
    if span:
        return now - float(span[1]) * _SECONDS[span[2]]
    try:
        at = datetime.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValidationError(f"filter: expected {KEYS['since'].split(': ', 1)[1]}, got {text[:40]!r}", "q") from None


def _ends_word(text: str, at: int) -> bool:
    return at == len(text) or text[at].isspace()


def _unreadable(text: str, position: int) -> ValidationError:
    word = text[position:].strip().split(maxsplit=1)[0][:60]
    key = word.lstrip("-").partition(":")[0]
    if word.count('"') % 2:
        return ValidationError(f'filter: the quote in {word!r} is not closed; add a "', "q")
    if key in KEYS:
        return ValidationError(f"filter: {key}: needs a value, {KEYS[key]}", "q")
    return ValidationError(f"filter: {word!r} cannot be read; put it in quotes to search for it as text", "q")


def _term(found: re.Match[str]) -> Term:
    key = found["key"]
    if key is None:
        return Term("", _free(found["values"]), found["minus"] is not None)
    return _checked(key.lower(), _values(found["values"]), found["minus"] is not None)


def _free(text: str) -> tuple[Value, ...]:
    if ":" in text and '"' not in text:
        raise ValidationError(f"filter: {text[:60]!r} cannot be read; put it in quotes to search for it as text", "q")
    return tuple(Value(value.text) for value in _values(text))


def _values(text: str) -> tuple[Value, ...]:
    return tuple(
        Value(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)) if not bare else Value(bare, "*" in bare)
        for quoted, bare in (match.groups() for match in _VALUE.finditer(text))
    )


def _quoted_blanks(value: str) -> str:
    return ",".join(
        f'"{part.strip()}"' if re.search(r"\s", part.strip()) else part.strip() for part in value.split(",") if part
    )


def _checked(key: str, values: tuple[Value, ...], negated: bool) -> Term:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, 1)
        meant = f"did you mean {near[0]}:?" if near else f"known are {', '.join(KEYS)}; put other text in quotes"
        raise ValidationError(f"filter: there is no {key[:40]}:; {meant}", "q")
    if not values:
        raise ValidationError(f"filter: {key}: needs a value, {KEYS[key]}", "q")
    if key in _SINGLE and (negated or len(values) > 1):
        raise ValidationError(f"filter: {key}: takes one value and no minus", "q")
    return Term(key, tuple(_checked_value(key, value) for value in values), negated)


def _checked_value(key: str, value: Value) -> Value:
    if key not in _PATTERNS and value.pattern:
        value = Value(value.text)
    text = value.text
    if key == "state" and text not in STATES:
        raise _wrong(key, text, STATES)
    if key == "is" and text not in FLAGS:
        raise _wrong(key, text, FLAGS)
    if key == "priority" and text not in PRIORITIES and not re.fullmatch(r"[1-9]|10", text):
        raise _wrong(key, text, tuple(PRIORITIES))
    if key in _SINGLE:
        moment(text, 0.0)
    if key == "id" and value.pattern and len(text.partition("*")[0]) < ID_PREFIX:
        raise ValidationError(f"filter: id: needs at least {ID_PREFIX} characters before the *, got {text[:40]!r}", "q")
    return value


def _wrong(key: str, text: str, known: tuple[str, ...]) -> ValidationError:
    near = difflib.get_close_matches(text.lower(), known, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return ValidationError(f"filter: expected {key}: {KEYS[key]}, got {text[:40]!r}{meant}", "q")


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")) + r"\Z", re.DOTALL)


__all__ = ["FLAGS", "KEYS", "STATES", "Filter", "Term", "Value", "build", "moment", "parse", "quote"]
