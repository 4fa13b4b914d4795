"""Corrections come under a root on chain, after those epochs too that had no leaf of them."""

from __future__ import annotations

from typing import Any

import pytest
from solders.keypair import Keypair

from tabgrid_server.errors import NotFound
from tabgrid_server.proofs import epoch as proofs
from tabgrid_server.proofs.corrections import Head
from tabgrid_server.published import Published
from tabgrid_server.store import Conflict, epoch_drafts
from tabgrid_server.store import corrections as stored_corrections
from tabgrid_server.store import epochs as stored
from tabgrid_server.store.audit import findings
from tests.chain.conftest import World
from tests.chain.test_epochs import on_chain, only_sqlite, publish, publisher, right
from tests.chain.test_recovery import back_up, restore
from tests.support.books import add_owner
from tests.support.struck import Struck


async def struck(world: World, number: int = 4) -> Struck:
    """A wallet that was just paid for so many jobs, and the first answer was wrong."""
    await add_owner(world.store)
    made = Struck(world.store, Keypair())
    for n in range(number):
        await made.settle(f"job_{n}", world.clock())
    await made.strike("job_0", 10, world.clock())
    return made


def next_day(world: World) -> None:
    world.clock.at += world.settings.epoch_s


async def head(world: World) -> Head:
    return await world.store.read(stored_corrections.head)


async def holds(world: World, *counts: int | None) -> None:
    """The epochs on chain have so many corrections, each with the hash of that time; None: they
    are of version 1."""
    await right(world, len(counts))
    assert not [each for each in await world.store.read(findings) if each.broken]
    every = await world.store.read(stored_corrections.heads, 0)
    for found, count in zip(await on_chain(world), counts, strict=True):
        epoch = await world.store.read(stored.get, found.memo.epoch)
        assert epoch is not None
        assert (found.memo.v, epoch.corrections) == (1 if count is None else 2, count)
        assert epoch.head == (None if count is None else every[count])


async def test_each_epoch_has_the_corrections_so_far(world: World) -> None:
    made = await struck(world)
    next_day(world)
    await made.strike("job_1", 10, world.clock())  # of today, and there when the day is rooted
    await publish(world)
    await made.settle("job_9", world.clock())
    next_day(world)
    await publish(world)
    await holds(world, 4, 4)


async def test_corrections_alone_make_an_epoch(world: World) -> None:
    made = await struck(world)
    next_day(world)
    await publish(world)
    before = await on_chain(world)
    await made.strike("job_1", 10, world.clock())
    await publish(world)
    assert await on_chain(world) == before, "its day is not over"
    next_day(world)
    await publish(world)
    await publish(world)
    await holds(world, 2, 4)
    epoch = await world.store.read(stored.get, 2)
    assert epoch is not None
    assert (epoch.receipts, epoch.wallets, epoch.count) == (0, 1, 2)
    await made.settle("job_9", world.clock())
    next_day(world)
    await publish(world)
    await holds(world, 2, 4, 4)


async def test_a_published_correction_stays_as_it_is(world: World) -> None:
    made = await struck(world)
    next_day(world)
    await publish(world)
    await made.strike("job_1", 10, world.clock())
    for change in ("UPDATE corrections SET reason = 'x'", "DELETE FROM corrections"):

        def run(connection: Any, number: int, sql: str = change) -> None:
            connection.exec_driver_sql(f"{sql} WHERE number = {number}")

        with pytest.raises(Conflict, match="stays as it is"):
            await world.store.write(run, 2)
    await world.store.write(run, 4)


async def first_version(world: World) -> None:
    """Close an epoch as it was done before corrections went under roots."""
    latest = await world.store.read(stored.latest)
    waiting = await world.store.read(stored.pending)
    earned = await world.store.read(stored.earned, latest.number if latest else 0)
    now = epoch_drafts.draft(latest, earned, waiting, Head(), world.clock())
    sums = {(each.wallet, each.token): each for each in [*earned, *now.changed]}
    leaves = proofs.leaves((each.hash for each in waiting), sums.values(), None)
    prev_root = bytes.fromhex(now.epoch.prev_root)
    memo = proofs.memo_of(1, now.epoch.number, leaves, prev_root)
    made = epoch_drafts.draft_of(memo, latest, earned, waiting, (), world.clock())
    assert made is not None
    await world.store.write(stored.close, made)


async def test_epochs_of_before_stay_and_are_proved(world: World) -> None:
    made = await struck(world)
    await first_version(world)
    await publish(world)
    await made.settle("job_9", world.clock())
    next_day(world)
    await publish(world)
    await holds(world, None, 2)
    published = Published(world.store)
    for job, epoch, index in (("job_2", 1, 2), ("job_9", 2, 0)):
        proof = await published.proof(job)
        assert proof is not None
        assert (proof.epoch.epoch, proof.epoch.v, proof.index) == (epoch, epoch, index)
        leaf = proofs.receipt_leaf(bytes.fromhex(proof.receipt_hash))
        memo = proofs.read_memo(proof.epoch.memo.encode())
        path = [bytes.fromhex(each) for each in proof.path]
        assert memo == (await on_chain(world))[epoch - 1].memo
        assert proofs.included(memo, leaf, proof.index, path)
    kinds = [leaf.kind for leaf in (await published.leaves(1, 0, 9)).leaves]
    assert kinds == ["receipt"] * 4 + ["earned"]
    with pytest.raises(NotFound, match="before corrections went under its root"):
        await published.corrections_proof(1)
    proved = await published.corrections_proof(2)
    memo = proofs.read_memo(proved.epoch.memo.encode())
    path = [bytes.fromhex(each) for each in proved.path]
    assert memo is not None
    assert proofs.included(memo, proofs.corrected_leaf(await head(world)), proved.index, path)


@only_sqlite
async def test_epochs_of_both_versions_are_found_again_on_chain(world: World) -> None:
    """The backup has the receipts and the corrections, not the epochs; then more came."""
    made = await struck(world)
    backup = back_up(world)
    await first_version(world)
    await publish(world)
    next_day(world)
    await publish(world)
    await holds(world, None, 2)
    await restore(world, backup)
    made.store = world.store
    await made.strike("job_1", 10, world.clock())
    await made.settle("job_9", world.clock())
    next_day(world)
    await publish(world)
    await publish(world)
    await holds(world, None, 2, 4)


@only_sqlite
async def test_corrections_that_a_backup_lacks_stop_the_publishing(world: World) -> None:
    made = await struck(world)
    next_day(world)
    await publish(world)
    backup = back_up(world)
    await made.strike("job_1", 10, world.clock())
    next_day(world)
    await publish(world)
    await restore(world, backup)
    made.store = world.store
    made.next -= 1
    await made.strike("job_1", 20, world.clock())
    next_day(world)
    epochs = publisher(world)
    await publish(world, epochs)
    assert "other receipts or corrections than these books" in epochs.problem
    assert len(await on_chain(world)) == 2, "no fork"
