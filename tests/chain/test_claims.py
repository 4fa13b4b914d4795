"""Claims from reserved to their end, on real SPL programs over real HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from solders.keypair import Keypair
from spl.token.instructions import revoke
from spl.token.models import RevokeParams

from tabgrid_server.chain.claims import SIGN_WITHIN_S, Claim
from tabgrid_server.chain.keys import load
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.refusals import (
    ChainUnavailable,
    ClaimRefused,
    ClaimsPaused,
    ClaimUnknown,
)
from tabgrid_server.chain.rpc import Rpc
from tabgrid_server.chain.treasury import ALLOWANCE, approval, run
from tabgrid_server.store import claims as stored
from tests.support.proxies import proxies

from .conftest import World, sign_as_wallet

UNIT = 10**6


async def test_a_claim_is_paid_and_booked_once_final(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    assert (claim.state, claim.amount) == ("reserved", 5 * UNIT)
    assert await world.money(wallet) == (0, 5 * UNIT, 0)

    claim = await world.signed(claim, wallet)
    assert claim.state == "signed"
    assert await world.tokens(wallet) == 0, "nothing is broadcast before the commit"

    await world.service.step()
    assert await world.state(claim) == "confirmed"
    assert await world.tokens(wallet) == 5 * UNIT
    assert await world.money(wallet) == (0, 5 * UNIT, 0), "confirmed is for the screen only"

    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    assert await world.money(wallet) == (0, 0, 5 * UNIT)
    assert world.changes == ["signed", "confirmed", "finalized"]


async def test_the_chain_tells_what_a_claim_did(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.signed(await world.service.reserve(str(wallet.pubkey())), wallet)
    assert claim.txid is not None
    mint = str(world.treasury.mint)
    assert await world.rpc.transaction(claim.txid, mint) is None, "not sent yet"
    await world.service.step()
    told = await world.rpc.transaction(claim.txid, mint)
    assert told is not None
    assert told.error is None
    assert told.signers[0] == str(wallet.pubkey())
    assert told.fee > 0 < told.slot
    assert [(m.amount, m.owner == str(wallet.pubkey())) for m in told.moves] == [
        (5 * UNIT, True), (-5 * UNIT, False),
    ]  # fmt: skip
    assert told.steps[-2].text == f"tabgrid:{claim.id}"
    found = await world.store.read(stored.by_transaction, claim.txid)
    assert found is not None
    assert [each.id for each in found] == [claim.id]


async def test_the_treasury_pays_at_most_its_allowance(world: World) -> None:
    wallet = await world.wallet((ALLOWANCE + 1) * UNIT)
    with pytest.raises(ClaimsPaused, match="allowance is used up"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.money(wallet) == ((ALLOWANCE + 1) * UNIT, 0, 0)


async def test_an_allowance_used_up_before_signing_gives_the_money_back(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    await _approve(world, 4 * UNIT)
    claim = await world.signed(claim, wallet)
    assert claim.state == "failed"
    assert claim.signed is None, "never co-signed, so it can never land"
    assert "allowance is used up" in str(claim.error)
    assert await world.money(wallet) == (5 * UNIT, 0, 0)


@pytest.mark.parametrize(("how", "words"), [("less", "allowance"), ("revoked", "not approved")])
async def test_a_claim_that_fails_on_chain_is_over_only_when_final(
    world: World, how: str, words: str
) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    claim = await world.signed(claim, wallet)
    # Between the simulation and the broadcast the delegate loses its right.
    await (_approve(world, 4 * UNIT) if how == "less" else _revoke(world))
    await world.service.step()
    assert await world.state(claim) == "signed"
    assert await world.money(wallet) == (0, 5 * UNIT, 0), "a fork may still undo the failure"
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "failed"
    assert await world.tokens(wallet) == 0
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    found = await world.service.get(claim.id)
    assert found is not None
    assert words in str(found.error)


async def test_an_unsigned_claim_expires_with_its_blockhash(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    world.clock.slots(WINDOW + FINALITY + 1)
    await world.service.step()
    assert await world.state(claim) == "expired"
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    late = await world.signed(claim, wallet)
    assert late.state == "expired"
    assert late.signed is None


async def test_a_wallet_that_signs_too_late_is_not_co_signed(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    world.clock.slots(WINDOW + 1)
    late = await world.signed(claim, wallet)
    assert late.state == "expired"
    assert late.signed is None
    assert await world.money(wallet) == (5 * UNIT, 0, 0)


async def test_an_unsigned_claim_expires_even_while_no_rpc_answers(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    await world.stop_chain()
    world.clock.at += SIGN_WITHIN_S
    await world.service.step()
    assert await world.state(claim) == "expired"
    assert await world.money(wallet) == (5 * UNIT, 0, 0)


async def test_a_signed_claim_that_never_lands_expires_only_past_its_height(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    world.clock.slots(WINDOW)
    claim = await world.signed(claim, wallet)
    assert claim.state == "signed"
    world.clock.slots(1)  # the next block is one too late for it
    await world.service.step()
    assert await world.state(claim) == "signed", "the last valid height is not final yet"
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "expired"
    assert await world.tokens(wallet) == 0
    assert await world.money(wallet) == (5 * UNIT, 0, 0)


async def test_open_claims_go_on_after_a_restart(world: World) -> None:
    unsigned, signed = await world.wallet(3 * UNIT), await world.wallet(4 * UNIT)
    first = await world.service.reserve(str(unsigned.pubkey()))
    second = await world.service.reserve(str(signed.pubkey()))
    await world.signed(second, signed)

    world.service = world.new_service()
    assert await world.service.resume() == 2
    again = await world.service.reserve(str(unsigned.pubkey()))
    assert again.id == first.id
    await world.signed(again, unsigned)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert [await world.tokens(w) for w in (unsigned, signed)] == [3 * UNIT, 4 * UNIT]
    assert await world.money(unsigned) == (0, 0, 3 * UNIT)
    assert await world.money(signed) == (0, 0, 4 * UNIT)


async def test_after_a_restart_only_what_the_chain_lacks_is_sent_again(world: World) -> None:
    first, second = await world.wallet(3 * UNIT), await world.wallet(4 * UNIT)
    sent = await world.signed(await world.service.reserve(str(first.pubkey())), first)
    await world.service.step()
    unsent = await world.signed(await world.service.reserve(str(second.pubkey())), second)
    async with proxies(world.url, world.clock, 1) as [proxy], Rpc(proxy.url) as world.rpc:
        world.service = world.new_service()
        assert await world.service.resume() == 2
        await world.service.step()
        assert proxy.asked.count("sendTransaction") == 1
        assert await world.state(unsent) == "confirmed"
        world.clock.slots(FINALITY)
        await world.service.step()
        assert [await world.state(each) for each in (sent, unsent)] == ["finalized"] * 2
        assert [await world.tokens(w) for w in (first, second)] == [3 * UNIT, 4 * UNIT]


async def test_two_claims_at_once_are_one(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    address = str(wallet.pubkey())
    first, second = await asyncio.gather(
        world.service.reserve(address), world.service.reserve(address)
    )
    assert first.id == second.id
    assert await world.money(wallet) == (0, 5 * UNIT, 0)


async def test_two_processes_never_reserve_the_same_money(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    address = str(wallet.pubkey())
    told = await asyncio.gather(
        *(world.new_service().reserve(address) for _ in range(4)), return_exceptions=True
    )
    assert len({each.id for each in told if isinstance(each, Claim)}) == 1, told
    assert await world.money(wallet) == (0, 5 * UNIT, 0)


async def test_new_earnings_make_a_second_claim_once_the_first_is_final(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    address = str(wallet.pubkey())
    first = await world.signed(await world.service.reserve(address), wallet)
    await world.earn(wallet, 2 * UNIT)
    with pytest.raises(ClaimRefused, match="still on its way"):
        await world.service.reserve(address)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    second = await world.signed(await world.service.reserve(address), wallet)
    assert second.id != first.id
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.tokens(wallet) == 7 * UNIT
    assert await world.money(wallet) == (0, 0, 7 * UNIT)


async def test_signing_twice_co_signs_once(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    raw = sign_as_wallet(claim, wallet)
    told = await asyncio.gather(
        *(world.service.sign(claim.id, str(wallet.pubkey()), raw) for _ in range(3))
    )
    assert {(each.state, each.txid) for each in told} == {("signed", told[0].txid)}
    assert world.changes == ["signed"]


async def test_two_processes_co_sign_once(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    other = world.new_service()
    raw, address = sign_as_wallet(claim, wallet), str(wallet.pubkey())
    await asyncio.gather(
        world.service.sign(claim.id, address, raw), other.sign(claim.id, address, raw)
    )
    assert world.changes == ["signed"]
    for service in (world.service, other, world.service):
        await service.step()
        world.clock.slots(FINALITY)
    assert await world.tokens(wallet) == 5 * UNIT
    assert await world.money(wallet) == (0, 0, 5 * UNIT)


async def test_a_claim_waits_while_the_rpc_is_down_and_goes_on_when_it_is_back(
    world: World,
) -> None:
    wallet = await world.wallet(5 * UNIT)
    address = str(wallet.pubkey())
    claim = await world.service.reserve(address)
    raw = sign_as_wallet(claim, wallet)

    await world.stop_chain()
    with pytest.raises(ChainUnavailable, match="Nothing is lost"):
        await world.service.sign(claim.id, address, raw)
    assert await world.state(claim) == "reserved"

    await world.start_chain()
    assert (await world.service.sign(claim.id, address, raw)).state == "signed"
    await world.stop_chain()
    following = asyncio.create_task(world.service.run())
    await world.start_chain()
    await world.until("confirmed")
    world.clock.slots(FINALITY)
    await world.until("finalized")
    following.cancel()
    assert await world.tokens(wallet) == 5 * UNIT
    assert await world.money(wallet) == (0, 0, 5 * UNIT)


async def test_a_wallet_without_sol_is_told_before_anything_moves(world: World) -> None:
    wallet = await world.wallet(5 * UNIT, lamports=0)
    with pytest.raises(ClaimRefused, match="too little SOL"):
        await world.service.reserve(str(wallet.pubkey()))
    poor = await world.wallet(5 * UNIT, lamports=1_000_000)  # the fee, but no rent
    with pytest.raises(ClaimRefused, match="too little SOL"):
        await world.service.reserve(str(poor.pubkey()))
    assert await world.money(wallet) == (5 * UNIT, 0, 0)


async def test_the_faucet_welcomes_a_wallet_once(world: World) -> None:
    wallet = Keypair()
    for _ in range(3):
        await world.service.welcome(str(wallet.pubkey()))
    assert await world.rpc.balance(wallet.pubkey()) == world.settings.faucet
    await world.stop_chain()
    await world.service.welcome(str(wallet.pubkey()))  # and never stands in the way


async def test_nobody_signs_anothers_claim(world: World) -> None:
    wallet, thief = await world.wallet(5 * UNIT), await world.wallet(UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    raw = sign_as_wallet(claim, wallet)
    with pytest.raises(ClaimUnknown):
        await world.service.sign(claim.id, str(thief.pubkey()), raw)
    with pytest.raises(ClaimUnknown):
        await world.service.sign("claim_none", str(wallet.pubkey()), raw)
    with pytest.raises(ClaimRefused, match="not a transaction"):
        await world.service.sign(claim.id, str(wallet.pubkey()), b"\xff" * 40)
    assert await world.state(claim) == "reserved"


async def test_nothing_and_dust_cannot_be_claimed(world: World) -> None:
    wallet = await world.wallet(world.settings.claim_minimum - 1)
    for address in (str(wallet.pubkey()), str(Keypair().pubkey())):
        with pytest.raises(ClaimRefused, match=r"at least 0\.001 TGT"):
            await world.service.reserve(address)


async def test_a_chain_that_restarts_has_forgotten_nothing(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.signed(await world.service.reserve(str(wallet.pubkey())), wallet)
    await world.service.step()
    before = await world.treasury.status(world.rpc)
    await world.stop_chain()
    await world.start_chain()
    assert await world.treasury.status(world.rpc) == before
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    assert await world.tokens(wallet) == 5 * UNIT


async def test_the_books_show_each_claim(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    claim = await world.signed(await world.service.reserve(str(wallet.pubkey())), wallet)
    (shown,) = await world.service.of_wallet(str(wallet.pubkey()))
    assert (shown.id, shown.signature, shown.signed) == (claim.id, claim.txid, claim.signed)
    assert [each.id for each in await world.store.read(stored.open_claims)] == [claim.id]


async def _approve(world: World, amount: int) -> None:
    cold = load(_cold(world))
    await run(world.rpc, [approval(world.treasury, cold.pubkey(), amount)], [cold])


async def _revoke(world: World) -> None:
    cold, treasury = load(_cold(world)), world.treasury
    params = RevokeParams(
        program_id=treasury.token_program, account=treasury.account, owner=cold.pubkey(), signers=[]
    )
    await run(world.rpc, [revoke(params)], [cold])


def _cold(world: World) -> Path:
    return world.data / "keys" / "cold.json"
