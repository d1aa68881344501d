"""The first shape of history: jobs, attempts and what hangs on them, minutes, agents, marks and the audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(column: str) -> sa.Column[str]:
    return sa.Column(column, _NAME, nullable=False)


def _long(column: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(column, sa.Text(), nullable=nullable)


def _big(column: str, counts_up: bool = False) -> sa.Column[int]:
    return sa.Column(column, _BIG, nullable=False, autoincrement=counts_up)


def _whole(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.Integer(), nullable=False)


def _seconds(column: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(column, sa.Double(), nullable=nullable)


def _yes_no(column: str) -> sa.Column[bool]:
    return sa.Column(column, sa.Boolean(), nullable=False)


def upgrade() -> None:
    for make in (_jobs, _attempts, _logs, _outputs, _moments, _minutes, _agents, _pauses, _marks, _audit):
        make()
    _indexes()
    _partial_indexes()
    _keep_audit()


def downgrade() -> None:
    for table in ("audit", "marks", "pauses", "agents", "minutes", "moments", "outputs", "logs", "attempts", "jobs"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_append_only()")


def _jobs() -> None:
    op.create_table(
        "jobs",
        _big("n"),
        _name("id"),
        _name("queue"),
        _name("task"),
        _name("tenant"),
        _name("state"),
        _whole("priority"),
        _seconds("created_at"),
        _seconds("available_at"),
        _seconds("run_at"),
        _seconds("expires_at"),
        _seconds("started_at"),
        _seconds("ended_at"),
        _seconds("timeout"),
        _whole("attempt"),
        _whole("max_attempts"),
        _whole("rescues"),
        _big("token"),
        _yes_no("cancelling"),
        _yes_no("masked"),
        _name("agent"),
        _name("worker"),
        _name("idempotency_key"),
        _name("unique_key"),
        _name("correlation_id"),
        _name("error_type"),
        _name("fingerprint"),
        _seconds("progress", nullable=True),
        _long("progress_message"),
        _long("reason"),
        _long("note"),
        _long("error_message"),
        _long("args"),
        _long("metadata"),
        _long("result", nullable=True),
        sa.PrimaryKeyConstraint("n"),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        _big("job"),
        _big("token"),
        _whole("number"),
        _name("state"),
        _name("agent"),
        _name("worker"),
        _seconds("available_at"),
        _seconds("started_at"),
        _seconds("ended_at"),
        _seconds("run_at"),
        _seconds("cpu"),
        _big("memory"),
        _long("reason"),
        _name("error_type"),
        _name("fingerprint"),
        _long("error_message"),
        _long("traceback"),
        sa.PrimaryKeyConstraint("job", "token"),
        sqlite_with_rowid=False,
    )


def _logs() -> None:
    op.create_table(
        "logs",
        _big("n", counts_up=True),
        _big("job"),
        _whole("attempt"),
        _seconds("at"),
        _name("level"),
        _long("text"),
        sa.PrimaryKeyConstraint("n"),
    )


def _outputs() -> None:
    op.create_table(
        "outputs",
        _big("job"),
        _name("name"),
        _whole("attempt"),
        _seconds("at"),
        _long("value"),
        sa.PrimaryKeyConstraint("job", "name"),
        sqlite_with_rowid=False,
    )


def _moments() -> None:
    op.create_table(
        "moments",
        _big("n", counts_up=True),
        _big("job"),
        _seconds("at"),
        _name("kind"),
        _long("text"),
        sa.PrimaryKeyConstraint("n"),
    )


def _minutes() -> None:
    op.create_table(
        "minutes",
        _whole("minute"),
        _name("queue"),
        _name("task"),
        _name("tenant"),
        _name("outcome"),
        _whole("n"),
        _seconds("run_seconds"),
        _seconds("wait_seconds"),
        _long("runs"),
        _long("waits"),
        sa.PrimaryKeyConstraint("minute", "queue", "task", "tenant", "outcome"),
        sqlite_with_rowid=False,
    )


def _agents() -> None:
    op.create_table(
        "agents",
        _name("agent"),
        _name("host"),
        _big("pid"),
        _name("version"),
        _seconds("started_at"),
        _seconds("seen_at"),
        _seconds("stopped_at"),
        _long("reason"),
        _long("info"),
        sa.PrimaryKeyConstraint("agent"),
    )


def _pauses() -> None:
    op.create_table(
        "pauses",
        _name("queue"),
        _yes_no("paused"),
        _seconds("at"),
        _name("by"),
        sa.PrimaryKeyConstraint("queue"),
    )


def _marks() -> None:
    op.create_table(
        "marks",
        _name("name"),
        _big("position"),
        _seconds("at"),
        sa.PrimaryKeyConstraint("name"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        _big("n"),
        _seconds("at"),
        _name("actor"),
        _name("action"),
        _name("target"),
        _name("tenant"),
        _name("outcome"),
        _long("detail"),
        _name("hash"),
        sa.PrimaryKeyConstraint("n"),
    )


def _indexes() -> None:
    op.create_index("jobs_id", "jobs", ["id"], unique=True)
    op.create_index("jobs_state", "jobs", ["state", "created_at"])
    op.create_index("jobs_queue", "jobs", ["queue", "state", "created_at"])
    op.create_index("jobs_task", "jobs", ["task", "state", "created_at"])
    op.create_index("logs_job", "logs", ["job"])
    op.create_index("moments_job", "moments", ["job"])


def _partial_indexes() -> None:
    for table, name, condition, columns in (
        ("jobs", "jobs_tenant", "tenant <> ''", ["tenant", "state", "created_at"]),
        ("jobs", "jobs_key", "idempotency_key <> ''", ["idempotency_key"]),
        ("jobs", "jobs_correlation", "correlation_id <> ''", ["correlation_id"]),
        ("jobs", "jobs_dead", "state = 'dead'", ["fingerprint", "ended_at", "tenant", "task", "queue"]),
        ("jobs", "jobs_rescued", "rescues > 0", ["created_at"]),
        ("jobs", "jobs_due", "state IN ('scheduled', 'retryable')", ["run_at"]),
        ("minutes", "minutes_tenant_queue", "tenant <> ''", ["tenant", "queue"]),
        ("minutes", "minutes_tenant_task", "tenant <> ''", ["tenant", "task"]),
    ):
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _keep_audit() -> None:
    """Refuse to change or remove what was written to the audit."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )
