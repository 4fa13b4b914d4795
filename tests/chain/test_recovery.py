"""The chain remembers what the books forgot: backups, rent, and who stands in the way."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tabgrid_server.chain.claims import Claim
from tabgrid_server.chain.keys import load
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.markers import RENT
from tabgrid_server.chain.refusals import ClaimRefused
from tabgrid_server.chain.signers import KeySigner, secret_of
from tabgrid_server.chain.treasury import ALLOWANCE, approval, run
from tabgrid_server.store import claims as stored
from tabgrid_server.store import stats
from tabgrid_server.store.audit import findings

from .conftest import SOL, World

UNIT = 10**6
#: A backup here is a file; what is restored makes no difference to what the chain has.
pytestmark = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


async def paid(world: World, wallet: Keypair) -> Claim:
    """One claim, from reserved to final."""
    claim = await world.service.reserve(str(wallet.pubkey()))
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"
    return claim


async def restore(world: World, backup: Path) -> None:
    """Stop, put the backup in place of the database, start again."""
    await world.close_store()
    for each in world.data.glob("tabgrid.db*"):
        each.unlink()
    shutil.copy(backup, world.data / "tabgrid.db")
    await world.open_store()


def back_up(world: World) -> Path:
    """As an operator does, beside a running server."""
    copy = world.data / "backup.db"
    with sqlite3.connect(world.data / "tabgrid.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    return copy


async def right(world: World) -> None:
    broken = [each.rule for each in await world.store.read(findings) if each.broken]
    assert broken == []


async def test_a_restored_backup_pays_nothing_again(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    backup = back_up(world)
    first = await paid(world, wallet)
    await restore(world, backup)
    assert await world.money(wallet) == (5 * UNIT, 0, 0), "these books know of no payment"

    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.money(wallet) == (0, 0, 5 * UNIT)
    assert await world.tokens(wallet) == 5 * UNIT
    found = await world.store.read(stored.get, first.id)
    assert found is not None
    assert (found.state, found.amount) == ("finalized", 5 * UNIT)
    await right(world)


async def test_a_backup_between_reserving_and_paying(world: World) -> None:
    """The claim is in the backup, unsigned: its own transaction is found behind its mark."""
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    backup = back_up(world)
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(WINDOW + FINALITY + 1)
    await restore(world, backup)
    await world.service.resume()
    await world.service.step()
    assert await world.state(claim) == "expired"
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.state(claim) == "finalized"
    assert await world.money(wallet) == (0, 0, 5 * UNIT)
    await right(world)


async def test_the_chain_itself_refuses_the_second_payment(world: World) -> None:
    """Nobody compares: two databases that do not know of each other, at the same time."""
    wallet = await world.wallet(5 * UNIT)
    backup = back_up(world)
    mine = await world.service.reserve(str(wallet.pubkey()))
    await world.signed(mine, wallet)  # committed, and not sent yet
    await restore(world, backup)
    theirs = await world.service.reserve(str(wallet.pubkey()))
    assert theirs.id != mine.id
    await world.signed(theirs, wallet)
    assert mine.message != theirs.message
    signed = world.signed_bytes[mine.id]
    await world.rpc.send(signed)  # the forgotten one lands first
    await world.service.step()
    assert await world.tokens(wallet) == 5 * UNIT
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(theirs) == "failed"
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.money(wallet) == (0, 0, 5 * UNIT)
    assert await world.tokens(wallet) == 5 * UNIT
    await right(world)


async def test_what_was_earned_after_the_backup_is_not_paid_twice(world: World) -> None:
    """The chain paid more than the restored books know as earned; later earnings make up."""
    wallet = await world.wallet(5 * UNIT)
    backup = back_up(world)
    await world.earn(wallet, 3 * UNIT)
    await paid(world, wallet)
    await restore(world, backup)
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()))
    await right(world)
    await world.earn(wallet, 4 * UNIT)
    await paid(world, wallet)
    assert await world.tokens(wallet) == 9 * UNIT, "8 before the restore, and the 4 less 3"
    assert await world.money(wallet) == (0, 0, 9 * UNIT)
    await right(world)


async def test_many_payments_are_found_one_after_the_other(world: World) -> None:
    wallet = await world.wallet(UNIT)
    backup = back_up(world)
    for amount in (2, 3, 4):
        await paid(world, wallet)
        await world.earn(wallet, amount * UNIT)
    await restore(world, backup)
    await world.earn(wallet, 9 * UNIT)
    await paid(world, wallet)
    assert await world.tokens(wallet) == 10 * UNIT
    await right(world)


async def test_rent_comes_back_and_the_payment_still_cannot_be_made_again(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    backup = back_up(world)
    await paid(world, wallet)
    before = await world.rpc.balance(wallet.pubkey())
    await world.service.keep_house()
    assert await world.rpc.balance(wallet.pubkey()) == before, "kept for a while"
    world.clock.at += world.settings.marker_keep_s
    await world.service.keep_house()
    assert await world.rpc.balance(wallet.pubkey()) == before + RENT
    world.clock.slots(WINDOW + FINALITY)
    await world.service.keep_house()
    assert await world.store.read(stored.marks, world.clock(), 10) == []

    await restore(world, backup)
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.money(wallet) == (0, 0, 5 * UNIT)
    await right(world)


async def test_lamports_in_the_way_of_a_mark_are_sent_back(world: World) -> None:
    """The wallet sees the mark's address before it signs, and may spoil it for itself."""
    wallet = await world.wallet(5 * UNIT)
    claim = await world.service.reserve(str(wallet.pubkey()))
    await _give(world, wallet, Pubkey.from_string(str(claim.marker)), SOL // 100)
    failed = await world.signed(claim, wallet)
    assert failed.state == "failed"
    address = str(wallet.pubkey())
    with pytest.raises(ClaimRefused, match="becoming final"):
        await world.service.reserve(address)
    world.clock.slots(FINALITY)
    before = await world.rpc.balance(wallet.pubkey())
    with pytest.raises(ClaimRefused, match="sent back"):
        await world.service.reserve(address)
    assert await world.rpc.balance(wallet.pubkey()) == before + SOL // 100
    await paid(world, wallet)
    assert await world.tokens(wallet) == 5 * UNIT
    await right(world)


async def _give(world: World, wallet: Keypair, to: Pubkey, lamports: int) -> None:
    params = TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=to, lamports=lamports)
    blockhash = Hash.from_string((await world.rpc.blockhash()).hash)
    message = MessageV0.try_compile(wallet.pubkey(), [transfer(params)], [], blockhash)
    await world.rpc.send(bytes(VersionedTransaction(message, [wallet])))


async def rotate(world: World) -> None:
    """A new hot key, approved by the treasury's owner in place of the old one."""
    hot, cold = KeySigner(Keypair()), load(world.data / "keys" / "cold.json")
    world.treasury = replace(world.treasury, hot=hot, secret=await secret_of(hot))
    allowed = approval(world.treasury, cold.pubkey(), ALLOWANCE * UNIT)
    await run(world.rpc, [allowed], [cold])
    world.service = world.new_service()


async def lose_everything(world: World) -> None:
    await world.close_store()
    for each in world.data.glob("tabgrid.db*"):
        each.unlink()
    await world.open_store()


async def test_a_new_hot_key_goes_on_where_the_old_one_stopped(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    await paid(world, wallet)
    old = world.treasury
    await rotate(world)
    assert (await old.status(world.rpc)).allowance == 0
    await world.earn(wallet, 3 * UNIT)
    await paid(world, wallet)
    assert await world.tokens(wallet) == 8 * UNIT
    assert await world.money(wallet) == (0, 0, 8 * UNIT)
    await right(world)


async def test_empty_books_take_old_payments_off_what_comes_next(world: World) -> None:
    """Hence the runbook's new hot key for a database that is lost for good."""
    wallet = await world.wallet(5 * UNIT)
    await paid(world, wallet)
    await lose_everything(world)
    await world.earn(wallet, 3 * UNIT)
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.tokens(wallet) == 5 * UNIT
    assert set((await world.store.read(stats.earned)).values()) == {3 * UNIT}


async def test_empty_books_and_a_new_hot_key_pay_what_is_earned_anew(world: World) -> None:
    wallet = await world.wallet(5 * UNIT)
    await paid(world, wallet)
    await lose_everything(world)
    await rotate(world)
    await world.earn(wallet, 3 * UNIT)
    await paid(world, wallet)
    assert await world.tokens(wallet) == 8 * UNIT
    assert await world.money(wallet) == (0, 0, 3 * UNIT)
    await right(world)
