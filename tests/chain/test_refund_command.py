"""`tabgrid deposits refund` on a real chain: unused credit back to who paid it in, and once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner, Result
from solders.keypair import Keypair

from tabgrid_server.chain.deposits import Request
from tabgrid_server.chain.rpc import Rpc
from tabgrid_server.chain.service import ClaimService
from tabgrid_server.chain.till import open_till
from tabgrid_server.chain.treasury import Treasury, ensure_local_treasury
from tabgrid_server.chain.watching import Watcher
from tabgrid_server.cli.deposits import deposits
from tabgrid_server.settings import Chain
from tabgrid_server.store import ApiKey, Credit, Store, breaker, keys
from tabgrid_server.store import deposits as stored
from tabgrid_server.store import ledger as stored_ledger
from tabgrid_server.store.audit import findings
from tests.support.logs import own_logs
from tests.support.payers import Bank
from tests.support.programs import Programs

T = TypeVar("T")
TOKEN, UNIT = "TGT", 10**6


class Place:
    """A chain, a grid's database beside it, and the command. No coordinator runs."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.database = f"sqlite:///{folder / 'tabgrid.db'}"
        folder.mkdir()

    def refund(self, *arguments: object) -> Result:
        where = ("--data", str(self.folder), "refund", "--rpc", self.url, "--yes")
        return CliRunner().invoke(deposits, [*where, *map(str, arguments)])

    def do(self, work: Callable[[Grid], Awaitable[T]]) -> T:
        """With store and chain, as another process of the grid has them."""

        async def inside() -> T:
            store = await Store.open(self.database)
            try:
                async with Rpc(self.url) as rpc:
                    treasury = await ensure_local_treasury(rpc, self.folder)
                    return await work(Grid(store, rpc, treasury, self.folder))
            finally:
                await store.close()

        return asyncio.run(inside())

    def credit(self, owner: str = "alice") -> Credit:
        return self.do(lambda grid: grid.store.read(stored_ledger.credit, owner, TOKEN))

    def tokens(self, wallet: Keypair) -> int:
        async def ask(grid: Grid) -> int:
            found = await grid.rpc.token_account(grid.bank.home(wallet.pubkey()))
            return found.amount if found else 0

        return self.do(ask)

    def right(self) -> None:
        told = self.do(lambda grid: grid.store.read(findings))
        assert [each.rule for each in told if each.broken] == []


class Grid:
    def __init__(self, store: Store, rpc: Rpc, treasury: Treasury, data: Path) -> None:
        self.store, self.rpc, self.treasury = store, rpc, treasury
        self.bank = Bank.of_treasury(rpc, data)

    async def user(self, owner: str, given: int = 0) -> None:
        key = ApiKey(id=f"key_{owner}", owner=owner, label="", created_at=1.0, revoked_at=None)
        await self.store.write(keys.create, key, f"hash of {owner}", given, TOKEN)

    async def reference(self, owner: str) -> str:
        made = Request(
            id=f"dep_{owner}_{time.time_ns()}",
            owner=owner,
            token=TOKEN,
            reference=str(Keypair().pubkey()),
            amount=None,
            wallet=None,
            created_at=time.time(),
        )
        await self.store.write(stored.ask, made)
        return made.reference

    async def paid_in(self, owner: str, amount: int) -> Keypair:
        """A wallet that paid ``amount`` in and has nothing left."""
        wallet = await self.bank.customer(amount)
        reference = await self.reference(owner)
        await self.bank.pay(wallet, self.treasury.account, amount, [reference])
        await self.booked(owner, amount)
        return wallet

    async def booked(self, owner: str, amount: int) -> None:
        """Until the watcher has credited that much more."""
        before = (await self.store.read(stored_ledger.credit, owner, TOKEN)).deposited
        till = await open_till(self.rpc, self.treasury)
        watcher = Watcher(self.store, self.rpc, till, TOKEN, time.time)
        while True:
            await watcher.step()
            now = (await self.store.read(stored_ledger.credit, owner, TOKEN)).deposited
            if now == before + amount:
                return
            await asyncio.sleep(0.1)

    def service(self) -> ClaimService:
        return ClaimService(self.store, self.rpc, self.treasury, Chain(rpc="on", push_wait_s=0))


@pytest.fixture
def place(programs: Programs, tmp_path: Path) -> Iterator[Place]:
    # Final in 1.6 s.
    chain = programs.tabgrid("chain", "localnet", "--port", "0", "--slot-ms", "50")
    with own_logs():
        yield Place(chain.ready()["url"], tmp_path / "grid")


async def alice(grid: Grid) -> Keypair:
    await grid.user("alice", given=2 * UNIT)
    return await grid.paid_in("alice", 5 * UNIT)


def test_all_that_is_unused_goes_back_once(place: Place) -> None:
    wallet = place.do(alice)
    assert place.tokens(wallet) == 0
    told = place.refund("key_alice")
    assert told.exit_code == 0, told.output
    assert f"5.000000 TGT goes back to {wallet.pubkey()}" in told.output
    assert "is final" in told.output
    assert place.tokens(wallet) == 5 * UNIT
    credit = place.credit()
    assert (credit.available, credit.refunded, credit.in_flight) == (2 * UNIT, 5 * UNIT, 0)

    again = place.refund("alice")
    assert again.exit_code == 1
    assert "their 2.000000 TGT of credit was given, not paid in" in again.output
    assert place.tokens(wallet) == 5 * UNIT
    place.right()


def test_a_part_of_it_and_not_twice_by_mistake(place: Place) -> None:
    wallet = place.do(alice)
    over = place.refund("alice", "--amount", 6 * UNIT)
    assert over.exit_code == 1
    assert "Only 5.000000 TGT can go back; 6.000000 TGT were asked for" in over.output
    part = place.refund("alice", "--amount", 2 * UNIT)
    assert part.exit_code == 0, part.output
    twice = place.refund("alice", "--amount", 2 * UNIT)
    assert twice.exit_code == 1
    assert "went back" in twice.output
    assert "--again" in twice.output
    assert place.tokens(wallet) == 2 * UNIT
    meant = place.refund("alice", "--amount", 2 * UNIT, "--again", "--wallet", wallet.pubkey())
    assert meant.exit_code == 0, meant.output
    assert place.tokens(wallet) == 4 * UNIT
    assert place.credit().available == 3 * UNIT
    place.right()


def test_what_cannot_go_back_says_why(place: Place) -> None:
    async def prepare(grid: Grid) -> None:
        await grid.user("given", given=UNIT)
        await grid.user("minted")
        reference = await grid.reference("minted")
        treasury = grid.treasury.account
        await grid.bank.give(grid.bank.authority.pubkey(), UNIT, treasury, [reference])
        await grid.booked("minted", UNIT)

    place.do(prepare)
    nobody = place.refund("key_nobody")
    assert "neither a key nor an owner; see `tabgrid keys list`" in nobody.output
    assert "nothing was paid in" in place.refund("given").output
    unknown = place.refund("minted")
    assert unknown.exit_code == 1
    assert "1.000000 TGT of credit came from no wallet that is known" in unknown.output
    somewhere = Keypair().pubkey()
    wrong = place.refund("minted", "--wallet", somewhere)
    assert f"{somewhere} paid nothing in for minted" in wrong.output


def test_a_command_that_was_cut_off_is_gone_on_with(place: Place) -> None:
    wallet = place.do(alice)

    async def cut_off(grid: Grid) -> None:
        await grid.service().refund(str(wallet.pubkey()), "alice", 3 * UNIT)

    place.do(cut_off)
    told = place.refund("alice", "--amount", 3 * UNIT)
    assert told.exit_code == 0, told.output
    assert "A refund of 3.000000 TGT is under way already." in told.output
    assert "goes back to" not in told.output, "nothing more is planned"
    assert place.tokens(wallet) == 3 * UNIT
    assert place.credit().available == 4 * UNIT
    place.right()


def test_a_users_own_refund_is_waited_for(place: Place) -> None:
    wallet = place.do(alice)

    async def ask(grid: Grid) -> None:
        await grid.service().reserve(str(wallet.pubkey()), "alice")

    place.do(ask)
    told = place.refund("alice")
    assert told.exit_code == 1
    assert "The user's own refund of 5.000000 TGT waits for their wallet's signature" in told.output
    assert place.tokens(wallet) == 0


def test_a_stopped_grid_gives_nothing_back(place: Place) -> None:
    wallet = place.do(alice)

    async def stop(grid: Grid) -> None:
        await grid.store.write(breaker.trip, TOKEN, "by hand", time.time())

    place.do(stop)
    told = place.refund("alice")
    assert told.exit_code == 1
    assert "paused" in told.output
    assert place.tokens(wallet) == 0
    assert place.credit().available == 7 * UNIT
