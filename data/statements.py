"""The recorder's statements, for SQLite and PostgreSQL alike (``?`` for values, ``{ids}`` for a list of them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.drafts import AgentDraft, AttemptDraft, ConflictDraft, Draft

#: columns of a job that are written once; the others change as events come
WRITTEN_ONCE = frozenset(
    {"n", "id", "queue", "task", "tenant", "priority", "created_at", "expires_at", "timeout", "idempotency_key",
     "unique_key", "needs", "due_at", "correlation_id", "note", "args", "metadata"}
)  # fmt: skip
JOB_COLUMNS = Draft.__struct_fields__
CHANGING = tuple(name for name in JOB_COLUMNS if name not in WRITTEN_ONCE)
#: what is read of a job that a batch touches: not the wide columns, nor what no event asks for; in the order of a draft
LOADED = JOB_COLUMNS[: JOB_COLUMNS.index("priority")]
ATTEMPT_COLUMNS = AttemptDraft.__struct_fields__
AGENT_COLUMNS = AgentDraft.__struct_fields__
MINUTE_COLUMNS = (
    "minute", "queue", "task", "tenant", "outcome", "n", "run_seconds", "wait_seconds", "runs", "waits",
)  # fmt: skip


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _upsert(table: str, columns: Sequence[str], keys: int, taken: Mapping[str, str] | None = None) -> str:
    """Insert a row, or lay it over the one with the same first ``keys`` columns.

    ``taken`` says for columns that are not simply overwritten what is: ``old`` and ``new`` stand for the two values.
    """
    each = ", ".join(_taking(table, column, (taken or {}).get(column, "new")) for column in columns[keys:])
    return f"{_insert(table, columns)} ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {each}"


def _taking(table: str, column: str, how: str) -> str:
    words = {"old": f"{table}.{column}", "new": f"excluded.{column}"}
    return f"{column} = {' '.join(words.get(word, word) for word in how.split())}"


def _unless(nothing: str) -> str:
    """The old value where the new one says nothing."""
    return f"CASE WHEN new = {nothing} THEN old ELSE new END"


#: the later of two times, and the earlier one that is known
LATER = "CASE WHEN new > old THEN new ELSE old END"
EARLIER = "CASE WHEN old = 0 OR ( new > 0 AND new < old ) THEN new ELSE old END"


INSERT_JOB = _insert("jobs", JOB_COLUMNS)
#: a result that this batch does not know is kept, unless ``REOPEN_JOB`` took it back
_SETS = (f"{name} = {'coalesce(?, result)' if name == 'result' else '?'}" for name in CHANGING)
UPDATE_JOB = f"UPDATE jobs SET {', '.join(_SETS)} WHERE n = ?"
REOPEN_JOB = "UPDATE jobs SET result = NULL WHERE n IN {ids}"
LOAD_JOBS = f"SELECT {', '.join(LOADED)} FROM jobs WHERE id IN {{ids}}"
LAST_JOB = "SELECT coalesce(max(n), 0) FROM jobs"

#: an attempt that began in an earlier batch keeps what its end does not know
_KEPT = {"worker": "''", "agent": "''", "started_at": "0", "available_at": "0"}
UPSERT_ATTEMPT = _upsert("attempts", ATTEMPT_COLUMNS, 2, {name: _unless(empty) for name, empty in _KEPT.items()})
LOAD_ATTEMPTS = f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts WHERE job IN {{ids}}"
LOAD_RETRIED = "SELECT job, at, extra FROM moments WHERE job IN {ids} AND kind = 'retried'"

INSERT_LOG = _insert("logs", ("job", "attempt", "at", "level", "text"))
TRIM_LOGS = (
    "DELETE FROM logs WHERE job = ? AND n <= (SELECT n FROM logs WHERE job = ? ORDER BY n DESC LIMIT 1 OFFSET ?)"
)
UPSERT_OUTPUT = _upsert("outputs", ("job", "name", "attempt", "at", "value"), 2) + " WHERE excluded.at >= outputs.at"
INSERT_MOMENT = _insert("moments", ("job", "at", "kind", "text", "extra"))

LOAD_MINUTES = f"SELECT {', '.join(MINUTE_COLUMNS)} FROM minutes WHERE minute IN {{ids}}"
UPSERT_MINUTE = _upsert("minutes", MINUTE_COLUMNS, 5)

#: what a batch does not know of an agent is kept; of two starts the later counts, of two stops too
_STARTED = "CASE WHEN excluded.started_at >= agents.started_at AND excluded.started_at > 0 THEN new ELSE old END"
_STOPPED = "CASE WHEN excluded.stopped_at >= agents.stopped_at AND excluded.stopped_at > 0 THEN new ELSE old END"
UPSERT_AGENT = _upsert(
    "agents",
    AGENT_COLUMNS,
    1,
    {
        **dict.fromkeys(("host", "pid", "version", "info"), _STARTED),
        **dict.fromkeys(("started_at", "seen_at", "stopped_at"), LATER),
        **dict.fromkeys(("completed", "failed"), "old + new"),
        "first_at": EARLIER,
        "reason": _STOPPED,
    },
)
UPSERT_PAUSE = _upsert("pauses", ("queue", "paused", "at", "by"), 1) + " WHERE excluded.at >= pauses.at"

# --- the link ---

INSERT_CHANGE = _insert("link_changes", ("node", "at", "state", "reason", "forced", "by")) + " ON CONFLICT DO NOTHING"
INSERT_PROOF = (
    _insert(
        "proofs",
        ("node", "epoch", "at", "began_at", "events", "bytes", "conflicts", "rewound", "equal", "lanes"),
    )
    + " ON CONFLICT DO NOTHING"
)
UPSERT_CONFLICT = _upsert("conflicts", ConflictDraft.__struct_fields__, 1)
UPSERT_CHOICE = (
    _upsert("conflicts", ("id", "resolved_at", "choice", "by"), 1)
    + " WHERE excluded.resolved_at >= conflicts.resolved_at"
)
#: a later result that somebody took stands as the job's; told by ids of conflicts
TAKE_RESULT = (
    "UPDATE jobs SET result = c.body FROM conflicts c WHERE c.id IN {ids} AND jobs.id = c.job AND c.choice = 'take'"
    " AND c.whole AND c.kind IN ('result', 'late') AND jobs.state = 'completed'"
)

# --- marks ---

READ_MARKS = "SELECT name, position, at, number FROM marks"
READ_TURN = "SELECT position FROM marks WHERE name = ''"
WRITE_MARK = _upsert("marks", ("name", "position", "at", "number"), 1)
DELETE_MARK = "DELETE FROM marks WHERE name = ?"
READ_LANES = "SELECT node, queue, kind, number FROM lanes"
WRITE_LANE = _upsert("lanes", ("node", "queue", "kind", "number"), 3, {"number": LATER})
READ_STREAMS = "SELECT stream, mark FROM streams WHERE fleet = ?"
WRITE_STREAM = _upsert("streams", ("fleet", "stream", "mark"), 2)

PARK = _insert("parked", ("job", "at", "body"))
ANY_PARKED = "SELECT 1 FROM parked LIMIT 1"
READ_PARKED = "SELECT job, body FROM parked WHERE job IN {ids} ORDER BY n"
SWEEP_PARKED = "DELETE FROM parked WHERE at < ?"
UNPARK = "DELETE FROM parked WHERE job IN {ids}"

#: a job and all that hangs on it, by its number; children first
DELETE_JOB = (
    "DELETE FROM attempts WHERE job IN {ids}",
    "DELETE FROM logs WHERE job IN {ids}",
    "DELETE FROM outputs WHERE job IN {ids}",
    "DELETE FROM moments WHERE job IN {ids}",
    "DELETE FROM jobs WHERE n IN {ids}",
)

#: waiting jobs whose time has come: the store makes them available without a word
PROMOTE = (
    "UPDATE jobs SET state = 'available', available_at = run_at WHERE n IN (SELECT n FROM jobs WHERE "
    "state IN ('scheduled', 'retryable') AND run_at <= ? ORDER BY run_at LIMIT ?)"
)
