"""Tokens of both programs: which a grid pays in, and what people get of them."""

from __future__ import annotations

import asyncio
import struct
import sys

import pytest
from msgspec.structs import replace
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    mint_to_checked,
)
from spl.token.models import MintToCheckedParams

from tabgrid_server.chain.extensions import BORNE_BY_MINTS, NAMES, Rate
from tabgrid_server.chain.keys import load
from tabgrid_server.chain.localnet.machine import FINALITY, SLOTS_PER_EPOCH
from tabgrid_server.chain.refusals import ClaimRefused
from tabgrid_server.chain.treasury import TreasuryError, approval, open_treasury, run
from tests.support.mints import EXTENSIONS, Extension, fee, issue, require_memos

from .conftest import World

UNIT = 10**6
SUPPLY = 1_000_000 * UNIT
#: What the database is makes no difference to the tokens.
pytestmark = pytest.mark.parametrize("world", ["sqlite"], indirect=True)

GRID = """
[grids.text]
title = "Text"
description = "Of a test."
models = ["all-MiniLM-L6-v2"]
price_per_unit = 1000
"""
BORNE = ("transfer fee", "metadata")
REFUSED = sorted(set(EXTENSIONS) - set(BORNE))


def cold(world: World) -> Keypair:
    return load(world.data / "keys" / "cold.json")


def rent(size: int) -> int:
    return (128 + size) * 6960


async def made(world: World, *extensions: Extension) -> Pubkey:
    """A new mint with these extensions."""
    mint, owner = Keypair(), cold(world)
    steps = issue(mint.pubkey(), owner.pubkey(), rent, extensions)
    await run(world.rpc, steps, [owner, mint])
    return mint.pubkey()


async def pay_in(world: World, mint: Pubkey) -> None:
    """Open a treasury of ``mint`` and claim from it from now on."""
    owner, hot = cold(world), world.treasury.hot
    program = TOKEN_2022_PROGRAM_ID
    account = get_associated_token_address(owner.pubkey(), mint, program)
    opened = create_idempotent_associated_token_account(
        payer=owner.pubkey(), owner=owner.pubkey(), mint=mint, token_program_id=program
    )
    filled = mint_to_checked(
        MintToCheckedParams(
            program_id=program,
            mint=mint,
            dest=account,
            mint_authority=owner.pubkey(),
            amount=SUPPLY,
            decimals=6,
            signers=[],
        )
    )
    await run(world.rpc, [opened, filled], [owner])
    world.clock.slots(FINALITY)
    world.settings = replace(world.settings, mint=str(mint), treasury=str(account))
    world.treasury = await open_treasury(world.rpc, world.settings, world.data)
    assert world.treasury.hot.pubkey() == hot.pubkey()
    await run(world.rpc, [approval(world.treasury, owner.pubkey(), SUPPLY)], [owner])
    world.service = world.new_service()


async def received(world: World, wallet: Keypair) -> int:
    home = get_associated_token_address(
        wallet.pubkey(), world.treasury.mint, world.treasury.token_program
    )
    account = await world.rpc.token_account(home)
    return account.amount if account else 0


async def claimed(world: World, wallet: Keypair) -> tuple[int, int]:
    """One claim to its end; (its amount, what the token kept of it)."""
    claim = await world.service.reserve(str(wallet.pubkey()))
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    found = await world.service.get(claim.id)
    assert found is not None
    assert (found.state, found.error) == ("finalized", None)
    return found.amount, found.fee


@pytest.mark.parametrize("name", ["plain", "metadata"])
async def test_a_token_of_token_2022_is_paid_whole(world: World, name: str) -> None:
    await pay_in(world, await made(world, *([EXTENSIONS[name]] if name in EXTENSIONS else [])))
    wallet = await world.wallet(5 * UNIT)
    assert await claimed(world, wallet) == (5 * UNIT, 0)
    assert await received(world, wallet) == 5 * UNIT
    assert await world.money(wallet) == (0, 0, 5 * UNIT)


@pytest.mark.parametrize("name", REFUSED)
async def test_every_other_extension_is_refused_with_its_reason(world: World, name: str) -> None:
    mint = await made(world, EXTENSIONS[name])
    world.clock.slots(FINALITY)
    account = get_associated_token_address(cold(world).pubkey(), mint, TOKEN_2022_PROGRAM_ID)
    settings = replace(world.settings, mint=str(mint), treasury=str(account))
    with pytest.raises(TreasuryError, match="cannot be used: It has ") as refused:
        await open_treasury(world.rpc, settings, world.data)
    assert str(mint) in str(refused.value)
    assert "does not know" not in str(refused.value), "it is refused by its name"


async def test_the_coordinator_does_not_start_with_one(world: World) -> None:
    mint = await made(world, EXTENSIONS["permanent delegate"])
    world.clock.slots(FINALITY)
    file = world.data / "grid.toml"
    chain = f'rpc = "{world.url}"\nmint = "{mint}"\ntreasury = "{world.treasury.account}"'
    file.write_text(f"{GRID}[chain]\n{chain}\n")
    command = (sys.executable, "-m", "tabgrid_server", "serve", "--settings", str(file))
    process = await asyncio.create_subprocess_exec(
        *command, "--port", "0", "--data", str(world.data), stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    assert process.returncode == 1
    assert "It has a permanent delegate: who holds it can take the tokens back" in told.decode()


async def test_each_refusal_is_of_an_extension_that_was_made_here(world: World) -> None:
    """None of the mints above is refused for another reason than the one in its name."""
    kinds: set[int] = set()
    for name in REFUSED:
        mint = await world.rpc.mint(await made(world, EXTENSIONS[name]))
        assert mint is not None
        kinds |= mint.extensions - BORNE_BY_MINTS
        world.clock.slots(1)
    of_accounts = {5, 11, 13, 15, 17, 27}
    member = {23}  # needs a group that it belongs to, whose pointer is refused already
    assert kinds == set(NAMES) - of_accounts - member


async def test_a_transfer_fee_is_shown_before_signing_and_taken_on_chain(world: World) -> None:
    await pay_in(world, await made(world, fee(150, 10**12)))
    wallet = await world.wallet(5 * UNIT + 7)
    claim = await world.service.reserve(str(wallet.pubkey()))
    assert (claim.amount, claim.fee) == (5 * UNIT + 7, 75_001), "1.5 %, rounded up"
    assert await claimed(world, wallet) == (5 * UNIT + 7, 75_001)
    assert await received(world, wallet) == 5 * UNIT + 7 - 75_001
    assert await world.money(wallet) == (0, 0, 5 * UNIT + 7), "the books hold what left the grid"
    found = await world.service.get(claim.id)
    assert found is not None
    assert found.txid is not None
    told = await world.rpc.transaction(found.txid, str(world.treasury.mint))
    assert told is not None
    assert f"of which the token keeps {75_001}" in told.steps[-1].text
    assert told.moves[0].amount == 5 * UNIT + 7 - 75_001


async def test_a_fee_is_capped_as_the_mint_says(world: World) -> None:
    await pay_in(world, await made(world, fee(5_000, 1_000)))
    wallet = await world.wallet(5 * UNIT)
    assert await claimed(world, wallet) == (5 * UNIT, 1_000)
    assert await received(world, wallet) == 5 * UNIT - 1_000


async def test_a_token_that_keeps_everything_is_not_claimed(world: World) -> None:
    await pay_in(world, await made(world, fee(10_000, 10**12)))
    wallet = await world.wallet(5 * UNIT)
    with pytest.raises(ClaimRefused, match="the token itself would keep it all"):
        await world.service.reserve(str(wallet.pubkey()))
    assert await world.money(wallet) == (5 * UNIT, 0, 0)


async def test_a_fee_that_rises_before_signing_takes_nothing_from_anybody(world: World) -> None:
    """What the wallet saw is what it gets, or nothing happens; then it sees the new fee."""
    mint = await made(world, fee(100, 10**12))
    await pay_in(world, mint)
    wallet = await world.wallet(5 * UNIT)
    await _set_fee(world, mint, 2_000)
    world.clock.slots(2 * SLOTS_PER_EPOCH - 20 - FINALITY - (await world.rpc.height()).slot)
    claim = await world.service.reserve(str(wallet.pubkey()))
    assert claim.fee == UNIT // 20, "the old one holds to the end of the next epoch"
    world.clock.slots(30)
    failed = await world.signed(claim, wallet)
    assert failed.state == "failed"
    assert "has just changed the fee" in str(failed.error)
    assert await world.money(wallet) == (5 * UNIT, 0, 0)
    assert await claimed(world, wallet) == (5 * UNIT, UNIT)
    assert await received(world, wallet) == 4 * UNIT


async def test_an_account_that_demands_memos_gets_one(world: World) -> None:
    mint = await made(world)
    await pay_in(world, mint)
    wallet = await world.wallet(5 * UNIT)
    address = wallet.pubkey()
    home = get_associated_token_address(address, mint, TOKEN_2022_PROGRAM_ID)
    opened = create_idempotent_associated_token_account(
        payer=address, owner=address, mint=mint, token_program_id=TOKEN_2022_PROGRAM_ID
    )
    await run(world.rpc, [opened, *require_memos(home, wallet, address)], [wallet])
    bare = _mint_to(world, mint, home)
    await run(world.rpc, [bare], [cold(world)])  # minting is no transfer
    with pytest.raises(TreasuryError, match='"Custom":36'):
        await run(world.rpc, [_transfer(world, mint, home)], [cold(world)])
    assert await claimed(world, wallet) == (5 * UNIT, 0)
    assert await received(world, wallet) == 5 * UNIT + 1


async def test_a_restored_backup_finds_payments_with_a_fee(world: World) -> None:
    await pay_in(world, await made(world, fee(100, 10**12)))
    wallet = await world.wallet(5 * UNIT)
    await claimed(world, wallet)
    found = await world.service._marks.recover(str(wallet.pubkey()), 0)
    assert found is not None
    assert (found.amount, found.fee) == (5 * UNIT, UNIT // 20)


async def test_a_frozen_treasury_is_refused(world: World) -> None:
    mint = await made(world)
    await pay_in(world, mint)
    freeze = Instruction(
        TOKEN_2022_PROGRAM_ID,
        b"\x0a",
        [
            AccountMeta(world.treasury.account, False, True),
            AccountMeta(mint, False, False),
            AccountMeta(cold(world).pubkey(), True, False),
        ],
    )
    await run(world.rpc, [freeze], [cold(world)])
    with pytest.raises(TreasuryError, match="frozen"):
        await open_treasury(world.rpc, world.settings, world.data)


async def test_fees_round_up_as_on_chain(world: World) -> None:
    owner, wallet = cold(world), await world.wallet(1)
    for rate, amount, kept in (
        (Rate(0, 10**9, 100), 100, 1),
        (Rate(0, 10**9, 100), 101, 2),
        (Rate(0, 10**9, 1), 1, 1),
        (Rate(0, 10**9, 0), 10**9, 0),
        (Rate(0, 5, 10_000), 3, 3),
        (Rate(0, 5, 10_000), 30, 5),
    ):
        assert rate.of(amount) == kept
        mint = await made(world, fee(rate.bps, rate.most))
        await pay_in(world, mint)
        home = get_associated_token_address(wallet.pubkey(), mint, TOKEN_2022_PROGRAM_ID)
        opened = create_idempotent_associated_token_account(
            payer=owner.pubkey(),
            owner=wallet.pubkey(),
            mint=mint,
            token_program_id=TOKEN_2022_PROGRAM_ID,
        )
        await run(world.rpc, [opened, _transfer(world, mint, home, amount)], [owner])
        assert await received(world, wallet) == amount - kept


def _transfer(world: World, mint: Pubkey, to: Pubkey, amount: int = 1) -> Instruction:
    owner = cold(world).pubkey()
    accounts = [
        AccountMeta(get_associated_token_address(owner, mint, TOKEN_2022_PROGRAM_ID), False, True),
        AccountMeta(mint, False, False),
        AccountMeta(to, False, True),
        AccountMeta(owner, True, False),
    ]
    data = struct.pack("<BQB", 12, amount, 6)
    return Instruction(TOKEN_2022_PROGRAM_ID, data, accounts)


def _mint_to(world: World, mint: Pubkey, to: Pubkey) -> Instruction:
    return mint_to_checked(
        MintToCheckedParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            mint=mint,
            dest=to,
            mint_authority=cold(world).pubkey(),
            amount=1,
            decimals=6,
            signers=[],
        )
    )


async def _set_fee(world: World, mint: Pubkey, bps: int) -> None:
    accounts = [AccountMeta(mint, False, True), AccountMeta(cold(world).pubkey(), True, False)]
    data = bytes([26, 5]) + struct.pack("<HQ", bps, 10**12)
    await run(world.rpc, [Instruction(TOKEN_2022_PROGRAM_ID, data, accounts)], [cold(world)])
