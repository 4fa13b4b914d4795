"""Random histories of money: whatever happens in whatever order, the books stay right."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tabgrid_server import ledger
from tabgrid_server.ledger import AccountKey, InsufficientFunds, Transfer

OWNERS = st.sampled_from(["alice", "bob"])
WALLETS = st.sampled_from(["W1", "W2"])
TOKENS = st.sampled_from(["TGT", "USD"])
AMOUNTS = st.integers(0, 2**62)

Job = tuple[str, str, int, str]
Claim = tuple[str, str, int, str]


class Money(RuleBasedStateMachine):
    """Jobs and claims as the store drives them, each (kind, ref) booked at most once."""

    jobs: Bundle[Job] = Bundle("jobs")
    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.balances: dict[AccountKey, int] = {}
        self.booked: dict[tuple[str, str], Transfer] = {}
        self.names = 0

    def name(self) -> str:
        self.names += 1
        return f"ref{self.names}"

    def post(self, transfer: Transfer) -> bool:
        """What the store does: unique by (kind, ref), refused as a whole or booked."""
        if (transfer.kind, transfer.ref) in self.booked:
            return True
        before = dict(self.balances)
        try:
            self.balances.update(ledger.apply(self.balances, transfer))
        except InsufficientFunds:
            assert self.balances == before
            return False
        self.booked[transfer.kind, transfer.ref] = transfer
        return True

    def has(self, account: str, token: str) -> int:
        return self.balances.get((account, token), 0)

    @rule(owner=OWNERS, amount=AMOUNTS, token=TOKENS)
    def grant(self, owner: str, amount: int, token: str) -> None:
        assert self.post(ledger.grant(self.name(), owner, amount, token, 0.0))

    @rule(target=jobs, owner=OWNERS, price=AMOUNTS, token=TOKENS, data=st.data())
    def hold(self, owner: str, price: int, token: str, data: st.DataObject) -> Job:
        available = self.has(ledger.credit_of(owner), token)
        price = data.draw(st.sampled_from([price, available, available // 3, available + 1]))
        job = (self.name(), owner, price, token)
        held = self.post(ledger.hold(job[0], owner, price, token, 0.0))
        assert held == (price <= available)
        return job if held else (job[0], owner, 0, token)

    @rule(job=consumes(jobs), wallet=WALLETS, data=st.data())
    def settle(self, job: Job, wallet: str, data: st.DataObject) -> None:
        ref, owner, held, token = job
        price = data.draw(st.integers(0, held))
        fee = data.draw(st.integers(0, price))
        transfer = ledger.settle(ref, owner, wallet, held, price, fee, token, 0.0)
        assert self.post(transfer)
        self.again(transfer)

    @rule(job=consumes(jobs))
    def refund(self, job: Job) -> None:
        ref, owner, held, token = job
        transfer = ledger.refund(ref, owner, held, token, 0.0)
        assert self.post(transfer)
        self.again(transfer)

    @rule(wallet=WALLETS, token=TOKENS, amount=AMOUNTS)
    def release(self, wallet: str, token: str, amount: int) -> None:
        withheld = self.has(ledger.withheld_of(wallet), token)
        released = self.post(ledger.release(self.name(), wallet, amount, token, 0.0))
        assert released == (amount <= withheld)

    @rule(wallet=WALLETS, token=TOKENS)
    def release_all(self, wallet: str, token: str) -> None:
        withheld = self.has(ledger.withheld_of(wallet), token)
        assert self.post(ledger.release(self.name(), wallet, withheld, token, 0.0))

    @rule(job=consumes(jobs), wallet=WALLETS, data=st.data())
    def settle_and_void(self, job: Job, wallet: str, data: st.DataObject) -> None:
        """Whoever had a part of the price gives it back, or nothing moves at all."""
        ref, owner, held, token = job
        fee = data.draw(st.integers(0, held))
        assert self.post(ledger.settle(ref, owner, wallet, held, held, fee, token, 0.0))
        had = self.has(ledger.credit_of(owner), token)
        withheld = self.has(ledger.withheld_of(wallet), token)
        fined = data.draw(st.integers(0, withheld))
        assert self.post(ledger.fine(ref, wallet, fined, token, 0.0))
        taken = data.draw(st.integers(0, held - fee))
        void = ledger.void(ref, owner, wallet, taken, held - fee - taken, fee, token, 0.0)
        if self.post(void):
            assert self.has(ledger.credit_of(owner), token) == had + held
            self.again(void)
        else:
            assert taken > withheld - fined

    @rule(wallet=WALLETS, token=TOKENS, back=st.booleans())
    def forfeit(self, wallet: str, token: str, back: bool) -> None:
        withheld = self.has(ledger.withheld_of(wallet), token)
        had = self.has(ledger.claimable_of(wallet), token)
        ref = self.name()
        assert self.post(ledger.forfeit(ref, wallet, withheld, token, 0.0))
        assert self.has(ledger.withheld_of(wallet), token) == 0
        if back:
            transfer = ledger.reinstate(ref, wallet, withheld, token, 0.0)
            assert self.post(transfer)
            self.again(transfer)
            assert self.has(ledger.claimable_of(wallet), token) == had + withheld

    @rule(wallet=WALLETS, token=TOKENS, pay=AMOUNTS, fine=AMOUNTS, data=st.data())
    def restore(self, wallet: str, token: str, pay: int, fine: int, data: st.DataObject) -> None:
        withheld = data.draw(st.integers(0, fine))
        transfer = ledger.restore(self.name(), wallet, pay, fine, withheld, token, 0.0)
        assert self.post(transfer)
        self.again(transfer)

    @rule(target=claims, wallet=WALLETS, token=TOKENS, data=st.data())
    def reserve(self, wallet: str, token: str, data: st.DataObject) -> Claim:
        amount = data.draw(st.integers(0, self.has(ledger.claimable_of(wallet), token)))
        claim = (self.name(), wallet, amount, token)
        assert self.post(ledger.reserve(*claim, 0.0))
        return claim

    @rule(claim=consumes(claims), paid=st.booleans())
    def end_claim(self, claim: Claim, paid: bool) -> None:
        transfer = (ledger.pay if paid else ledger.give_back)(*claim, 0.0)
        assert self.post(transfer)
        self.again(transfer)

    def again(self, transfer: Transfer) -> None:
        before = dict(self.balances)
        assert self.post(transfer)
        assert self.balances == before

    @invariant()
    def every_token_sums_to_zero(self) -> None:
        sums: Counter[str] = Counter()
        for (_, token), amount in self.balances.items():
            sums[token] += amount
        assert not any(sums.values())

    @invariant()
    def nobody_owes(self) -> None:
        for (account, _), amount in self.balances.items():
            assert amount >= 0 or account.startswith("system:")

    @invariant()
    def balances_are_sums_of_postings(self) -> None:
        sums: Counter[AccountKey] = Counter()
        for transfer in self.booked.values():
            for account, amount in transfer.postings:
                sums[account, transfer.token] += amount
        assert {key: n for key, n in sums.items() if n} == {
            key: n for key, n in self.balances.items() if n
        }


TestMoney = Money.TestCase
