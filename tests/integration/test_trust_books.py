"""What the trust policy decides, booked on both engines: money, memory, strikes and units."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tabgrid_server import ledger
from tabgrid_server.store import (
    AlreadyFinished,
    OutOfOrder,
    Store,
    TrustStep,
    jobs,
    retention,
)
from tabgrid_server.store import ledger as books
from tabgrid_server.store import trust as stored
from tabgrid_server.store.audit import findings
from tabgrid_server.store.effects import (
    Effect,
    Fine,
    Forfeit,
    Reinstate,
    Release,
    Restore,
    Strike,
    StrikeMoved,
    UnitMoved,
    Void,
)
from tabgrid_server.trust import Policy, ResultReturned, Ticked, Trust, UnitKey, memory
from tests.support.books import CREDIT, TOKEN, add_owner, new_job, opened, settlement

UNIT = UnitKey("Wallet1", "d" * 64, "q8", "wasm:x86-64")
PAY = 95


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'books.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """Whatever a test does, the audit must pass after it."""
    async with opened(url) as store:
        await add_owner(store)
        yield store


class Steps:
    """Tells a store what a policy was told, counting as the coordinator does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.next = 1

    def step(self, *effects: Effect, job: str = "") -> TrustStep:
        event = ResultReturned(job, UNIT, PAY, b"c" * 32) if job else Ticked()
        made = TrustStep(self.next, ((1_003.0, event),), effects)
        self.next += 1
        return made

    async def settle(self, job: str, *effects: Effect) -> None:
        await self.store.submit(new_job(job))
        await self.store.settle(settlement(job, trust=self.step(*effects, job=job)))

    async def tell(self, *effects: Effect) -> None:
        await self.store.trust_step(self.step(*effects))

    async def has(self, account: str) -> int:
        return await self.store.read(books.balance, account, TOKEN)


@pytest.fixture
async def steps(store: Store) -> Steps:
    made = Steps(store)
    for n in range(4):
        await made.settle(f"job_{n}")
    return made


WITHHELD, CLAIMABLE = ledger.withheld_of("Wallet1"), ledger.claimable_of("Wallet1")


def struck(job: str, fine: int) -> tuple[Effect, ...]:
    return (
        Void(job, UNIT, PAY, 0, "wrong", 1_010.0),
        Fine(job, UNIT, fine, "wrong", 1_010.0),
        Strike(job, UNIT, PAY, fine, "wrong", 1_010.0, 2_000.0),
    )


async def test_what_the_policy_holds_is_not_released_by_time(steps: Steps) -> None:
    await steps.store.submit(new_job("job_r"))
    await steps.store.settle(settlement("job_r", wallet="Reference"))
    (released,) = await steps.store.write(books.release_due, 9e9, 100)
    assert (released.wallet, released.jobs) == ("Reference", 1)
    assert await steps.has(WITHHELD) == 4 * PAY


async def test_a_release_lets_its_jobs_go_once(steps: Steps) -> None:
    for _ in range(2):
        await steps.tell(Release(UNIT, ("job_0", "job_1"), 2 * PAY, 1_010.0))
    assert (await steps.has(WITHHELD), await steps.has(CLAIMABLE)) == (2 * PAY, 2 * PAY)


async def test_a_wrong_answer_is_paid_back_and_a_fine_is_not_released(steps: Steps) -> None:
    await steps.tell(*struck("job_1", 50))
    credit = await steps.store.read(books.credit, "alice", TOKEN)
    assert (credit.available, credit.spent) == (CREDIT - 300, 300)
    assert await steps.has(ledger.FINES) == 50
    assert await steps.has(ledger.FEES) == 15
    job = await steps.store.read(jobs.get, "job_1")
    assert job is not None
    assert (job.refuted, job.refuted_at, job.state) == ("wrong", 1_010.0, "done")
    await steps.tell(Release(UNIT, ("job_0", "job_2", "job_3"), 3 * PAY - 50, 1_020.0))
    assert (await steps.has(WITHHELD), await steps.has(CLAIMABLE)) == (0, 3 * PAY - 50)


async def test_a_wrong_answer_whose_pay_went_into_fines_is_paid_back_from_them(
    steps: Steps,
) -> None:
    await steps.tell(*struck("job_0", 3 * PAY))
    await steps.tell(Void("job_1", UNIT, 0, PAY, "wrong too", 1_011.0))
    assert await steps.has(ledger.FINES) == 2 * PAY
    assert (await steps.store.read(books.credit, "alice", TOKEN)).available == CREDIT - 200


async def test_a_strike_taken_back_gives_fine_and_pay_to_be_claimed(steps: Steps) -> None:
    await steps.tell(*struck("job_0", 60))
    await steps.tell(StrikeMoved("job_0", "appealed", "the owner appeals", 1_500.0))
    for _ in range(2):
        await steps.tell(
            Restore("job_0", UNIT, PAY, 60, 0, "right after all", 1_600.0),
            StrikeMoved("job_0", "reversed", "right after all", 1_600.0),
        )
    assert await steps.has(CLAIMABLE) == PAY + 60
    assert await steps.has(ledger.FINES) == 0
    assert await steps.has(ledger.RESTORED) == -PAY
    strike = await steps.store.read(stored.strike_of_job, "job_0")
    assert strike is not None
    assert (strike.unit, strike.fine, strike.state) == (UNIT, 60, "reversed")
    assert await steps.store.read(stored.strikes_of_wallet, "Wallet1", 10) == [strike]


async def test_a_fine_goes_back_to_where_it_was_taken_and_pays_for_nothing_more(
    steps: Steps,
) -> None:
    """It took the pay of an answer that is found wrong later: that user is paid by the node."""
    await steps.tell(*struck("job_0", 3 * PAY))
    await steps.tell(Restore("job_0", UNIT, PAY, 3 * PAY, 3 * PAY, "right after all", 1_600.0))
    assert (await steps.has(WITHHELD), await steps.has(CLAIMABLE)) == (3 * PAY, PAY)
    await steps.tell(*struck("job_1", 10))
    await steps.tell(Release(UNIT, ("job_2", "job_3"), 2 * PAY - 10, 1_700.0))
    assert (await steps.has(WITHHELD), await steps.has(CLAIMABLE)) == (0, 3 * PAY - 10)
    assert (await steps.has(ledger.FINES), await steps.has(ledger.RESTORED)) == (10, -PAY)
    assert (await steps.store.read(books.credit, "alice", TOKEN)).available == CREDIT - 200


async def test_a_strike_that_nobody_could_look_at_again_gives_the_fine_back_and_no_pay(
    steps: Steps,
) -> None:
    await steps.tell(*struck("job_0", 60))
    credit = await steps.store.read(books.credit, "alice", TOKEN)
    for _ in range(2):
        await steps.tell(
            Restore("job_0", UNIT, 0, 60, 0, "nobody looked", 1_600.0),
            StrikeMoved("job_0", "lapsed", "nobody looked", 1_600.0),
        )
    assert await steps.has(CLAIMABLE) == 60
    assert (await steps.has(ledger.FINES), await steps.has(ledger.RESTORED)) == (0, 0)
    assert await steps.store.read(books.credit, "alice", TOKEN) == credit
    strike = await steps.store.read(stored.strike_of_job, "job_0")
    assert strike is not None
    assert (strike.state, strike.moved_reason) == ("lapsed", "nobody looked")


async def test_what_was_in_a_job_is_kept_while_its_strike_can_be_appealed(steps: Steps) -> None:
    write, read = steps.store.write, steps.store.read

    async def let_go(now: float) -> list[str]:
        """As the house does, once the grid's time is over for all of them."""
        await write(retention.expire, "text", 0.0, 9e9, 100, now)
        await write(
            retention.expire_these, await read(retention.kept_for_appeals, "text", 9e9, 9, now), now
        )
        found = [await read(jobs.get, f"job_{n}") for n in range(4)]
        return [job.id for job in found if job is not None and job.expired_at is not None]

    for n in range(3):
        await steps.tell(*struck(f"job_{n}", 10))
    await steps.tell(StrikeMoved("job_0", "appealed", "the owner appeals", 1_500.0))
    await steps.tell(StrikeMoved("job_1", "appealed", "the owner appeals", 1_500.0))
    assert await let_go(1_600.0) == ["job_3"]
    await steps.tell(StrikeMoved("job_1", "upheld", "they differ too", 1_600.0))
    assert await let_go(1_700.0) == ["job_1", "job_3"]
    assert await let_go(2_001.0) == ["job_1", "job_2", "job_3"], "nobody appealed in time"
    await steps.tell(StrikeMoved("job_0", "lapsed", "nobody looked", 2_100.0))
    assert await let_go(2_200.0) == ["job_0", "job_1", "job_2", "job_3"]


async def test_a_conviction_takes_what_is_withheld_and_can_be_lifted(steps: Steps) -> None:
    await steps.tell(*struck("job_0", 60), UnitMoved(UNIT, "convicted", "too many", 1_010.0))
    left = 3 * PAY - 60
    await steps.tell(Forfeit(UNIT, ("job_1", "job_2", "job_3"), left, "too late", 1_020.0))
    assert (await steps.has(WITHHELD), await steps.has(ledger.FORFEITS)) == (0, left)
    for _ in range(2):
        await steps.tell(Reinstate(UNIT, left, "an error", 1_030.0))
    assert (await steps.has(CLAIMABLE), await steps.has(ledger.FORFEITS)) == (left, 0)
    (unit,) = await steps.store.read(stored.units_of_wallet, "Wallet1")
    assert (unit.unit, unit.state, unit.reason) == (UNIT, "convicted", "too many")
    assert await steps.store.read(stored.units_of_kind, UNIT.kind) == [unit]


async def test_effects_come_with_the_settlement_that_caused_them(steps: Steps) -> None:
    await steps.settle("job_4", Release(UNIT, ("job_0", "job_4"), 2 * PAY, 1_003.0))
    assert (await steps.has(WITHHELD), await steps.has(CLAIMABLE)) == (3 * PAY, 2 * PAY)


async def test_a_step_told_twice_is_kept_once(steps: Steps) -> None:
    step = steps.step(Release(UNIT, ("job_0",), PAY, 1_010.0))
    for _ in range(2):
        await steps.store.trust_step(step)
    kept = await steps.store.read(stored.remembered)
    assert (kept.through, len(kept.events)) == (5, 5)


async def test_a_step_waits_for_the_one_before_it(steps: Steps) -> None:
    first, second = steps.step(), steps.step(Release(UNIT, ("job_0",), PAY, 1_010.0))
    with pytest.raises(OutOfOrder, match="Event 6 of the trust policy cannot follow event 4"):
        await steps.store.trust_step(second)
    assert await steps.has(CLAIMABLE) == 0
    await steps.store.trust_step(first)
    await steps.store.trust_step(second)
    assert await steps.has(CLAIMABLE) == PAY


async def test_a_refused_settlement_keeps_what_the_policy_was_told(steps: Steps) -> None:
    step = steps.step(Release(UNIT, ("job_0",), PAY, 1_003.0), job="job_1")
    with pytest.raises(AlreadyFinished):
        await steps.store.settle(settlement("job_1", trust=step))
    assert await steps.has(CLAIMABLE) == PAY
    assert (await steps.store.read(stored.remembered)).through == 5


async def test_what_these_books_do_not_have_is_not_paid(steps: Steps) -> None:
    """A policy that would ever differ from the books can neither stop nor overdraw them."""
    other = UNIT._replace(wallet="Wallet2")
    await steps.tell(
        Release(UNIT, ("job_0", "job_x"), 2 * PAY, 1_010.0),
        Release(other, ("job_1",), PAY, 1_010.0),
        Void("job_x", UNIT, PAY, 0, "unknown", 1_010.0),
        Void("job_0", UNIT, PAY, 0, "released", 1_010.0),
        Fine("job_1", UNIT, 10**9, "too much", 1_010.0),
        Restore("job_1", UNIT, PAY, 10**9, 0, "not void", 1_010.0),
        Reinstate(UNIT, 10**9, "nothing was forfeited", 1_010.0),
        StrikeMoved("job_x", "upheld", "unknown", 1_010.0),
    )
    assert await steps.has(CLAIMABLE) == PAY
    assert await steps.has(ledger.claimable_of("Wallet2")) == 0


async def test_a_snapshot_takes_the_place_of_the_events_before_it(steps: Steps) -> None:
    state = memory.dump(Trust(Policy(goldens=7)))
    await steps.store.write(stored.remember, 3, state, 1_010.0)
    kept = await steps.store.read(stored.remembered)
    assert (kept.through, kept.state, len(kept.events)) == (4, state, 1)
    with pytest.raises(OutOfOrder):
        await steps.store.write(stored.remember, 5, state, 1_010.0)
    await steps.tell()
    await steps.store.write(stored.remember, 5, state, 1_020.0)
    kept = await steps.store.read(stored.remembered)
    assert (kept.through, kept.state, kept.events) == (5, state, [])
    await steps.tell()


@pytest.mark.parametrize(
    ("tampering", "rule"),
    [
        ("UPDATE earnings SET fined = 1 WHERE job_id = 'job_2'", "less open fines"),
        ("UPDATE earnings SET lost = NULL WHERE job_id = 'job_0'", "whole price back"),
        ("UPDATE earnings SET lost = 'forfeit' WHERE job_id = 'job_2'", "what was forfeited"),
        ("UPDATE strikes SET fine = fine + 1", "fined as it was decided"),
        ("UPDATE corrections SET amount = 1 WHERE kind = 'fine'", "booked as it is published"),
        ("DELETE FROM corrections WHERE kind = 'void'", "follows the one before it"),
        ("UPDATE postings SET amount = -61 WHERE account = 'system:fines' AND amount < 0",
         "given back that was not taken"),
    ],
)  # fmt: skip
async def test_tampering_with_what_the_policy_decided_is_found(
    tmp_path: Path, tampering: str, rule: str
) -> None:
    file = tmp_path / "books.db"
    async with opened(f"sqlite:///{file}") as store:
        await add_owner(store)
        steps = Steps(store)
        for n in range(3):
            await steps.settle(f"job_{n}")
        await steps.tell(*struck("job_0", 50), *struck("job_1", 20))
        await steps.tell(Restore("job_1", UNIT, PAY, 20, 0, "right after all", 1_600.0))
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(tampering).rowcount > 0
    store = await Store.open(f"sqlite:///{file}")
    try:
        broken = [each.rule for each in await store.read(findings) if each.broken]
    finally:
        await store.close()
    assert any(rule in each for each in broken), broken
