"""Alembic's entry: it runs on the connection, and in the transaction, that it is handed."""

from __future__ import annotations

from alembic import context

from tabgrid_server.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a table in place
)
context.run_migrations()
