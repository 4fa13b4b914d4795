"""Any transactions, in any order and as often as you like: credited once, and to one user."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server import ledger
from tabgrid_server.chain.deposits import (
    Holding,
    Request,
    Seen,
    Share,
    Till,
    meaning,
    received,
    refundable,
)

TILL = Till(account="Till", owner="Cold", mint="TGT", program="Token")
OWNERS, ACCOUNTS = ["alice", "bob", "carol"], ["Till", "A", "B", "C"]
UNITS = st.integers(0, 2**63)
REQUESTS = [
    Request(f"dep_{n}", owner, "TGT", f"Ref{n}", None, None, float(n))
    for n, owner in enumerate(OWNERS * 2)
]
HOLDINGS = st.builds(
    Holding,
    account=st.sampled_from(ACCOUNTS),
    owner=st.sampled_from(["Cold", "W1", "W2"]),
    mint=st.sampled_from(["TGT", "TGT", "USD"]),
    program=st.sampled_from(["Token", "Token", "Token-2022"]),
    before=UNITS,
    after=UNITS,
)


@st.composite
def transactions(draw: st.DrawFn) -> Seen:
    named = draw(st.lists(st.sampled_from(REQUESTS), max_size=3, unique=True))
    holdings = draw(st.lists(HOLDINGS, max_size=4, unique_by=lambda each: each.account))
    return Seen(
        txid=draw(st.sampled_from(["t1", "t2", "t3", "t4"])),
        slot=draw(st.integers(0, 100)),
        at=None,
        failed=draw(st.booleans()),
        keys=(*ACCOUNTS, *(each.reference for each in named)),
        signers=tuple(draw(st.lists(st.sampled_from(["Cold", "W1"]), max_size=2))),
        holdings=tuple(holdings),
    )


def asked(seen: Seen) -> list[Request]:
    return [each for each in REQUESTS if each.reference in seen.keys]


@given(transactions())
def test_nothing_is_credited_that_did_not_come(seen: Seen) -> None:
    found = meaning(seen, TILL, asked(seen))
    came = received(seen, TILL)
    assert (found is None) == (came <= 0)
    if found is None:
        return
    assert not seen.failed
    assert found.amount == came
    owners = {each.owner for each in asked(seen)}
    if found.state == "credited":
        assert found.request is not None
        assert owners == {found.request.owner}
    else:
        assert found.request is None
        assert len(owners) != 1
        assert found.state == "unassigned" or not owners


@given(st.lists(transactions(), max_size=12))
def test_each_transaction_counts_once(seen: list[Seen]) -> None:
    """The books as the store keeps them: one booking for each signature."""
    first = {each.txid: each for each in reversed(seen)}
    balances: dict[ledger.AccountKey, int] = {}
    booked: set[str] = set()
    for each in [*seen, *reversed(seen)]:
        found = meaning(each, TILL, asked(each))
        if each.txid in booked or each is not first[each.txid]:
            continue
        if found is None or found.state == "refill":
            continue
        booked.add(each.txid)
        owner = found.request.owner if found.request else None
        balances |= ledger.apply(
            balances, ledger.deposit(each.txid, owner, found.amount, "TGT", 0.0)
        )
    came = {t: received(each, TILL) for t, each in first.items()}
    assert -balances.get((ledger.CHAIN, "TGT"), 0) == sum(came[t] for t in booked)
    assert sum(balances.values()) == 0


WALLETS = st.sampled_from(["W1", "W2", "W3"])
PAID = st.lists(st.builds(Share, wallet=WALLETS, amount=st.integers(1, 1_000)), max_size=8)


@given(PAID, st.dictionaries(WALLETS, st.integers(0, 2_000)), st.integers(0, 5_000))
def test_what_can_go_back(paid: list[Share], refunded: dict[str, int], unused: int) -> None:
    shares = refundable(paid, refunded, unused)
    brought: dict[str, int] = {}
    for each in paid:
        brought[each.wallet] = brought.get(each.wallet, 0) + each.amount
    left = {w: max(0, n - refunded.get(w, 0)) for w, n in brought.items()}
    assert all(0 < each.amount <= left[each.wallet] for each in shares), "more than it brought"
    assert sum(each.amount for each in shares) == min(unused, sum(left.values()))
    assert len({each.wallet for each in shares}) == len(shares)
