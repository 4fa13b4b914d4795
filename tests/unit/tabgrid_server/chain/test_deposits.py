"""What a transaction brought, and to whom: the rules one by one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tabgrid_server.chain.deposits import (
    Holding,
    Request,
    Seen,
    Share,
    Till,
    meaning,
    received,
    refundable,
    trouble,
)

TILL = Till(account="Till", owner="Cold", mint="TGT", program="Token")
ALICE = Request("dep_1", "alice", "TGT", "RefA", 5, None, 1.0)
ALSO_ALICE = Request("dep_2", "alice", "TGT", "RefA2", 5, "Named", 2.0)
BOB = Request("dep_3", "bob", "TGT", "RefB", 5, None, 3.0)


def held(account: str, before: int, after: int, **other: str) -> Holding:
    who = {"owner": f"{account}'s owner", "mint": "TGT", "program": "Token"} | other
    return Holding(account=account, before=before, after=after, **who)


def paid(*references: str, amount: int = 7) -> Seen:
    return Seen(
        txid="tx",
        slot=9,
        at=5.0,
        failed=False,
        keys=("Payer", "Home", "Till", *references),
        signers=("Payer",),
        holdings=(held("Home", 100, 100 - amount), held("Till", 50, 50 + amount)),
    )


def test_it_is_credited_by_its_reference_whatever_was_asked_for() -> None:
    found = meaning(paid("RefA"), TILL, [ALICE])
    assert found is not None
    assert (found.state, found.amount, found.request) == ("credited", 7, ALICE)
    assert found.refund_to == "Home's owner"


def test_a_refund_goes_to_the_wallet_that_was_named_beforehand() -> None:
    found = meaning(paid("RefA2"), TILL, [ALSO_ALICE])
    assert found is not None
    assert (found.payer, found.refund_to) == ("Home's owner", "Named")


def test_dust_is_money() -> None:
    found = meaning(paid("RefA", amount=1), TILL, [ALICE])
    assert found is not None
    assert (found.state, found.amount) == ("credited", 1)


def test_a_failed_transaction_brought_nothing() -> None:
    failed = replace(paid("RefA"), failed=True)
    assert meaning(failed, TILL, [ALICE]) is None
    assert trouble(failed, TILL) == "it failed"


@pytest.mark.parametrize("other", [{"mint": "USD"}, {"program": "Token-2022"}])
def test_another_token_is_nothing(other: dict[str, str]) -> None:
    wrong = replace(paid("RefA"), holdings=(held("Till", 0, 7, **other),))
    assert meaning(wrong, TILL, [ALICE]) is None
    assert trouble(wrong, TILL) == "it moved another token"


def test_what_counts_is_what_the_account_has_more() -> None:
    taxed = replace(paid("RefA"), holdings=(held("Home", 100, 0), held("Till", 50, 149)))
    assert received(taxed, TILL) == 99
    moved_out = replace(paid("RefA"), holdings=(held("Home", 0, 7), held("Till", 50, 43)))
    assert meaning(moved_out, TILL, [ALICE]) is None
    opened = replace(paid("RefA"), holdings=(held("Till", 0, 3),))
    assert received(opened, TILL) == 3


def test_two_references_of_one_user_are_theirs_once() -> None:
    found = meaning(paid("RefA2", "RefA"), TILL, [ALICE, ALSO_ALICE])
    assert found is not None
    assert (found.state, found.amount) == ("credited", 7)
    assert found.request == ALSO_ALICE, "the first that the transaction names"


def test_references_of_two_users_leave_it_to_the_operator() -> None:
    both = paid("RefA", "RefB")
    found = meaning(both, TILL, [ALICE, BOB])
    assert found is not None
    assert (found.state, found.amount, found.request) == ("unassigned", 7, None)
    assert "several users" in trouble(both, TILL)


def test_without_a_reference_it_is_nobodys() -> None:
    found = meaning(paid(), TILL, [])
    assert found is not None
    assert (found.state, found.payer) == ("unassigned", "Home's owner")


def test_what_the_operator_sends_or_mints_is_a_refill() -> None:
    own = replace(paid(), signers=("Fee", "Cold"))
    minted = replace(paid(), holdings=(held("Till", 0, 7),))
    for seen in (own, minted):
        found = meaning(seen, TILL, [])
        assert found is not None
        assert found.state == "refill"
    credited = meaning(replace(own, keys=("Cold", "RefA")), TILL, [ALICE])
    assert credited is not None
    assert credited.state == "credited", "a reference says more than who sent it"


def test_given_credit_is_spent_before_what_was_paid_in() -> None:
    paid_in = [Share("W1", 10), Share("W2", 5), Share("W1", 3)]
    assert refundable(paid_in, {}, 1_000) == (Share("W1", 13), Share("W2", 5))
    assert refundable(paid_in, {}, 15) == (Share("W1", 13), Share("W2", 2))
    assert refundable(paid_in, {"W1": 13}, 15) == (Share("W2", 5),)
    assert refundable(paid_in, {"W1": 13, "W2": 5}, 15) == ()
    assert refundable(paid_in, {}, 0) == ()
