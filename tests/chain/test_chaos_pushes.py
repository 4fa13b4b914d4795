"""The same for payouts that the grid pushes: several wallets in one transaction, which may also
claim for themselves, while processes die, RPCs lie and the chain forks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from solders.keypair import Keypair

from tests.chain.test_chaos import check
from tests.support.budget import schedules
from tests.support.chaos import PEACE, UNIT, World

#: A schedule of three wallets costs three of one.
SCHEDULES = schedules(600, one_in=4)
PARTS = 2
ROUNDS = 12


async def play(world: World, seed: int, *, wild: bool = True, kill_at: Iterable[int] = ()) -> int:
    """Payouts of three wallets, of which one has SOL; in trouble and then in peace.

    How many awaits there were to be killed at.
    """
    rng = world.rng
    rng.seed(seed)
    wallets = [world.wallet(), world.wallet(0), world.wallet(0)]
    earned = {wallet: rng.randint(1, 50) * UNIT for wallet in wallets}
    for wallet, amount in earned.items():
        world.earn(wallet, amount)
    world.boot()
    world.passed, world.kill_at = 0, frozenset(kill_at)
    for _ in range(ROUNDS if wild else 4):
        if wild:
            world.faults.each, world.faults.lies = rng.choice([0.0, 0.2, 0.6]), rng.choice([0, 0.3])
            world.kill_chance, world.break_chance = rng.choice([0.0, 0.02]), rng.choice([0.0, 0.05])
            world.network.lands, world.network.drops = rng.choice([(1.0, 0.0), (0.4, 0.3)])
        work = [world.ask(each) for each in wallets if not wild or rng.random() < 0.6]
        if wild and rng.random() < 0.3:  # the other button, in another tab
            work.append(world.claim(wallets[0]))
        if wild and rng.random() < 0.2:  # another process of the same grid
            other = world.process(world.generation)
            work += [world.ask(wallets[1], other), other.step()]
        await world.live(*work, world.service.step())
        if wild and rng.random() < 0.2:
            lucky = rng.choice(wallets)
            more = rng.randint(1, 5) * UNIT
            earned[lucky] += more
            world.earn(lucky, more)
        world.turn(rng.choice([0, 1, 3, 12, 40, 160]) if wild else 12)
        check_all(world, earned)
        if wild and rng.random() < 0.3:
            world.network.fork()
            check_all(world, earned)
    awaits = world.passed
    await rest(world, earned)
    return awaits


async def rest(world: World, earned: dict[Keypair, int]) -> None:
    """Left in peace, everything ends: all that was earned is paid, once, less the fees."""
    world.faults.each = world.faults.lies = world.kill_chance = world.break_chance = 0.0
    world.network.lands, world.kill_at = 1.0, frozenset()
    for _ in range(PEACE):
        if all(world.books(wallet).paid == amount for wallet, amount in earned.items()):
            break
        await world.live(*(world.ask(wallet) for wallet in earned), world.service.step())
        world.turn(12)
        check_all(world, earned)
    world.turn(40)
    for wallet, amount in earned.items():
        books = world.books(wallet)
        assert (books.claimable, books.in_flight, books.paid) == (0, 0, amount)
        fees = sum(each.push_fee for each in books.claims if each.state == "finalized")
        assert world.tokens(wallet, final=True) == books.sent == amount - fees


def check_all(world: World, earned: dict[Keypair, int]) -> None:
    for wallet, amount in earned.items():
        check(world, wallet, amount)


def together(world: World) -> int:
    """The most payouts that shared a transaction which is final."""
    query = (
        "SELECT max(n) FROM (SELECT count(*) AS n FROM claim_attempts"
        " WHERE state = 'finalized' GROUP BY txid)"
    )
    return world.read(lambda connection: int(connection.exec_driver_sql(query).scalar_one()))


async def test_killed_once_at_every_await(chaos: World) -> None:
    awaits = await play(chaos, 1, wild=False)
    assert awaits > 40
    for place in range(1, awaits + 1):
        await play(chaos, 1, wild=False, kill_at=[place])
    assert chaos.kills >= awaits - 1
    assert together(chaos) == 2, "all three need an account, and two fit"


@pytest.mark.parametrize("part", range(PARTS))
async def test_any_trouble_at_all(chaos: World, part: int) -> None:
    for seed in SCHEDULES[part::PARTS]:
        try:
            await play(chaos, seed)
        except BaseException as error:
            error.add_note(f"in schedule {seed}")
            raise
    assert chaos.kills > len(SCHEDULES) // PARTS // 10 or len(SCHEDULES) < 10 * PARTS
