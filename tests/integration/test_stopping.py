"""SIGTERM ends a coordinator, whatever it is at and whatever hangs."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from tabgrid_server import migrations
from tests.integration.conftest import EchoGrid
from tests.support.stalling import line_to

#: For failure alone: its drain takes 3 s here, and what hangs then is cut off 10 s later.
HANGS_S = 60


async def ended(grid: EchoGrid) -> int:
    coordinator = grid.programs._started[-1]
    coordinator.signal(signal.SIGTERM)
    return await asyncio.to_thread(coordinator.ended, HANGS_S)


async def test_where_what_it_keeps_at_its_end_cannot_be_kept(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid()
    grid.start()
    books = sqlite3.connect(grid.folder / "data" / "tabgrid.db", isolation_level=None, timeout=60)
    books.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON trust_snapshots BEGIN SELECT zeroblob(1 << 40); END"
    )
    books.close()
    assert await ended(grid) == 0


@pytest.mark.postgres
async def test_where_its_database_answers_no_more(
    make_echo_grid: Callable[..., EchoGrid], postgres_url: str
) -> None:
    async with line_to(postgres_url) as (line, url):
        grid = make_echo_grid(database=url)
        await asyncio.to_thread(grid.start)
        line.stall()
        assert await ended(grid) in (0, -signal.SIGALRM)


@pytest.mark.postgres
async def test_where_it_has_not_even_begun(
    make_echo_grid: Callable[..., EchoGrid], postgres_url: str
) -> None:
    plain = make_url(postgres_url).set(drivername="postgresql").render_as_string()
    other = await asyncpg.connect(plain)
    await other.execute(f"SELECT pg_advisory_lock({migrations._LOCK})")
    grid = make_echo_grid(database=postgres_url)
    starting = asyncio.create_task(asyncio.to_thread(grid.start))
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(HANGS_S):
        while not await other.fetchval(waits):
            await asyncio.sleep(0.05)
    assert await ended(grid) == -signal.SIGALRM
    with pytest.raises(AssertionError, match="ended with"):
        await starting
    await other.close()
