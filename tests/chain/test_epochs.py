"""Receipts come on chain once: whatever dies, expires, is restored or was there before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from tabgrid_server.chain import memos
from tabgrid_server.chain.epochs import NO_FEE, Epochs
from tabgrid_server.chain.localnet.machine import FINALITY, WINDOW
from tabgrid_server.chain.memos import Published
from tabgrid_server.proofs import epoch as proofs
from tabgrid_server.proofs.corrections import Head
from tabgrid_server.store import Conflict
from tabgrid_server.store import epochs as stored
from tabgrid_server.store import receipts as stored_receipts
from tests.chain.conftest import World
from tests.chain.test_recovery import back_up, restore
from tests.support.books import add_owner
from tests.support.settled import settle

only_sqlite = pytest.mark.parametrize("world", ["sqlite"], indirect=True)


def publisher(world: World, store: Any = None, rpc: Any = None) -> Epochs:
    return Epochs(
        store or world.store, rpc or world.rpc, world.treasury, world.settings, world.clock
    )


async def day(world: World, wallet: Keypair, *jobs: str) -> None:
    """Do some jobs, and let the day end."""
    if not await world.store.read(stored_receipts.after, 0, 1):
        await add_owner(world.store)
    await settle(world.store, wallet, jobs, world.clock())
    world.clock.at += world.settings.epoch_s


async def publish(world: World, epochs: Epochs | None = None) -> None:
    """Step until nothing is under way."""
    epochs = epochs or publisher(world)
    for _ in range(20):
        if not await epochs.step():
            return
        world.clock.slots(FINALITY)
    raise AssertionError("it does not end")


async def on_chain(world: World) -> list[Published]:
    """Oldest first."""
    keys = {str(world.treasury.hot.pubkey())}
    found = [each async for each in memos.published(world.rpc, world.treasury.account, keys)]
    return found[::-1]


async def right(world: World, count: int) -> None:
    """The chain has these epochs, each once, in a chain; and every receipt is in one."""
    found = await on_chain(world)
    assert [each.memo.epoch for each in found] == list(range(1, count + 1))
    roots = [proofs.GENESIS.hex(), *(each.memo.root for each in found)]
    assert [each.memo.prev_root for each in found] == roots[:-1]
    hashes: list[str] = []
    for each in found:
        epoch = await world.store.read(stored.get, each.memo.epoch)
        assert epoch is not None
        assert (epoch.memo, epoch.txid) == (each.memo, each.txid)
        assert epoch.final_at is not None
        mine = await world.store.read(stored.hashes, epoch)
        earned = await world.store.read(stored.earned, epoch.number)
        prev, leaves = bytes.fromhex(epoch.prev_root), proofs.leaves(mine, earned, epoch.head)
        assert proofs.memo_of(each.memo.v, epoch.number, leaves, prev) == each.memo
        hashes += [hash.hex() for hash in mine]
    every = await world.store.read(stored_receipts.after, 0, 1000)
    assert hashes == [each.hash for each in every]


async def test_each_day_has_its_epoch(world: World) -> None:
    one, other = Keypair(), Keypair()
    await day(world, one, "job_1", "job_2")
    await publish(world)
    await day(world, one, "job_3")
    await settle(world.store, other, ["job_4"], world.clock())  # of today: not in it … yet
    await publish(world)
    world.clock.at += world.settings.epoch_s
    await publish(world)
    await day(world, other, "job_5")
    await publish(world)
    await right(world, 3)
    totals = {e.wallet: e.earned for e in await world.store.read(stored.earned, 3)}
    assert totals == {str(one.pubkey()): 3 * 95, str(other.pubkey()): 2 * 95}
    before = {e.wallet: e.earned for e in await world.store.read(stored.earned, 1)}
    assert before == {str(one.pubkey()): 2 * 95}, "what was is told as it was"


async def test_nothing_happened_is_no_epoch(world: World) -> None:
    world.clock.at += 3 * world.settings.epoch_s
    await publish(world)
    assert await on_chain(world) == []
    await day(world, Keypair(), "job_1")
    world.clock.at += 5 * world.settings.epoch_s
    await publish(world)
    await publish(world)
    await right(world, 1)


async def test_a_published_receipt_stays_as_it_is(world: World) -> None:
    await day(world, Keypair(), "job_1")
    await publish(world)
    await settle(world.store, Keypair(), ["job_2"], world.clock())
    for change in ("UPDATE receipts SET hash = 'x'", "DELETE FROM receipts"):

        def run(connection: Any, job: str, sql: str = change) -> None:
            connection.exec_driver_sql(f"{sql} WHERE job_id = '{job}'")

        with pytest.raises(Conflict, match="stays as it is"):
            await world.store.write(run, "job_1")
    await world.store.write(run, "job_2")


class Killed(BaseException):
    """The process is gone."""


class Deadly:
    """Passes calls on to ``inner``, until the process dies before or after one of them."""

    def __init__(self, inner: Any, place: Callable[[], bool]) -> None:
        self._inner = inner
        self._place = place

    def __getattr__(self, name: str) -> Any:
        call: Callable[..., Awaitable[Any]] = getattr(self._inner, name)

        async def passed(*args: Any, **kwargs: Any) -> Any:
            if self._place():
                raise Killed
            done = await call(*args, **kwargs)
            if self._place():
                raise Killed
            return done

        return passed


async def test_killed_before_and_after_every_call(world: World) -> None:
    """Signed, sent and not recorded, closed and not signed: it goes on with the same memo."""
    wallet = Keypair()
    number, deaths = 0, 0
    while True:
        number += 1
        await day(world, wallet, f"job_{number}a", f"job_{number}b")
        passed = 0

        def dies(at: int = number) -> bool:
            nonlocal passed
            passed += 1
            return passed == at

        mortal = publisher(world, Deadly(world.store, dies), Deadly(world.rpc, dies))
        try:
            await publish(world, mortal)
        except Killed:
            deaths += 1
            if number % 2:  # it was away for long: what was sent may have expired, or landed
                world.clock.slots(WINDOW + FINALITY + 1)
            await publish(world)
            continue
        break
    assert deaths > 30
    await right(world, number)


@only_sqlite
async def test_what_is_lost_on_its_way_is_sent_again(world: World) -> None:
    await day(world, Keypair(), "job_1")

    class Drops:
        """Takes transactions, and loses them."""

        lost = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(world.rpc, name)

        async def send(self, raw: bytes) -> str:
            self.lost += 1
            return ""

    drops = Drops()
    epochs = publisher(world, rpc=drops)
    assert await epochs.step()
    first = await world.store.read(stored.latest)
    assert await epochs.step()
    assert drops.lost == 2, "the same bytes, again"
    world.clock.slots(WINDOW + FINALITY + 1)
    await publish(world)
    await right(world, 1)
    last = await world.store.read(stored.latest)
    assert first is not None
    assert last is not None
    assert (first.root, first.txid == last.txid) == (last.root, False)


@only_sqlite
async def test_epochs_that_a_backup_lacks_are_found_on_chain(world: World) -> None:
    """The receipts are all there, the rows of the epochs are not: the same roots are found."""
    one, other = Keypair(), Keypair()
    await day(world, one, "job_1", "job_2")
    await publish(world)
    await day(world, one, "job_3", "job_4")
    await settle(world.store, other, ["job_5", "job_6"], world.clock())
    backup = back_up(world)
    await publish(world)
    world.clock.at += world.settings.epoch_s
    await settle(world.store, one, ["job_7"], world.clock())
    world.clock.at += world.settings.epoch_s
    await restore(world, backup)
    await settle(world.store, one, ["job_8"], world.clock())
    world.clock.at += world.settings.epoch_s
    await publish(world)
    await publish(world)
    await right(world, 3)


@only_sqlite
async def test_receipts_that_a_backup_lacks_stop_the_publishing(world: World) -> None:
    wallet = Keypair()
    await day(world, wallet, "job_1")
    await publish(world)
    backup = back_up(world)
    await day(world, wallet, "job_2", "job_3")
    await publish(world)
    await restore(world, backup)
    await day(world, wallet, "job_4", "job_5", "job_6")
    epochs = publisher(world)
    await publish(world, epochs)
    assert "other receipts or corrections than these books" in epochs.problem
    assert len(await on_chain(world)) == 2, "no fork"


@only_sqlite
async def test_an_rpc_that_forgot_the_chain_stops_the_publishing(world: World) -> None:
    wallet = Keypair()
    await day(world, wallet, "job_1")
    await publish(world)
    await day(world, wallet, "job_2")

    class Forgets:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.rpc, name)

        async def recent(self, *args: Any, **kwargs: Any) -> list[Any]:
            return []

    epochs = publisher(world, rpc=Forgets())
    await publish(world, epochs)
    assert "until they agree" in epochs.problem
    await publish(world)
    await right(world, 2)


@only_sqlite
async def test_without_sol_it_says_so_and_goes_on_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await day(world, Keypair(), "job_1")

    class Poor:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.rpc, name)

        async def balance(self, *args: Any) -> int:
            return 0

    epochs = publisher(world, rpc=Poor())
    await publish(world, epochs)
    assert epochs.problem == NO_FEE
    monkeypatch.setattr(epochs, "_rpc", world.rpc)
    await publish(world, epochs)
    assert epochs.problem == ""
    await right(world, 1)


@only_sqlite
async def test_two_processes_of_one_grid_publish_once(world: World) -> None:
    wallet = Keypair()
    for n in range(3):
        await day(world, wallet, f"job_{n}")
        both = publisher(world), publisher(world)
        for _ in range(4):
            await asyncio.gather(*(each.step() for each in both), return_exceptions=True)
            world.clock.slots(FINALITY)
    await right(world, 3)


@only_sqlite
async def test_strangers_memos_do_not_count(world: World) -> None:
    stranger = Keypair()
    await world.rpc.airdrop(stranger.pubkey(), 10**9)
    fake = proofs.memo_of(2, 1, proofs.leaves([bytes(32)], [], Head()), proofs.GENESIS)
    blockhash = (await world.rpc.blockhash()).hash
    account = world.treasury.account
    message = memos.message(fake, account, stranger.pubkey(), blockhash, 0)
    await world.rpc.send(bytes(VersionedTransaction(message, [stranger])))
    world.clock.slots(FINALITY)
    await day(world, Keypair(), "job_1")
    await publish(world)
    await right(world, 1)


async def test_a_full_epoch_is_closed_before_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST", 3)
    monkeypatch.setattr(stored.pending, "__defaults__", (3,))
    await add_owner(world.store)
    await settle(world.store, Keypair(), [f"job_{n}" for n in range(7)], world.clock())
    await publish(world)
    await publish(world)
    assert [each.memo.count for each in await on_chain(world)] == [5, 5]
    world.clock.at += world.settings.epoch_s
    await publish(world)
    await right(world, 3)
