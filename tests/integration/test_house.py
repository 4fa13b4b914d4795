"""What has to be done again and again is done again after it failed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

import pytest

from tests.integration.conftest import EchoGrid, assigned

#: What the engine says to a change: a rule is broken, as by a race; and something unheard of.
REFUSALS = {"conflict": "RAISE(ABORT, 'not so')", "bug": "zeroblob(1 << 40)"}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_earnings_are_released_although_that_failed_once(
    make_echo_grid: Callable[..., EchoGrid], refusal: str
) -> None:
    grid = make_echo_grid()
    coordinator = grid.start()
    books = sqlite3.connect(grid.folder / "data" / "tabgrid.db", isolation_level=None, timeout=60)
    books.execute(
        f"CREATE TRIGGER refuse BEFORE UPDATE ON earnings BEGIN SELECT {REFUSALS[refusal]}; END"
    )
    async with grid.client(await grid.make_key()) as client, grid.node() as node:
        job = {"model": "echo", "input": {"text": "hello"}}
        await client.post("/api/jobs", json=job)
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        async with asyncio.timeout(60):
            while " again" not in coordinator.text():
                await asyncio.sleep(0.05)
        books.execute("DROP TRIGGER refuse")
        books.close()
        path = f"/api/wallets/{node.wallet}"
        await grid.wait_for(path, lambda wallet: wallet["claimable"] > 0, within_s=60)
