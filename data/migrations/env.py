"""Alembic's entry: runs the steps on the connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from data.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
