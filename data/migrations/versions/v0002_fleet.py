"""History of a fleet: what came by which road, conflicts, states of the link, proofs, and what jobs need."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = "resolved_at = 0 AND kind <> ''"


def _name(column: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(column, _NAME, nullable=False, server_default=default)


def _long(column: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(column, sa.Text(), nullable=False, server_default=default)


def _big(column: str, default: str | None = None, *, counts_up: bool = False) -> sa.Column[int]:
    return sa.Column(column, _BIG, nullable=False, autoincrement=counts_up, server_default=default)


def _seconds(column: str, default: str | None = None) -> sa.Column[float]:
    return sa.Column(column, sa.Double(), nullable=False, server_default=default)


def _yes_no(column: str, default: sa.ColumnElement[bool] | None = None) -> sa.Column[bool]:
    return sa.Column(column, sa.Boolean(), nullable=False, server_default=default)


def _added() -> list[tuple[str, sa.Column[Any]]]:
    """Columns that tables of 0001 get; rows that are there say nothing of them."""
    return [
        ("jobs", _name("needs", "")),
        ("jobs", _seconds("due_at", "0")),
        ("jobs", _big("rank", "0")),
        ("agents", _seconds("first_at", "0")),
        ("agents", _big("completed", "0")),
        ("agents", _big("failed", "0")),
        ("marks", _big("number", "0")),
        ("moments", sa.Column("extra", sa.Integer(), nullable=False, server_default="1")),
    ]


def upgrade() -> None:
    for table, column in _added():
        op.add_column(table, column)
    op.execute("UPDATE agents SET first_at = started_at")
    for make in (_lanes, _streams, _parked, _link_changes, _conflicts, _proofs):
        make()


def downgrade() -> None:
    for table in ("proofs", "conflicts", "link_changes", "parked", "streams", "lanes"):
        op.drop_table(table)
    for table, column in reversed(_added()):
        op.drop_column(table, column.name)


def _lanes() -> None:
    op.create_table(
        "lanes",
        _name("node"),
        _name("queue"),
        _name("kind"),
        _big("number"),
        sa.PrimaryKeyConstraint("node", "queue", "kind"),
        sqlite_with_rowid=False,
    )


def _streams() -> None:
    op.create_table(
        "streams",
        _name("fleet"),
        _name("stream"),
        _name("mark"),
        sa.PrimaryKeyConstraint("fleet", "stream"),
        sqlite_with_rowid=False,
    )


def _parked() -> None:
    op.create_table(
        "parked",
        _big("n", counts_up=True),
        _name("job"),
        _seconds("at"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_index("parked_job", "parked", ["job"])


def _link_changes() -> None:
    op.create_table(
        "link_changes",
        _name("node"),
        _seconds("at"),
        _name("state"),
        _long("reason"),
        _yes_no("forced"),
        _name("by"),
        sa.PrimaryKeyConstraint("node", "at", "state"),
    )
    op.create_index("link_changes_at", "link_changes", ["at"])


def _conflicts() -> None:
    """Defaults: the decision may come before the conflict, and the other way round."""
    op.create_table(
        "conflicts",
        _name("id"),
        _seconds("at", "0"),
        _name("job", ""),
        _name("queue", ""),
        _name("kind", ""),
        _name("node", ""),
        _name("first", ""),
        _name("later", ""),
        _long("body", "null"),
        _yes_no("whole", sa.true()),
        _seconds("resolved_at", "0"),
        _name("choice", ""),
        _name("by", ""),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("conflicts_at", "conflicts", ["at", "id"])
    op.create_index("conflicts_job", "conflicts", ["job"])
    where = sa.text(_OPEN)
    op.create_index("conflicts_open", "conflicts", ["at", "id"], sqlite_where=where, postgresql_where=where)


def _proofs() -> None:
    op.create_table(
        "proofs",
        _name("node"),
        _big("epoch"),
        _seconds("at"),
        _seconds("began_at"),
        _big("events"),
        _big("bytes"),
        _big("conflicts"),
        _big("rewound"),
        _yes_no("equal"),
        _long("lanes"),
        sa.PrimaryKeyConstraint("node", "epoch", "at"),
    )
    op.create_index("proofs_at", "proofs", ["at"])
