"""Writes the rows of one fold, inside the transaction that is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter

import msgspec
from msgspec.structs import astuple

from data import statements as sql
from data.drafts import MinuteDraft, MinuteKey, Parked
from data.folding import BatchFold
from data.histogram import dumps, loads, merged
from data.plain import Plain
from engine.kernel.events import AnyEvent

#: lines kept of one job
LOG_LINES = 1_000

#: values of ``UPDATE_JOB``
changing = attrgetter(*sql.CHANGING, "n")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bool, bool, AnyEvent]).decode


class Writing:
    """One fold on its way into the database."""

    def __init__(self, plain: Plain, fold: BatchFold) -> None:
        self._plain = plain
        self._fold = fold
        self._gone = frozenset(fold.deleted)

    def write(self) -> None:
        """Write all rows, the jobs first."""
        self._jobs()
        self._attempts()
        self._logs()
        self._rest()
        self._link()
        self._minutes()
        self._parked()
        if self._gone:
            for statement in sql.DELETE_JOB:
                self._plain.among(statement, list(self._gone))

    def _many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for each row; nothing is asked of the database where there is none."""
        rest = iter(rows)
        first = next(rest, None)
        if first is not None:
            self._plain.many(statement, chain((first,), rest))

    def _jobs(self) -> None:
        if self._fold.reopened:
            self._plain.among(sql.REOPEN_JOB, list(self._fold.reopened))
        self._many(sql.INSERT_JOB, map(astuple, self._fold.new()))
        self._many(sql.UPDATE_JOB, map(changing, self._fold.altered()))

    def _attempts(self) -> None:
        rows = self._fold.attempts.values()
        self._many(sql.UPSERT_ATTEMPT, (astuple(row) for row in rows if row.job not in self._gone))

    def _logs(self) -> None:
        lines = [line for line in self._fold.logs if line[0] not in self._gone]
        self._many(sql.INSERT_LOG, lines)
        self._many(sql.TRIM_LOGS, ((job, job, LOG_LINES) for job in {line[0] for line in lines}))

    def _rest(self) -> None:
        fold, gone = self._fold, self._gone
        outputs = ((job, name, *rest) for (job, name), rest in fold.outputs.items() if job not in gone)
        self._many(sql.UPSERT_OUTPUT, outputs)
        self._many(sql.INSERT_MOMENT, (moment for moment in fold.moments if moment[0] not in gone))
        self._many(sql.UPSERT_AGENT, map(astuple, fold.fleet.agents.values()))
        self._many(sql.UPSERT_PAUSE, ((queue, *rest) for queue, rest in fold.fleet.pauses.items()))

    def _link(self) -> None:
        link = self._fold.link
        self._many(sql.INSERT_CHANGE, link.changes)
        self._many(sql.INSERT_PROOF, link.proofs)
        self._many(sql.UPSERT_CONFLICT, map(astuple, link.conflicts.values()))
        self._many(sql.UPSERT_CHOICE, ((id, *choice) for id, choice in link.choices.items()))
        decided = list({**link.choices, **link.conflicts})
        if decided:
            self._plain.among(sql.TAKE_RESULT, decided)

    def _minutes(self) -> None:
        minutes = self._fold.sums.minutes
        if not minutes:
            return
        asked = sorted({key[0] for key in minutes})
        for *key, n, run, wait, runs, waits in self._plain.among(sql.LOAD_MINUTES, asked):
            self._add((key[0], key[1], key[2], key[3], key[4]), MinuteDraft(n, run, wait, loads(runs), loads(waits)))
        self._many(
            sql.UPSERT_MINUTE,
            ((*key, m.n, m.run_seconds, m.wait_seconds, dumps(m.runs), dumps(m.waits)) for key, m in minutes.items()),
        )

    def _add(self, key: MinuteKey, before: MinuteDraft) -> None:
        added = self._fold.sums.minutes.get(key)
        if added is not None:
            added.n += before.n
            added.run_seconds += before.run_seconds
            added.wait_seconds += before.wait_seconds
            added.runs = merged((added.runs, before.runs))
            added.waits = merged((added.waits, before.waits))

    def _parked(self) -> None:
        fold = self._fold
        if fold.arrived:
            self._plain.among(sql.UNPARK, fold.arrived)
        rows = chain.from_iterable(fold.parked.values())
        self._many(sql.PARK, ((p.id, fold.at, _encode((p.direct, p.stale, p.event))) for p in rows))


def parked(plain: Plain, ids: Sequence[str]) -> dict[str, list[Parked]]:
    """What is parked of jobs, in the order in which it came."""
    found: dict[str, list[Parked]] = {}
    if ids and plain.all(sql.ANY_PARKED):
        for id, body in plain.among(sql.READ_PARKED, ids):
            direct, stale, event = _decode(body)
            found.setdefault(id, []).append(Parked(id, direct, stale, event))
    return found
