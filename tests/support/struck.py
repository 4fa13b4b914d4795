"""A wallet whose jobs are settled and whose pay is corrected afterwards, as the store books it."""

from __future__ import annotations

from solders.keypair import Keypair

from tabgrid_server.store import Check, Settlement, Store, TrustStep
from tabgrid_server.store import checks as stored_checks
from tabgrid_server.store.effects import Effect, Fine, Strike, Void
from tabgrid_server.trust import Ticked, UnitKey
from tabgrid_server.trust.policy import DAY
from tests.support.books import new_job, settlement
from tests.support.settled import PAY, signed_receipt


class Struck:
    """Counts what the trust policy was told, as the coordinator does."""

    def __init__(self, store: Store, wallet: Keypair) -> None:
        self.store = store
        self.wallet = wallet
        self.unit = UnitKey(str(wallet.pubkey()), "d" * 64, "q8", "wasm:x86-64")
        self.next = 1

    async def settle(self, job: str, at: float) -> None:
        await self.store.submit(new_job(job, submitted_at=at))
        made: Settlement = settlement(
            job, wallet=self.unit.wallet, receipt=signed_receipt(job, self.wallet, at),
            finished_at=at, release_at=at + DAY,
        )  # fmt: skip
        await self.store.settle(made)

    async def tell(self, at: float, *effects: Effect) -> None:
        await self.store.trust_step(TrustStep(self.next, ((at, Ticked()),), effects))
        self.next += 1

    async def refute(self, job: str, at: float) -> None:
        """A second reference finds the answer wrong."""
        found = Check(
            id=f"audit_{job}", job_id=job, purpose="second", auditor="Reference",
            device_class="cpu", comparator_version=1, distance=0.5, threshold=0.1, agreed=False,
            checked_at=at, wallet=self.unit.wallet,
        )  # fmt: skip
        await self.store.write(stored_checks.add, found)

    async def strike(self, job: str, fine: int, at: float) -> None:
        await self.refute(job, at)
        await self.tell(
            at,
            Void(job, self.unit, PAY, 0, "Two references differ.", at),
            Fine(job, self.unit, fine, "Two references differ.", at),
            Strike(job, self.unit, PAY, fine, "Two references differ.", at, at + 60),
        )
