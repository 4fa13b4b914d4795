"""The tests' own PostgreSQL gives each test an empty database."""

from __future__ import annotations

import asyncpg
import pytest


@pytest.mark.postgres
async def test_database_is_there_and_empty(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    try:
        count = "select count(*) from information_schema.tables where table_schema = 'public'"
        assert await connection.fetchval(count) == 0
    finally:
        await connection.close()
