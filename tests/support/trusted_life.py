"""A grid's life as its store sees it: a real trust policy, told random things, and real books.

Everything that it needs to go on is in the policy's memory, so that it can end at any moment:

    python -m tests.support.trusted_life URL SEED

lives until it is killed, and prints the number of each event once it is kept.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from tabgrid_server import ledger
from tabgrid_server.store import OutOfOrder, Settlement, Store, TrustStep, stats
from tabgrid_server.store import ledger as books
from tabgrid_server.store import trust as stored
from tabgrid_server.store.consequences import effects_of
from tabgrid_server.trust import (
    AppealFiled,
    AppealJudged,
    BugConfirmed,
    CheckAbandoned,
    Checked,
    ClassCleared,
    EpochOpened,
    Event,
    GoldensReturned,
    Policy,
    ResultReturned,
    Ticked,
    Trust,
    UnitKey,
    UnitOffered,
    memory,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.state import WORKING
from tests.support.books import TOKEN, new_job, settlement

UNITS = tuple(
    UnitKey(wallet, "d" * 64, dtype, "wasm:x86-64")
    for wallet in ("ann", "bob", "cy")
    for dtype in ("fp32", "q8")
)
#: Events are ten minutes apart. Few jobs and short waits: everything happens in some hundred.
STEP_S = 600.0
POLICY = Policy(
    probation_jobs=3, release_jobs=4, release_s=2_000.0, release_idle_s=20_000.0, reaudits=3,
    margin=2, odds=30, appeal_s=6_000.0, class_wallets=3, class_window_s=4_000.0,
    newcomers_per_day=10**6, newcomers_per_address=10**6,
)  # fmt: skip
PAY = 95


class Life:
    """``trust`` is told events in order; ``last`` is the number of the newest."""

    def __init__(self, store: Store, trust: Trust, last: int, seed: int) -> None:
        self.store = store
        self.trust = trust
        self.last = last
        self.random = random.Random(f"{seed} {last}")
        self.loud = False
        self._told: Sequence[do.Instruction] = ()
        self._sent: list[asyncio.Task[None]] = []

    @classmethod
    async def begin(cls, store: Store, seed: int) -> Life:
        """A new one, or the one that these books remember."""
        kept = await store.read(stored.remembered)
        trust = memory.replayed(kept.state, kept.events, POLICY)
        return cls(store, trust, kept.through, seed)

    @property
    def now(self) -> float:
        return 1_700_000_000.0 + STEP_S * self.last

    async def go_on(self, steps: int) -> None:
        """Tell it so many random things; several are on their way to the books at a time."""
        for _ in range(steps):
            self._act()
            if len(self._sent) >= 4:
                await self.settled()
        await self.settled()

    async def settled(self) -> None:
        """Once all that it was told is kept."""
        sent, self._sent = self._sent, []
        await asyncio.gather(*sent)

    async def snapshot(self) -> None:
        await self.settled()
        await self.store.write(stored.remember, self.last, memory.dump(self.trust), self.now)

    async def validate(self) -> None:
        """Raise AssertionError where policy and books differ."""
        self.trust.validate_state()
        earned = await self.store.read(stats.earned)
        assert self.store.earned(TOKEN) == earned[TOKEN]
        fines = sum(s.fine for s in self.trust.strikes.values() if s.stands)
        assert await self.store.read(books.balance, ledger.FINES, TOKEN) == fines
        for wallet in {unit.wallet for unit in UNITS}:
            mine = [u for key, u in self.trust.units.items() if key.wallet == wallet]
            there = await self.store.read(books.balance, ledger.withheld_of(wallet), TOKEN)
            assert there == sum(unit.withheld for unit in mine), wallet
            rows = await self.store.read(stored.units_of_wallet, wallet)
            told = {row.unit: row.state for row in rows}
            for unit in mine:
                # A class that is cleared is told at the next offer.
                assert told[unit.key] == unit.state or unit.state == "untested", unit.key
            strikes = await self.store.read(stored.strikes_of_wallet, wallet, 10_000)
            assert {s.job_id: s.state for s in strikes} == {
                job: s.state for job, s in self.trust.strikes.items() if s.unit.key.wallet == wallet
            }

    # --- what happens ---------------------------------------------------------------------

    def _act(self) -> None:
        choose = self.random.choice
        if self.trust.epoch < 0:
            self._tell(EpochOpened(0, b"s" * 32))
        working = sorted(key for key, unit in self.trust.units.items() if unit.state in WORKING)
        idle = sorted(set(UNITS) - set(working))
        pending = sorted(job for job, result in self.trust.results.items() if result.pending)
        luck = self.random.random()
        if idle and luck < 0.1:
            self._offer(choose(idle))
        elif pending and luck < 0.5:
            self._judge(choose(pending))
        elif luck < 0.6:
            self._dispute()
        elif working:
            self._answer(choose(working))
        else:
            self._tell(Ticked())

    def _offer(self, unit: UnitKey) -> None:
        (told,) = self._tell(UnitOffered(unit, f"home of {unit.wallet}"))
        if isinstance(told, do.TestUnit):
            self._tell(GoldensReturned(unit, True))

    def _judge(self, job: str) -> None:
        luck = self.random.random()
        self._tell(CheckAbandoned(job) if luck < 0.05 else Checked(job, luck < 0.7))

    def _dispute(self) -> None:
        strikes = sorted(self.trust.strikes.items())
        standing = [job for job, strike in strikes if strike.state == "standing"]
        appealed = [job for job, strike in strikes if strike.state == "appealed"]
        luck = self.random.random()
        if appealed and luck < 0.4:
            self._tell(AppealJudged(appealed[0], self.random.randint(0, 3)))
        elif standing and luck < 0.7:
            self._tell(AppealFiled(self.random.choice(standing)))
        elif strikes and luck < 0.73:
            kind = self.random.choice(strikes)[1].unit.kind
            self._tell(BugConfirmed(kind))
            self._tell(ClassCleared(kind))
        else:
            self._tell(Ticked())

    def _answer(self, unit: UnitKey) -> None:
        job = f"job_{self.last:06}"
        now, event = self.now, ResultReturned(job, unit, PAY, job.encode())
        step = self._step(event)
        made = settlement(job, wallet=unit.wallet, dtype=unit.dtype, trust=step, finished_at=now)
        self._send(self._settle(job, made, step.last))

    def _tell(self, event: Event) -> Sequence[do.Instruction]:
        step = self._step(event)
        self._send(self._keep(self.store.trust_step, step, step.last))
        return self._told

    def _step(self, event: Event) -> TrustStep:
        now = self.now
        self._told = self.trust.handle(event, now)
        self.last += 1
        return TrustStep(self.last, ((now, event),), effects_of(self._told, self.trust, now))

    async def _settle(self, job: str, made: Settlement, number: int) -> None:
        await self.store.submit(new_job(job))
        await self._keep(self.store.settle, made, number)

    async def _keep(
        self, write: Callable[[Any], Awaitable[None]], command: Any, number: int
    ) -> None:
        """As the coordinator: again, while what comes before is not kept."""
        while True:
            try:
                await write(command)
            except OutOfOrder:
                await asyncio.sleep(0.001)
            else:
                break
        if self.loud:
            print(number, flush=True)

    def _send(self, writing: Coroutine[Any, Any, None]) -> None:
        self._sent.append(asyncio.create_task(writing))


async def main(url: str, seed: int) -> None:
    store = await Store.open(url)
    life = await Life.begin(store, seed)
    life.loud = True
    while True:
        await life.go_on(40)
        await life.snapshot()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
