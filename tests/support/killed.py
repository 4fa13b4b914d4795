"""What a killed process leaves in a database server."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from tabgrid_server.store import Store


def _at_work(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        return 0
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    return int(found.scalar_one())


async def until_at_rest(store: Store) -> None:
    """PostgreSQL goes on with what it was last asked, though nobody is there to be told."""
    async with asyncio.timeout(60):
        while await store.read(_at_work):
            await asyncio.sleep(0.02)
