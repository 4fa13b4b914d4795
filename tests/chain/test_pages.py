"""Reading an address's history, page after page."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tabgrid_server.chain.rpc import SIGNATURES, Rpc, RpcUnavailable
from tabgrid_server.chain.till import open_till
from tabgrid_server.chain.watching import Watcher
from tests.support.proxies import proxies

from .conftest import TOKEN, World


def same_page(method: str, params: list[Any], result: Any) -> Any:
    """It pays no heed to where the last page ended."""
    if method != "getSignaturesForAddress":
        return result
    row = {"signature": "5" * 87, "slot": 1, "err": None, "memo": None}
    return [row] * SIGNATURES


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
async def test_an_rpc_that_repeats_itself_keeps_nobody_for_ever(world: World) -> None:
    async with proxies(world.url, world.clock, 1) as [proxy], Rpc(proxy.url) as rpc:
        till = await open_till(rpc, world.treasury)
        watcher = Watcher(world.store, rpc, till, TOKEN, world.clock)
        proxy.mood, proxy.lie = "lying", same_page
        async with asyncio.timeout(60):
            with pytest.raises(RpcUnavailable, match="repeats itself"):
                await watcher.step()
