"""From a filter to SQL that stays fast on millions of jobs.

A plan is a set of *branches* and conditions that every row must meet besides (``rest``).  A branch is a range of one index
in the order of ``created_at``: so a list takes the first few rows of each branch and merges them, whatever the size of the
table.  To have such ranges, a plan names states one by one, and turns patterns and minus signs on queues and tasks into
the names that exist.  Where several indexes would do, the one with the fewest rows (counted up to a bound) is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, not_, or_, select, text, union_all
from sqlalchemy.sql.elements import TextClause

from data.filters import STATES, Filter, Term, Value, moment
from data.tables import HAS_CORRELATION, HAS_KEY, HAS_TENANT, IS_DEAD, WAS_RESCUED, jobs
from engine.kernel.job import band_of

#: a condition, or one that repeats a partial index word for word
Condition = ColumnElement[bool] | TextClause
Branch = tuple[Condition, ...]

#: most branches of one plan
MOST_BRANCHES = 64
#: rows counted to compare two ways
_WEIGHED = 2_000
#: distinct names looked at
_MOST_NAMES = 1_000
_ID_LIKE = re.compile(r"[0-9a-fA-F-]{8,}\Z")


@dataclass(frozen=True)
class Plan:
    """Where to look, and what must hold besides."""

    branches: tuple[Branch, ...]
    rest: tuple[Condition, ...] = ()
    #: a row may be in more than one branch
    overlapping: bool = False


def plan(connection: Connection, filter: Filter | None, *, tenant: str | None, now: float) -> Plan:
    """How to find the jobs of a filter, of one tenant or (``None``) of all."""
    return _Planner(connection, filter or Filter(), tenant, now).plan()


def names(connection: Connection, column: str) -> list[str]:
    """Distinct queues, tasks or tenants, found by leaps through an index."""
    return _leaps(connection, "jobs", column, HAS_TENANT if column == "tenant" else "", {})


def names_of_tenant(connection: Connection, column: str, tenant: str) -> list[str]:
    """Distinct queues or tasks in which a tenant had jobs, as long as the sums per minute are kept."""
    condition = f"{HAS_TENANT} AND tenant = :tenant"
    return _leaps(connection, "minutes", column, condition, {"tenant": tenant})


def _leaps(connection: Connection, table: str, column: str, condition: str, values: dict[str, str]) -> list[str]:
    besides = f" AND {condition}" if condition else ""
    first = f"SELECT {column} FROM {table} WHERE {column} >= ''{besides}"
    next = f"SELECT {column} FROM {table} WHERE {column} > leap.name{besides}"
    statement = (
        f"WITH RECURSIVE leap(name) AS (SELECT ({first} ORDER BY {column} LIMIT 1) UNION ALL "
        f"SELECT ({next} ORDER BY {column} LIMIT 1) FROM leap WHERE name IS NOT NULL) "
        f"SELECT name FROM leap WHERE name IS NOT NULL LIMIT {_MOST_NAMES}"
    )
    return [row[0] for row in connection.execute(text(statement), values)]


class _Planner:
    def __init__(self, connection: Connection, filter: Filter, tenant: str | None, now: float) -> None:
        self.connection = connection
        self.filter = filter
        self.tenant = tenant
        self.now = now
        self.states = self._states()
        self.queues = self._names("queue")
        self.tasks = self._names("task")

    def plan(self) -> Plan:
        """The way with the fewest rows; what it does not cover itself stands in the rest, and may stand there twice."""
        if not self.states or self.queues == () or self.tasks == ():
            return Plan(())
        ways = [way for make in self._ways() if (way := make()) is not None]
        best = min(ways, key=self._weight) if len(ways) > 1 else ways[0]
        span = self._span()
        rest = tuple(self._rest())
        return Plan(tuple((*branch, *span) for branch in best.branches), rest, best.overlapping)

    def _ways(self) -> Iterable[Callable[[], Plan | None]]:
        exact: list[Callable[[], Plan | None]] = [self._by_id, self._by_key, self._by_correlation]
        found = [make for make in exact if make() is not None]
        if found:
            return found[:1]
        return (
            self._by_text,
            self._by_fingerprint,
            self._by_rescue,
            self._by_task,
            self._by_queue,
            self._by_tenant,
            self._by_state,
        )

    def _weight(self, way: Plan) -> int:
        """Rows that a way has to look at, counted up to a bound per branch."""
        counts = [
            select(func.count().label("n")).select_from(
                select(literal_column("1")).select_from(jobs).where(*branch).limit(_WEIGHED).subquery()
            )
            for branch in way.branches
        ]
        return int(self.connection.execute(select(func.sum(union_all(*counts).subquery().c.n))).scalar() or 0)

    # --- ways to the rows, each along one index ---

    def _by_id(self) -> Plan | None:
        return self._of_values("id", lambda value: (_like_id(value),))

    def _by_key(self) -> Plan | None:
        return self._of_values("key", lambda value: (jobs.c.idempotency_key == value.text, text(HAS_KEY)))

    def _by_correlation(self) -> Plan | None:
        return self._of_values(
            "correlation", lambda value: (jobs.c.correlation_id == value.text, text(HAS_CORRELATION))
        )

    def _by_fingerprint(self) -> Plan | None:
        if self.states != ("dead",):
            return None
        return self._of_values("fingerprint", lambda value: (jobs.c.fingerprint == value.text, text(IS_DEAD)))

    def _of_values(self, key: str, branch: Callable[[Value], Branch]) -> Plan | None:
        term = next((term for term in self.filter.words(key) if not term.negated), None)
        return Plan(tuple(branch(value) for value in dict.fromkeys(term.values)), overlapping=True) if term else None

    def _by_text(self) -> Plan | None:
        term = next((term for term in self.filter.words("") if not term.negated), None)
        if term is None:
            return None
        tasks = self._tasks_like(term)
        failing = [state for state in self.states if state != "completed"]
        branches: list[Branch] = [
            (jobs.c.task == task, jobs.c.state == state) for task in tasks for state in self.states
        ]
        branches += [(_like_id(Value(value.text + "*", True)),) for value in term.values if _ID_LIKE.match(value.text)]
        branches += [(jobs.c.state == state, _any(term, _in_error)) for state in failing]
        return Plan(tuple(branches), overlapping=True) if 0 < len(branches) <= MOST_BRANCHES else None

    def _tasks_like(self, term: Term) -> list[str]:
        wanted = [value.text.lower() for value in term.values]
        return [task for task in names(self.connection, "task") if any(text in task.lower() for text in wanted)]

    def _by_rescue(self) -> Plan | None:
        asked = any(term.values == (Value("rescued"),) and not term.negated for term in self.filter.words("is"))
        return Plan(((text(WAS_RESCUED),),)) if asked else None

    def _by_task(self) -> Plan | None:
        return self._by_state_of(self.tasks, lambda name: (jobs.c.task == name,))

    def _by_queue(self) -> Plan | None:
        return self._by_state_of(self.queues, lambda name: (jobs.c.queue == name,))

    def _by_tenant(self) -> Plan | None:
        if not self.tenant:
            return None
        return self._by_state_of((self.tenant,), lambda name: (jobs.c.tenant == name, text(HAS_TENANT)))

    def _by_state(self) -> Plan:
        return Plan(tuple((jobs.c.state == state,) for state in self.states))

    def _by_state_of(self, values: Sequence[str] | None, branch: Callable[[str], Branch]) -> Plan | None:
        if values is None or len(values) * len(self.states) > MOST_BRANCHES:
            return None
        return Plan(tuple((*branch(value), jobs.c.state == state) for value in values for state in self.states))

    # --- what must hold besides ---

    def _states(self) -> tuple[str, ...]:
        states = [state for state in STATES if all(_names_it(term, state) for term in self.filter.words("state"))]
        if any(not term.negated for term in self.filter.words("error")):
            states = [state for state in states if state != "completed"]
        return tuple(states)

    def _names(self, key: str) -> tuple[str, ...] | None:
        """Names that the filter leaves; ``None`` if it leaves all."""
        terms = self.filter.words(key)
        if not terms:
            return None
        plain = next((t for t in terms if not t.negated and not any(value.pattern for value in t.values)), None)
        found = [value.text for value in plain.values] if plain else names(self.connection, key)
        return tuple(dict.fromkeys(name for name in found if all(_names_it(term, name) for term in terms)))

    def _span(self) -> Branch:
        since = [jobs.c.created_at >= moment(term.values[0].text, self.now) for term in self.filter.words("since")]
        until = [jobs.c.created_at < moment(term.values[0].text, self.now) for term in self.filter.words("until")]
        return (*since, *until)

    def _rest(self) -> Iterable[Condition]:
        if len(self.states) < len(STATES):
            yield jobs.c.state.in_(self.states)
        if self.queues is not None:
            yield jobs.c.queue.in_(self.queues)
        if self.tasks is not None:
            yield jobs.c.task.in_(self.tasks)
        if self.tenant is not None:
            yield jobs.c.tenant == self.tenant
        for term in self.filter.terms:
            meaning = _MEANINGS.get(term.key)
            if meaning is not None:
                condition = _any(term, meaning)
                yield not_(condition) if term.negated else condition


def _names_it(term: Term, name: str) -> bool:
    return any(value.matches(name) for value in term.values) != term.negated


def _any(term: Term, meaning: Callable[[Value], ColumnElement[bool]]) -> ColumnElement[bool]:
    return or_(*(meaning(value) for value in term.values))


def _like_id(value: Value) -> ColumnElement[bool]:
    if not value.pattern:
        return jobs.c.id == value.text
    start = value.text.partition("*")[0].lower()
    inside = and_(jobs.c.id >= start, jobs.c.id < start + "\U0010ffff")
    return inside if value.text.endswith("*") and value.text.count("*") == 1 else and_(inside, _like(jobs.c.id, value))


def _like(column: ColumnElement[str], value: Value) -> ColumnElement[bool]:
    if not value.pattern:
        return column == value.text
    escaped = re.sub(r"([\\%_])", r"\\\1", value.text).replace("*", "%")
    return column.like(escaped, escape="\\")


def _in_error(value: Value) -> ColumnElement[bool]:
    return or_(
        jobs.c.error_type.icontains(value.text, autoescape=True),
        jobs.c.error_message.icontains(value.text, autoescape=True),
    )


def _in_text(value: Value) -> ColumnElement[bool]:
    found = or_(jobs.c.task.icontains(value.text, autoescape=True), and_(jobs.c.state != "completed", _in_error(value)))
    return or_(_like_id(Value(value.text + "*", True)), found) if _ID_LIKE.match(value.text) else found


_FLAGS: dict[str, ColumnElement[bool]] = {
    "rescued": jobs.c.rescues > 0,
    "retried": jobs.c.attempt > 1,
    "masked": jobs.c.masked.is_(True),
    "cancelling": jobs.c.cancelling.is_(True),
}

#: key of a word -> the condition on a row for one of its values
_MEANINGS: dict[str, Callable[[Value], ColumnElement[bool]]] = {
    "": _in_text,
    "tenant": lambda value: _like(jobs.c.tenant, value),
    "agent": lambda value: _like(jobs.c.agent, value),
    "id": _like_id,
    "error": _in_error,
    "is": lambda value: _FLAGS[value.text],
    "priority": lambda value: jobs.c.priority == band_of(int(value.text) if value.text.isdigit() else value.text),
    "key": lambda value: jobs.c.idempotency_key == value.text,
    "correlation": lambda value: jobs.c.correlation_id == value.text,
    "fingerprint": lambda value: jobs.c.fingerprint == value.text,
}
