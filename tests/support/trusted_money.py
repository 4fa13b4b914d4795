"""A ledger in memory that books what a trust policy decides, just as it says: no amount is cut to
fit, so whatever cannot be booked so is an error of the policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tabgrid_server import ledger
from tabgrid_server.ledger import AccountKey, Transfer
from tabgrid_server.store.effects import (
    Effect,
    Fine,
    Forfeit,
    Reinstate,
    Release,
    Restore,
    Void,
)

TOKEN = "TGT"
OWNER = "alice"
FEE = 1
#: What may be negative: what the grid gives away, and the pay of answers that were called wrong
#: and were right. No fine, forfeit or fee is ever spent twice.
LOSSES = (ledger.grants_of(""), ledger.RESTORED)


class TrustedMoney:
    def __init__(self) -> None:
        self.balances: dict[AccountKey, int] = {}
        self.booked: dict[tuple[str, str], Transfer] = {}
        #: By job.
        self.pay: dict[str, int] = {}
        #: By wallet: forfeits that were not given back.
        self.forfeits: dict[object, str] = {}

    def has(self, account: str) -> int:
        return self.balances.get((account, TOKEN), 0)

    def settle(self, job: str, wallet: str, pay: int) -> None:
        self.pay[job] = pay
        price = pay + FEE
        self.post(ledger.grant(job, OWNER, price, TOKEN, 0.0))
        self.post(ledger.hold(job, OWNER, price, TOKEN, 0.0))
        self.post(ledger.settle(job, OWNER, wallet, price, price, FEE, TOKEN, 0.0))

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            for transfer in self._transfers(effect):
                self.post(transfer)
                self.post(transfer)  # as after an answer that was lost

    def _transfers(self, effect: Effect) -> Iterable[Transfer]:
        wallet = "" if not hasattr(effect, "unit") else effect.unit.wallet
        if isinstance(effect, Void):
            job, pay = effect.job_id, effect.pay
            assert pay + effect.from_fines == self.pay[job]
            yield ledger.void(job, OWNER, wallet, pay, effect.from_fines, FEE, TOKEN, 0.0)
        elif isinstance(effect, Fine):
            yield ledger.fine(effect.job_id, wallet, effect.amount, TOKEN, 0.0)
        elif isinstance(effect, Release):
            assert effect.amount <= sum(self.pay[job] for job in effect.jobs)
            yield ledger.release(min(effect.jobs), wallet, effect.amount, TOKEN, 0.0)
        elif isinstance(effect, Forfeit) and effect.jobs:
            self.forfeits[effect.unit] = min(effect.jobs)
            yield ledger.forfeit(min(effect.jobs), wallet, effect.amount, TOKEN, 0.0)
        elif isinstance(effect, Restore):
            e = effect
            yield ledger.restore(e.job_id, wallet, e.pay, e.fine, e.withheld, TOKEN, 0.0)
        elif isinstance(effect, Reinstate) and effect.amount:
            ref = self.forfeits.pop(effect.unit)
            yield ledger.reinstate(ref, wallet, effect.amount, TOKEN, 0.0)

    def post(self, transfer: Transfer) -> None:
        """Once for each (kind, ref). Raises ``LedgerError``."""
        name = (transfer.kind, transfer.ref)
        if name not in self.booked:
            self.balances.update(ledger.apply(self.balances, transfer))
            self.booked[name] = transfer
        assert self.booked[name] == transfer, "two transfers of one name"

    def validate(self) -> None:
        sums: Counter[AccountKey] = Counter()
        for transfer in self.booked.values():
            for account, amount in transfer.postings:
                sums[account, transfer.token] += amount
        assert {k: n for k, n in sums.items() if n} == {k: n for k, n in self.balances.items() if n}
        assert sum(self.balances.values()) == 0
        for (account, _), amount in self.balances.items():
            assert amount >= 0 or account.startswith(LOSSES), account
