"""LiteSVM beside SQLite: what a program's code leaves in the processor changes no comparison."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from tabgrid_server.chain.localnet.machine import FINALITY

from .conftest import World


def rows_after() -> int:
    """Of ten; whole numbers in an index are compared with another as long double."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE times (at REAL)")
    database.execute("CREATE INDEX at ON times (at)")
    database.executemany(
        "INSERT INTO times VALUES (?)", [(1_800_000_000.0 + n,) for n in range(20)]
    )
    query = "SELECT count(*) FROM times WHERE at > 1800000009.5"
    found: int = database.execute(query).fetchone()[0]
    assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    database.close()
    return found


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
async def test_sqlite_reckons_right_beside_the_chain(world: World) -> None:
    """In the chain's own thread, and in one that it starts."""
    wallet = await world.wallet(5_000_000)
    claim = await world.service.reserve(str(wallet.pubkey()))
    assert rows_after() == 10
    await world.signed(claim, wallet)
    await world.service.step()
    assert rows_after() == 10
    with ThreadPoolExecutor(1) as another:
        assert another.submit(rows_after).result() == 10
    world.clock.slots(FINALITY)
    await world.service.step()
    assert rows_after() == 10
