"""A PostgreSQL that takes no notice: who waits is told so, and goes on when it is back."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, text

from tabgrid_server.store import StoreUnavailable, database
from tabgrid_server.store.database import open_database
from tests.support.stalling import line_to

pytestmark = pytest.mark.postgres
#: For failure alone.
HANGS_S = 60


def one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


def waiters(connection: Connection) -> int:
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return int(connection.execute(text(waits)).scalar_one())


def hold(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(1)"))


async def test_one_that_answers_no_more_is_unavailable_and_then_works(postgres_url: str) -> None:
    async with line_to(postgres_url) as (line, url), asyncio.timeout(HANGS_S):
        books = open_database(url, within=0.5)
        assert await books.write(one) == 1
        line.stall()
        for ask in (books.read, books.write):
            with pytest.raises(StoreUnavailable):
                await ask(one)
        line.flow()
        assert await books.read(one) == 1
        await books.close()


async def test_it_is_left_although_it_answers_no_farewell(postgres_url: str) -> None:
    async with line_to(postgres_url) as (line, url), asyncio.timeout(HANGS_S):
        books = open_database(url)
        assert await books.write(one) == 1
        line.stall()
        await books.close()


async def test_without_a_free_connection_it_is_unavailable(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POSTGRES_WAIT_S", 0.2)
    monkeypatch.setattr(database, "POSTGRES_POOL", 2)
    other, books = open_database(postgres_url), open_database(postgres_url)
    release, held = asyncio.Event(), asyncio.Event()

    async def holding() -> None:
        engine = other._engine  # type: ignore[attr-defined]
        async with engine.connect() as connection, connection.begin():
            await connection.run_sync(hold)
            held.set()
            await release.wait()

    async with asyncio.timeout(HANGS_S):
        holder = asyncio.create_task(holding())
        await held.wait()
        waiting = [asyncio.create_task(books.write(hold)) for _ in range(2)]
        while await other.read(waiters) < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable):
            await books.read(one)
        release.set()
        await asyncio.gather(holder, *waiting)
        await books.close()
        await other.close()
