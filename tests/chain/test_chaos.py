"""Never paid twice, never lost, always ends: whatever dies, lies, lags, forks or is dropped.

The state machine, the store, the transactions and the RPC client are the real ones, over real
programs on a chain that forks. ``TABGRID_CHAOS`` says how many random schedules are played, and
from which on; each is its number, so that a failure can be played again.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from solders.keypair import Keypair

from tests.support.budget import schedules
from tests.support.chaos import PEACE, UNIT, World

#: With the 900 schedules of one and of two kills this is about a minute of one core.
SCHEDULES = schedules(600)
#: Tests that share them, each within its time-out.
PARTS = 4
ROUNDS = 12


async def play(
    world: World,
    seed: int,
    *,
    wild: bool = True,
    kill_at: Iterable[int] = (),
) -> Keypair:
    """One wallet's claims, in trouble and then in peace; checked after every round."""
    rng = world.rng
    rng.seed(seed)
    wallet = world.wallet()
    earned = rng.randint(1, 50) * UNIT
    world.earn(wallet, earned)
    world.boot()
    world.passed, world.kill_at = 0, frozenset(kill_at)
    for _ in range(ROUNDS if wild else 5):
        if wild:
            world.faults.each, world.faults.lies = rng.choice([0.0, 0.2, 0.6]), rng.choice([0, 0.3])
            world.kill_chance, world.break_chance = rng.choice([0.0, 0.02]), rng.choice([0.0, 0.05])
            world.network.lands, world.network.drops = rng.choice([(1.0, 0.0), (0.4, 0.3)])
        work = [world.service.step()]
        if not wild or rng.random() < 0.6:
            work.insert(0, world.claim(wallet, guarded=wild and rng.random() < 0.5))
        if wild and rng.random() < 0.2:  # another tab, and another process of the same grid
            work.append(world.claim(wallet, other=world.process(world.generation)))
        await world.live(*work)
        if wild and rng.random() < 0.2:
            more = rng.randint(1, 5) * UNIT
            earned += more
            world.earn(wallet, more)
        world.turn(rng.choice([0, 1, 3, 12, 40, 160]) if wild else 12)
        check(world, wallet, earned)
        if wild and rng.random() < 0.3:
            world.network.fork()
            check(world, wallet, earned)
    await rest(world, wallet, earned)
    return wallet


async def rest(world: World, wallet: Keypair, earned: int) -> None:
    """Left in peace, everything ends: all that was earned is paid, once."""
    world.faults.each = world.faults.lies = world.kill_chance = world.break_chance = 0.0
    world.network.lands, world.kill_at = 1.0, frozenset()
    for _ in range(PEACE):
        if world.books(wallet).paid == earned:
            break
        await world.live(world.claim(wallet), world.service.step())
        world.turn(12)
        check(world, wallet, earned)
    books = world.books(wallet)
    assert (books.claimable, books.in_flight, books.paid) == (0, 0, earned)
    world.turn(40)
    assert world.tokens(wallet, final=True) == earned


def check(world: World, wallet: Keypair, earned: int) -> None:
    books = world.books(wallet)
    assert books.claimable + books.in_flight + books.paid == earned, "the books lost something"
    assert world.tokens(wallet) <= earned, "paid twice"
    assert books.sent <= world.tokens(wallet, final=True), "booked and not paid"
    final = world.machine.finalized()
    assert sum(not each.over for each in books.claims) <= 1
    for claim in books.claims:
        if claim.over and claim.state != "finalized" and claim.txid is not None:
            record = world.machine.record(claim.txid)
            assert record is None or record.error is not None, "returned, and on chain"
            assert record or final > claim.last_valid_height, "returned, and may still land"


async def test_killed_once_at_every_await(chaos: World) -> None:
    await play(chaos, 1, wild=False)
    awaits = chaos.passed
    assert awaits > 40
    for place in range(1, awaits + 1):
        await play(chaos, 1, wild=False, kill_at=[place])
    assert chaos.kills >= awaits - 1


@pytest.mark.parametrize("part", range(PARTS))
async def test_killed_twice(chaos: World, part: int) -> None:
    """And once more while what the first kill left is taken up."""
    for first in range(2, 62)[part::PARTS]:
        for second in range(first + 1, first + 41, 3):
            await play(chaos, first, wild=False, kill_at=[first, second])


@pytest.mark.parametrize("part", range(PARTS))
async def test_any_trouble_at_all(chaos: World, part: int) -> None:
    for seed in SCHEDULES[part::PARTS]:
        try:
            await play(chaos, seed)
        except BaseException as error:
            error.add_note(f"in schedule {seed}")
            raise
    assert chaos.kills > len(SCHEDULES) // PARTS // 10 or len(SCHEDULES) < 10 * PARTS
