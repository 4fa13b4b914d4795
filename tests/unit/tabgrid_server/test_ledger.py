from __future__ import annotations

import pytest

from tabgrid_server import ledger
from tabgrid_server.ledger import AccountKey, InsufficientFunds, Transfer, Unbalanced


def book(*transfers: Transfer) -> dict[str, int]:
    """The balances after ``transfers``, one token, empty accounts left out."""
    balances: dict[AccountKey, int] = {}
    for transfer in transfers:
        balances.update(ledger.apply(balances, transfer))
    return {account: amount for (account, _), amount in balances.items() if amount}


GRANT = ledger.grant("key", "alice", 1_000, "TGT", 1.0)
HOLD = ledger.hold("job", "alice", 100, "TGT", 2.0)
SETTLE = ledger.settle("job", "alice", "W", 100, 100, 5, "TGT", 3.0)
RELEASE = ledger.release("job", "W", 95, "TGT", 4.0)
RESERVE = ledger.reserve("claim", "W", 95, "TGT", 5.0)


def test_a_job_is_paid_from_credit_to_chain() -> None:
    pay = ledger.pay("claim", "W", 95, "TGT", 6.0)
    assert book(GRANT, HOLD, SETTLE, RELEASE, RESERVE, pay) == {
        "system:grants:alice": -1_000,
        "user:alice:credit": 900,
        "system:fees": 5,
        "system:chain": 95,
    }


def test_a_held_price_cannot_be_spent_again() -> None:
    with pytest.raises(InsufficientFunds) as refused:
        book(GRANT, HOLD, ledger.hold("job2", "alice", 901, "TGT", 3.0))
    assert (refused.value.needed, refused.value.available) == (901, 900)
    assert refused.value.account == "user:alice:credit"


def test_a_refund_returns_the_whole_hold() -> None:
    back = ledger.refund("job", "alice", 100, "TGT", 3.0)
    assert book(GRANT, HOLD, back) == book(GRANT)


def test_what_was_held_too_much_returns_at_settlement() -> None:
    cheaper = ledger.settle("job", "alice", "W", 100, 60, 3, "TGT", 3.0)
    assert book(GRANT, HOLD, cheaper) == {
        "system:grants:alice": -1_000,
        "user:alice:credit": 940,
        "node:W:withheld": 57,
        "system:fees": 3,
    }


@pytest.mark.parametrize(("price", "fee"), [(101, 0), (100, 101), (100, -1), (-1, 0)])
def test_a_split_that_is_not_within_the_hold_is_a_bug(price: int, fee: int) -> None:
    with pytest.raises(Unbalanced):
        ledger.settle("job", "alice", "W", 100, price, fee, "TGT", 3.0)


def test_a_claim_that_cannot_land_is_claimable_again() -> None:
    back = ledger.give_back("claim", "W", 95, "TGT", 6.0)
    assert back.kind == "return"
    assert book(GRANT, HOLD, SETTLE, RELEASE, RESERVE, back)["node:W:claimable"] == 95


def test_a_deposit_is_credit_that_the_chain_owes_us() -> None:
    deposit = ledger.deposit("txid", "alice", 7, "TGT", 1.0)
    assert book(deposit) == {"system:chain": -7, "user:alice:credit": 7}


def test_a_free_job_is_booked_though_nothing_moves() -> None:
    assert ledger.hold("job", "alice", 0, "TGT", 1.0).postings == ()
    assert ledger.settle("job", "alice", "W", 0, 0, 0, "TGT", 1.0).postings == ()


def test_tokens_are_not_mixed() -> None:
    with pytest.raises(InsufficientFunds):
        book(GRANT, ledger.hold("job", "alice", 1, "USD", 2.0))


@pytest.mark.parametrize(
    "postings",
    [
        (("user:a:credit", 1),),
        (("system:fees", -1), ("user:a:credit", 2)),
        (("system:fees", -1), ("system:fees", 1)),
    ],
)
def test_postings_that_do_not_balance_are_refused(postings: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(Unbalanced):
        ledger.apply({}, Transfer("grant", "x", "TGT", postings, 1.0))


def test_nothing_moves_backwards() -> None:
    with pytest.raises(Unbalanced):
        ledger.grant("key", "alice", -1, "TGT", 1.0)


def test_a_refused_transfer_changes_nothing() -> None:
    balances = {("user:alice:credit", "TGT"): 5}
    with pytest.raises(InsufficientFunds):
        ledger.apply(balances, ledger.hold("job", "alice", 6, "TGT", 1.0))
    assert balances == {("user:alice:credit", "TGT"): 5}
