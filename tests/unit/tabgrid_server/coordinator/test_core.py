"""The life of a coordinator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.support.desk import open_account, open_desk


@pytest.mark.parametrize("turns", range(4))
async def test_it_stops_at_once_whatever_has_just_woken_its_clock(
    tmp_path: Path, turns: int
) -> None:
    """In any turn of the loop after it: a wake-up must not stand in for the end."""
    url = f"sqlite:///{tmp_path / 'books.db'}"
    await open_account(url)
    async with open_desk(tmp_path, url, hedge_min_s=3) as desk:
        slow = desk.node(Keypair(), units_per_second=0.01)
        await desk.job()
        await desk.quiet()
        quick = desk.node(Keypair())
        # It has to look after this one earlier than after the slow one's.
        await desk.job()
        assert slow.work
        assert quick.work
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await desk.coordinator.stop()
