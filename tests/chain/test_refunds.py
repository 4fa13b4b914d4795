"""Unused credit goes back once: by the claims' machine, killed at every await of the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from solders.keypair import Keypair
from sqlalchemy import Connection

from tabgrid_server import ledger
from tabgrid_server.chain.deposits import Holding, Request, Seen, Till
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.refusals import ClaimRefused
from tabgrid_server.store import ApiKey, Credit, keys
from tabgrid_server.store import deposits as stored
from tabgrid_server.store import ledger as stored_ledger
from tabgrid_server.store.audit import findings
from tests.support import chaos as hostile

from .conftest import TOKEN, World
from .test_recovery import back_up, restore

UNIT = 10**6


def pay_in(connection: Connection, owner: str, wallet: str, amount: int, at: float) -> None:
    """A deposit as the watcher books one; ``wallet`` paid it."""
    request = Request(f"dep_{owner}", owner, TOKEN, f"Ref{owner}", None, None, at)
    stored.ask(connection, request)
    held = (
        Holding("Till", "Cold", "Mint", "Token", 0, amount),
        Holding("Home", wallet, "Mint", "Token", amount, 0),
    )
    keys_ = ("Till", "Home", request.reference)
    seen = Seen(f"tx-{owner}", 1, at, False, keys_, (wallet,), held)
    assert stored.accept(connection, seen, Till("Till", "Cold", "Mint", "Token"), TOKEN, at)


async def customer(world: World, amount: int = 5 * UNIT, owner: str = "alice") -> Keypair:
    wallet = await world.wallet(0)
    key = ApiKey(id=f"key_{owner}", owner=owner, label="", created_at=1.0, revoked_at=None)
    await world.store.write(keys.create, key, f"hash of {owner}", 0, TOKEN)
    await world.store.write(pay_in, owner, str(wallet.pubkey()), amount, world.clock())
    return wallet


async def credit(world: World, owner: str = "alice") -> Credit:
    return await world.store.read(stored_ledger.credit, owner, TOKEN)


async def right(world: World) -> None:
    assert [each.rule for each in await world.store.read(findings) if each.broken] == []


async def refunded(world: World, wallet: Keypair, owner: str = "alice") -> None:
    claim = await world.service.reserve(str(wallet.pubkey()), owner)
    assert claim.id.startswith("refund_")
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(claim) == "finalized"


async def test_unused_credit_goes_back_once(world: World) -> None:
    wallet = await customer(world)
    address = str(wallet.pubkey())
    one, two = await asyncio.gather(
        world.service.reserve(address, "alice"), world.service.reserve(address, "alice")
    )
    assert one.id == two.id, "two tabs at once"
    found = await credit(world)
    assert (found.available, found.in_flight, found.spent) == (0, 5 * UNIT, 0)
    await refunded(world, wallet)
    assert await world.tokens(wallet) == 5 * UNIT
    found = await credit(world)
    assert (found.available, found.in_flight, found.refunded, found.spent) == (0, 0, 5 * UNIT, 0)
    with pytest.raises(ClaimRefused, match="too little to give back"):
        await world.service.reserve(address, "alice")
    assert await world.money(wallet) == (0, 0, 0), "nothing of it was earned"
    await right(world)


async def test_what_is_not_signed_is_credit_again(world: World) -> None:
    wallet = await customer(world)
    claim = await world.service.reserve(str(wallet.pubkey()), "alice")
    world.clock.slots(WINDOW + FINALITY + 1)
    await world.service.step()
    assert await world.state(claim) == "expired"
    assert (await credit(world)).available == 5 * UNIT
    await refunded(world, wallet)
    assert await world.tokens(wallet) == 5 * UNIT
    await right(world)


async def test_only_what_is_unused_and_only_to_who_paid(world: World) -> None:
    wallet = await customer(world)
    hold = ledger.hold("job_1", "alice", 2 * UNIT, TOKEN, 1.0)
    await world.store.write(stored_ledger.post, hold)
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(Keypair().pubkey()), "alice")
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()), "bob")
    claim = await world.service.reserve(str(wallet.pubkey()), "alice")
    assert claim.amount == 3 * UNIT
    back = ledger.refund("job_1", "alice", 2 * UNIT, TOKEN, 2.0)
    await world.store.write(stored_ledger.post, back)


async def test_earnings_go_before_a_refund_that_waits(world: World) -> None:
    """Else whoever names a wallet could keep its owner from claiming."""
    wallet = await customer(world)
    address = str(wallet.pubkey())
    refund = await world.service.reserve(address, "alice")
    await world.earn(wallet, 3 * UNIT)
    claim = await world.service.reserve(address)
    assert (claim.amount, claim.owner) == (3 * UNIT, None)
    assert await world.state(refund) == "failed"
    assert (await credit(world)).available == 5 * UNIT
    with pytest.raises(ClaimRefused, match="signature"):
        await world.service.reserve(address, "alice")
    await world.signed(claim, wallet)
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    await refunded(world, wallet)
    assert await world.tokens(wallet) == 8 * UNIT
    await right(world)


@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
async def test_a_restored_backup_gives_nothing_back_again(world: World) -> None:
    wallet = await customer(world)
    backup = back_up(world)
    await refunded(world, wallet)
    await restore(world, backup)
    assert (await credit(world)).available == 5 * UNIT, "these books know of no refund"
    with pytest.raises(ClaimRefused, match="too little"):
        await world.service.reserve(str(wallet.pubkey()), "alice")
    assert (await credit(world)).available == 0
    assert await world.tokens(wallet) == 5 * UNIT


async def test_what_a_dead_command_left_is_brought_to_its_end(world: World) -> None:
    """The operator's command is another process: it set the money aside, and no more."""
    wallet = await customer(world)
    left = await world.new_service().refund(str(wallet.pubkey()), "alice", 2 * UNIT)
    await world.service.keep_house()
    await world.service.step()
    assert await world.state(left) == "reserved", "whoever made it may still be at work"
    world.clock.slots(200)
    await world.service.keep_house()
    await world.service.step()
    assert await world.state(left) == "signed"
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.state(left) == "finalized"
    assert await world.tokens(wallet) == 2 * UNIT
    assert (await credit(world)).available == 3 * UNIT
    await right(world)


async def test_a_refund_by_the_grid_keeps_nothing_and_pays_the_rent(world: World) -> None:
    """Also where the grid offers nobody to push, and the payer's token account is closed."""
    world.settings = msgspec.structs.replace(world.settings, push_minimum=0, push_wait_s=0)
    world.service = world.new_service()
    wallet = await customer(world)
    address = str(wallet.pubkey())
    one, two = await asyncio.gather(
        world.service.refund(address, "alice"), world.service.refund(address, "alice")
    )
    assert (one.id, one.sent) == (two.id, 5 * UNIT)
    with pytest.raises(ClaimRefused, match="about to give this credit back"):
        await world.service.reserve(address, "alice")
    await world.service.step()
    await world.service.step()
    world.clock.slots(FINALITY)
    await world.service.step()
    assert await world.tokens(wallet) == 5 * UNIT
    assert (await credit(world)).refunded == 5 * UNIT
    with pytest.raises(ClaimRefused, match="Only 0 TGT can go back"):
        await world.service.refund(address, "alice", 1)
    await right(world)


# --- killed at every await ---------------------------------------------------------------


@pytest.fixture
async def chaos(tmp_path: Path) -> AsyncIterator[hostile.World]:
    world = hostile.World(tmp_path)
    await world.start()
    yield world
    assert world.broken_rules() == []
    await world.stop()


Ask = Callable[[hostile.World, Keypair, str], Awaitable[None]]


async def ask(world: hostile.World, wallet: Keypair, owner: str) -> None:
    address = str(wallet.pubkey())
    claim = await world.service.reserve(address, owner)
    await world.service.sign(claim.id, address, hostile.signed(claim, wallet))


async def ask_grid(world: hostile.World, wallet: Keypair, owner: str) -> None:
    """What the operator's command does."""
    await world.service.refund(str(wallet.pubkey()), owner)


async def play(world: hostile.World, seed: int, kill_at: int = 0, ask: Ask = ask) -> None:
    """One user's refund, whose process dies once, and then is left in peace."""
    world.rng.seed(seed)
    wallet, owner = world.wallet(), f"user{world.wallets}"
    world.write(pay_in, owner, str(wallet.pubkey()), 5 * UNIT, world.at)
    world.boot()
    world.passed, world.kill_at = 0, frozenset([kill_at])
    for _ in range(hostile.PEACE):
        await world.live(ask(world, wallet, owner), world.service.step())
        world.turn(12)
        books: Credit = world.read(stored_ledger.credit, owner, TOKEN)
        assert books.available + books.in_flight + books.refunded == 5 * UNIT
        assert world.tokens(wallet) <= 5 * UNIT, "paid twice"
        assert books.refunded <= world.tokens(wallet, final=True), "booked and not paid"
        if books.refunded:
            break
    world.turn(40)
    assert world.tokens(wallet, final=True) == 5 * UNIT


@pytest.mark.parametrize("way", [ask, ask_grid])
async def test_killed_once_at_every_await(chaos: hostile.World, way: Ask) -> None:
    await play(chaos, 1, ask=way)
    awaits = chaos.passed
    assert awaits > 30
    for place in range(1, awaits + 1):
        await play(chaos, 1, kill_at=place, ask=way)
    assert chaos.kills >= awaits - 1
