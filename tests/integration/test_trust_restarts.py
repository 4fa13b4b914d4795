"""Cut off again and again with answers under audit, a coordinator goes on where its books end:
nobody is paid twice, nobody's refund is lost, and the trust policy knows what it knew."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tabgrid_server.store import Store
from tabgrid_server.store import corrections as stored_corrections
from tabgrid_server.store import jobs as stored_jobs
from tabgrid_server.store import ledger as stored_ledger
from tabgrid_server.store import trust as stored_trust
from tabgrid_server.trust import memory
from tests.support.books import CREDIT, TOKEN, opened
from tests.support.desk import REFERENCE, RIGHT, WRONG, Desk, Seat, open_account, open_desk

FIGURES = {
    "other_kind_s": 0,
    "release_jobs": 2,
    "release_idle_s": 1,
    "probation_jobs": 3,
    "newcomers_per_address": 9,
    "reaudits": 3,
}
ANN, BOB = Keypair(), Keypair()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'books.db'}"
    else:
        url = str(request.getfixturevalue("postgres_url"))
    await open_account(url)
    return url


class Crowd:
    """An honest node, one that lies every other time, and two references."""

    def __init__(self, desk: Desk, chance: random.Random) -> None:
        self.desk = desk
        self.chance = chance
        self.ann, self.bob = desk.node(ANN, "cpu:ann"), desk.node(BOB, "cpu:bob")
        self.references = [desk.node(REFERENCE, f"{kind}:lab") for kind in ("cpu", "webgpu")]

    async def step(self) -> None:
        busy = [seat for seat in (self.ann, self.bob, *self.references) if seat.work]
        what = self.chance.random()
        if what < 0.3 or not busy:
            await self.desk.job()
        elif what < 0.9:
            self.answer(self.chance.choice(busy))
        else:
            await self.desk.quiet()

    def answer(self, seat: Seat) -> None:
        lies = seat is self.bob and self.chance.random() < 0.5
        seat.answer(WRONG if lies else RIGHT)

    async def finish(self) -> None:
        """Until every job has its answer and every audit its verdict."""
        coordinator = self.desk.coordinator
        while coordinator.jobs or coordinator.scheduler.audits or self.waiting():
            for seat in (self.ann, self.bob, *self.references):
                if seat.work:
                    self.answer(seat)
            await self.desk.quiet()
            await self.desk.until(
                lambda: (
                    any(seat.work for seat in (self.ann, self.bob, *self.references))
                    or not (coordinator.jobs or coordinator.scheduler.audits or self.waiting())
                )
            )

    def waiting(self) -> bool:
        return any(result.pending for result in self.desk.auditing.policy.results.values())


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_lost_when_it_is_cut_off_is_done_again_once(
    tmp_path: Path, url: str, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        async with open_desk(tmp_path, url, **FIGURES) as desk:
            crowd = Crowd(desk, chance)
            for _ in range(chance.randrange(5, 40)):
                await crowd.step()
    async with open_desk(tmp_path, url, **FIGURES) as desk:
        await Crowd(desk, chance).finish()
        knows = memory.dump(desk.auditing.policy)
        kept = await desk.coordinator.store.read(stored_trust.remembered)
        told_again = memory.replayed(kept.state, kept.events, desk.auditing.policy.policy)
        assert memory.dump(told_again) == knows
    async with opened(url) as store:
        await check(store)


async def check(store: Store) -> None:
    jobs = await store.read(stored_jobs.page, 10_000)
    assert {job.state for job in jobs} == {"done"}
    assert any(job.refuted for job in jobs), "the liar was never caught: this tests nothing"
    owed = sum(job.price for job in jobs if job.refuted is None)
    assert (await store.read(stored_ledger.credit, "alice", TOKEN)).available == CREDIT - owed
    for wallet in (ANN, BOB):
        address = str(wallet.pubkey())
        strikes = await store.read(stored_trust.strikes_of_wallet, address, 1_000)
        units = await store.read(stored_trust.units_of_wallet, address)
        earned = sum(job.price - job.fee for job in jobs if _right(job, address))
        # A fine that took from the pay of another wrong answer went to that one's user.
        corrections = await store.read(stored_corrections.of_wallet, address, 1_000)
        fined = sum(strike.fine for strike in strikes)
        fined -= sum(each.fined for each in corrections if each.kind == "void")
        has = await store.read(stored_ledger.wallet_summary, address, TOKEN)
        assert has.withheld + has.claimable <= earned - fined
        if wallet is ANN:
            assert not strikes
            assert has.withheld + has.claimable == earned
        elif all(unit.state != "convicted" for unit in units):
            assert has.withheld + has.claimable == earned - fined


def _right(job: stored_jobs.Job, address: str) -> bool:
    return job.wallet == address and job.refuted is None
