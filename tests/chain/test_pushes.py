"""Payouts that the grid pushes to wallets without SOL, on real SPL programs over real HTTP."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3

import pytest
from msgspec.structs import replace
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tabgrid_server.chain.batches import claim_at
from tabgrid_server.chain.claims import PUSH_WITHIN_S, Claim
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.markers import RENT
from tabgrid_server.chain.refusals import ClaimRefused, ClaimsPaused
from tabgrid_server.chain.signers import signed
from tabgrid_server.store import claims as stored
from tabgrid_server.store import ledger as books
from tabgrid_server.store.audit import findings

from .conftest import TOKEN, World

UNIT = 10**6
FEE, ACCOUNT = UNIT // 20, UNIT // 5


@pytest.fixture
def world(world: World) -> World:
    """The grid pushes payouts from 1 TGT on."""
    world.settings = replace(
        world.settings,
        push_minimum=UNIT,
        push_fee=FEE,
        push_account_fee=ACCOUNT,
        push_wait_s=10,
    )
    world.service = world.new_service()
    return world


async def ask(world: World, wallet: Keypair, max_fee: int = FEE + ACCOUNT) -> Claim:
    world.clock.at += 0.01  # who asks first is served first
    return await world.service.push(str(wallet.pubkey()), max_fee)


async def until_final(world: World) -> None:
    """Signed, sent and seen in one look each, then final."""
    world.clock.at += world.settings.push_wait_s
    for _ in range(2):
        await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()


async def right(world: World) -> None:
    broken = [each for each in await world.store.read(findings) if each.broken]
    assert broken == []


async def test_a_wallet_without_sol_is_paid_less_the_fee(world: World) -> None:
    wallet = await world.wallet(5 * UNIT, lamports=0)
    address = str(wallet.pubkey())
    offer = await world.service.offer(address)
    assert (offer.fee, offer.creates_account, offer.has_sol) == (FEE + ACCOUNT, True, False)
    with pytest.raises(ClaimRefused, match=r"The fee is 0\.25 TGT now"):
        await ask(world, wallet, max_fee=FEE)
    claim = await ask(world, wallet)
    assert (claim.state, claim.amount, claim.push_fee) == ("reserved", 5 * UNIT, FEE + ACCOUNT)
    assert claim.transaction is None
    assert await world.money(wallet) == (0, 5 * UNIT, 0)
    await world.service.step()
    assert await world.state(claim) == "reserved", "it waits for others"

    world.clock.at += world.settings.push_wait_s
    await world.service.step()
    assert await world.state(claim) == "signed"
    assert await world.tokens(wallet) == 0, "committed before it is sent"
    await world.service.step()
    assert await world.state(claim) == "confirmed"
    assert await world.tokens(wallet) == 5 * UNIT - FEE - ACCOUNT
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    summary = await world.store.read(books.wallet_summary, address, TOKEN)
    assert (summary.paid, summary.push_fees) == (5 * UNIT - FEE - ACCOUNT, FEE + ACCOUNT)
    assert summary.earned == 5 * UNIT
    assert await world.store.read(books.balance, "system:push_fees", TOKEN) == FEE + ACCOUNT
    assert await world.rpc.balance(wallet.pubkey()) == 0
    await right(world)


async def test_three_share_a_transaction_and_the_next_wait_for_theirs(world: World) -> None:
    """Two whose account is made and one that has one fit; three that need one do not."""
    known = await world.wallet(2 * UNIT, lamports=0)
    await ask(world, known)
    await until_final(world)
    await world.earn(known, 3 * UNIT)
    others = [await world.wallet((n + 2) * UNIT, lamports=0) for n in range(3)]
    made = [await ask(world, each) for each in (known, *others)]
    assert made[0].push_fee == FEE, "its account is there"
    await until_final(world)
    ends = [await world.service.get(claim.id) for claim in made]
    assert [each.state for each in ends if each] == ["finalized"] * 4
    txids = [each.txid for each in ends if each]
    assert len(set(txids[:3])) == 1
    assert txids[3] != txids[0]
    raw = next(each.signed for each in ends if each and each.signed)
    assert len(raw) == 1223
    message = VersionedTransaction.from_bytes(raw).message
    assert {claim_at(message, n) for n in range(len(message.instructions))} == {
        None, *(claim.id for claim in made[:3])
    }  # fmt: skip
    shared = await world.store.read(stored.by_transaction, str(txids[0]))
    assert [each.id for each in shared] == [claim.id for claim in made[:3]]
    for n, wallet in enumerate(others):
        assert await world.tokens(wallet) == (n + 2) * UNIT - FEE - ACCOUNT
    await right(world)


async def test_pressing_twice_and_the_other_button_change_nothing(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    first, second = await asyncio.gather(ask(world, wallet), ask(world, wallet))
    assert first.id == second.id
    with pytest.raises(ClaimRefused, match="about to pay"):
        await world.service.reserve(str(wallet.pubkey()))
    with pytest.raises(ClaimRefused, match="about to pay"):
        await world.service.sign(first.id, str(wallet.pubkey()), b"")
    await until_final(world)
    assert await world.tokens(wallet) == 5 * UNIT - FEE - ACCOUNT
    await world.earn(wallet, 5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    with pytest.raises(ClaimRefused, match="waits for this wallet's signature"):
        await ask(world, wallet)
    await world.signed(claim, wallet)
    with pytest.raises(ClaimRefused, match="still on its way"):
        await ask(world, wallet)
    await right(world)


async def test_too_little_and_a_grid_that_pushes_none(world: World) -> None:
    wallet = await world.wallet(UNIT - 1, lamports=0)
    with pytest.raises(ClaimRefused, match="at least 1 TGT"):
        await ask(world, wallet)
    assert await world.money(wallet) == (UNIT - 1, 0, 0)
    world.settings = replace(world.settings, push_minimum=0)
    world.service = world.new_service()
    with pytest.raises(ClaimRefused, match="needs a little SOL"):
        await ask(world, wallet)


async def test_a_grid_without_sol_refuses_first_and_gives_back_later(world: World) -> None:
    wallet = await world.wallet(5 * UNIT, lamports=0)
    claim = await ask(world, wallet)
    await _leave(world, RENT)
    world.clock.at += world.settings.push_wait_s
    await world.service.step()
    assert await world.state(claim) == "reserved", "an operator may send some"
    other = await world.wallet(5 * UNIT, lamports=0)
    with pytest.raises(ClaimsPaused, match="too little SOL"):
        await ask(world, other)
    world.clock.at += PUSH_WITHIN_S
    await world.service.step()
    assert await world.state(claim) == "expired"
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    await right(world)


async def test_one_that_was_paid_meanwhile_is_taken_out_and_the_others_go(world: World) -> None:
    """The books were restored: the chain has this wallet's payment, and refuses another."""
    first, second = [await world.wallet(5 * UNIT, lamports=0) for _ in range(2)]
    await ask(world, first)
    copy = world.data / "backup.db"
    if world.database.startswith("sqlite"):
        with sqlite3.connect(world.data / "tabgrid.db") as source, sqlite3.connect(copy) as target:
            source.backup(target)
    else:
        pytest.skip("a backup here is a file")
    await until_final(world)
    assert await world.tokens(first) == 5 * UNIT - FEE - ACCOUNT
    await world.close_store()
    for each in world.data.glob("tabgrid.db*"):
        each.unlink()
    shutil.copy(copy, world.data / "tabgrid.db")
    await world.open_store()
    await world.service.resume()
    await ask(world, second)
    await until_final(world)
    assert await world.tokens(second) == 5 * UNIT - FEE - ACCOUNT
    assert await world.money(first) == (5 * UNIT, 0, 0), "given back, and not booked yet"
    with pytest.raises(ClaimRefused, match="too little"):
        await ask(world, first)
    assert await world.tokens(first) == 5 * UNIT - FEE - ACCOUNT, "not paid twice"
    summary = await world.store.read(books.wallet_summary, str(first.pubkey()), TOKEN)
    assert (summary.paid, summary.push_fees) == (5 * UNIT - FEE - ACCOUNT, FEE + ACCOUNT)
    await right(world)


async def test_a_payout_that_expires_on_chain_goes_back_and_can_be_had_again(world: World) -> None:
    wallet = await world.wallet(5 * UNIT, lamports=0)
    claim = await ask(world, wallet)
    world.clock.at += world.settings.push_wait_s
    await world.service.step()
    assert await world.state(claim) == "signed"
    world.clock.slots(WINDOW + FINALITY + 1)  # and nobody sent it
    world.service = world.new_service()
    await world.service.resume()
    await world.service.step()
    await world.service.step()
    assert await world.state(claim) == "expired"
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    await ask(world, wallet)
    await until_final(world)
    assert await world.tokens(wallet) == 5 * UNIT - FEE - ACCOUNT
    await right(world)


async def test_the_marks_rent_goes_back_to_the_grid(world: World) -> None:
    wallet = await world.wallet(5 * UNIT, lamports=0)
    await ask(world, wallet)
    await until_final(world)
    hot = world.treasury.hot.pubkey()
    world.clock.at += world.settings.marker_keep_s
    before = await world.rpc.balance(hot)
    await world.service.keep_house()
    assert await world.rpc.balance(hot) == before + RENT - 5_000
    assert await world.rpc.balance(wallet.pubkey()) == 0


async def _leave(world: World, lamports: int) -> None:
    """Spend the hot key's SOL but for this, which is too little for a mark and a fee."""
    hot = world.treasury.hot
    gone = await world.rpc.balance(hot.pubkey()) - lamports - 5_000
    away = TransferParams(from_pubkey=hot.pubkey(), to_pubkey=Keypair().pubkey(), lamports=gone)
    blockhash = Hash.from_string((await world.rpc.blockhash()).hash)
    message = MessageV0.try_compile(hot.pubkey(), [transfer(away)], [], blockhash)
    await world.rpc.send(bytes(await signed(message, [hot])))
