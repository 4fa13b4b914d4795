"""Claims, epochs and deposits as the application keeps them going."""

from __future__ import annotations

import asyncio

import msgspec
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from tabgrid_server.chain.payouts import Payouts
from tabgrid_server.settings import Server, Settings
from tests.chain.conftest import World, sign_as_wallet

UNIT = 10**6


def _rename(connection: Connection, old: str, new: str) -> None:
    connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


async def test_claims_are_followed_although_they_could_not_be_read_when_the_chain_came(
    world: World,
) -> None:
    chain = msgspec.structs.replace(world.settings, rpc=(world.url,))
    settings = Settings(server=Server(data=str(world.data)), chain=chain, grids={})
    payouts = Payouts(settings, world.store)
    wallet = await world.wallet(5 * UNIT)
    await world.store.write(_rename, "claims", "away")
    with capture_logs() as logs:
        running = asyncio.create_task(payouts.run())
        async with asyncio.timeout(60):
            while not any(each.get("work") == "claims" for each in logs):
                assert not running.done(), running
                await asyncio.sleep(0.01)
    await world.store.write(_rename, "away", "claims")
    claim = await payouts.service.reserve(str(wallet.pubkey()))
    await payouts.service.sign(claim.id, str(wallet.pubkey()), sign_as_wallet(claim, wallet))
    async with asyncio.timeout(60):
        while await world.tokens(wallet) == 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
