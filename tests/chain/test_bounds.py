"""What bounds a loss: the allowance, the treasury, the caps and their breaker."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from solders.keypair import Keypair

from tabgrid_server.chain.keys import load
from tabgrid_server.chain.localnet.machine import FINALITY
from tabgrid_server.chain.refusals import ClaimsPaused
from tabgrid_server.chain.treasury import approval, run
from tabgrid_server.store import breaker

from .conftest import TOKEN, World

UNIT = 10**6


def capped(world: World, **settings: int) -> None:
    world.settings = replace(world.settings, **settings)
    world.service = world.new_service()


async def claimed(world: World, wallet: Keypair) -> None:
    claim = await world.service.reserve(str(wallet.pubkey()))
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()


async def approve(world: World, amount: int) -> None:
    cold = load(world.data / "keys" / "cold.json")
    await run(world.rpc, [approval(world.treasury, cold.pubkey(), amount)], [cold])


@pytest.mark.parametrize(("cap", "words"), [("cap_hour", "an hour"), ("cap_day", "a day")])
async def test_a_cap_trips_the_breaker_until_a_person_resets_it(
    world: World, cap: str, words: str
) -> None:
    capped(world, **{cap: 10 * UNIT})
    first, second = await world.wallet(6 * UNIT), await world.wallet(6 * UNIT)
    await claimed(world, first)
    claim = await world.service.reserve(str(second.pubkey()))
    with pytest.raises(ClaimsPaused, match="reached their cap"):
        await world.signed(claim, second)
    assert await world.state(claim) == "reserved", "nothing was co-signed"
    with pytest.raises(ClaimsPaused):
        await world.service.reserve(str((await world.wallet(UNIT)).pubkey()))
    trip = await world.store.read(breaker.open_trip, TOKEN)
    assert trip is not None
    assert f"12,000,000 base units of TGT within {words}; the cap is 10,000,000" in trip.reason

    assert await world.store.write(breaker.reset, TOKEN, "looked", world.clock())
    assert not await world.store.write(breaker.reset, TOKEN, "again", world.clock())
    await world.signed(claim, second)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.tokens(second) == 6 * UNIT, "what was before the reset is answered for"
    assert [each.note for each in await world.store.read(breaker.trips, TOKEN)] == ["looked"]


async def test_a_cap_looks_back_for_its_time_and_no_longer(world: World) -> None:
    capped(world, cap_hour=10 * UNIT)
    for _ in range(3):
        await claimed(world, await world.wallet(9 * UNIT))
        world.clock.at += breaker.HOUR_S
    assert await world.store.read(breaker.trips, TOKEN) == []


async def test_what_never_was_paid_does_not_count(world: World) -> None:
    capped(world, cap_hour=10 * UNIT)
    wallet = await world.wallet(9 * UNIT)
    for _ in range(3):
        claim = await world.service.reserve(str(wallet.pubkey()))
        await world.signed(claim, wallet)
        world.clock.slots(151)  # it is sent too late
        await world.service.step()
        world.clock.slots(FINALITY)
        await world.service.step()
        assert await world.state(claim) == "expired"
    await claimed(world, wallet)
    assert await world.tokens(wallet) == 9 * UNIT


async def test_two_processes_share_a_cap(world: World) -> None:
    capped(world, cap_hour=10 * UNIT)
    wallets = [await world.wallet(6 * UNIT), await world.wallet(6 * UNIT)]
    claims = [await world.service.reserve(str(each.pubkey())) for each in wallets]
    await world.signed(claims[0], wallets[0])
    world.service = world.new_service()
    with pytest.raises(ClaimsPaused):
        await world.signed(claims[1], wallets[1])


async def test_claims_pause_before_the_allowance_is_used_up(world: World) -> None:
    """What is under way is kept for those whose it is, and the chain never has to refuse."""
    capped(world, pause_below=2 * UNIT)
    await approve(world, 10 * UNIT)
    first, second, third = [await world.wallet(each * UNIT) for each in (5, 4, 3)]
    claim = await world.service.reserve(str(first.pubkey()))
    for wallet in (second, third):
        if wallet is second:
            with pytest.raises(ClaimsPaused, match="allowance is used up"):
                await world.service.reserve(str(wallet.pubkey()))
    await world.signed(claim, first)
    await world.service.step()
    await claimed(world, third)
    assert await world.tokens(third) == 3 * UNIT, "5 of 10 paid, 3 fit, 2 stay"
    await world.service.keep_house()
    assert world.service.paused == ""
    await approve(world, UNIT)
    world.clock.at += 10
    await world.service.keep_house()
    assert "allowance is used up" in world.service.paused
    await approve(world, 100 * UNIT)
    world.clock.at += 10
    await world.service.keep_house()
    assert world.service.paused == ""
    await claimed(world, second)
