"""Payouts in one transaction: how many fit, whose part is whose, and each found by its mark."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.hash import Hash
from solders.keypair import Keypair
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from tabgrid_server.chain.batches import Payee, claim_at, pack
from tabgrid_server.chain.markers import marker
from tabgrid_server.chain.transactions import (
    PACKET,
    Payment,
    Terms,
    build,
    fee_in,
    read_payment,
    unsigned,
    writable,
)

HOT, MINT, TREASURY = (Keypair.from_seed(bytes([n]) * 32).pubkey() for n in (1, 2, 3))
BLOCKHASH = str(Hash.default())


def terms(n: int, fee: int | None = None) -> Terms:
    wallet = Keypair.from_seed(bytes([n + 10]) * 32).pubkey()
    return Terms(
        claim=f"claim_{n:026d}",
        wallet=wallet,
        amount=1000 + n,
        mint=MINT,
        decimals=6,
        token_program=TOKEN_PROGRAM_ID if fee is None else TOKEN_2022_PROGRAM_ID,
        treasury=TREASURY,
        hot=HOT,
        marker=marker(b"secret", HOT, wallet, MINT, n),
        compute_unit_price=1000,
        fee=fee,
    )


@pytest.mark.parametrize(
    ("create", "fit", "size"),
    [
        ([False] * 8, 3, 1107),
        ([True, False, True, False], 3, 1223),
        ([True] * 8, 2, 970),
        ([True], 1, 675),
    ],
)
def test_as_many_as_a_packet_holds(create: list[bool], fit: int, size: int) -> None:
    batch = pack([Payee(terms(n), each) for n, each in enumerate(create)], BLOCKHASH)
    assert len(batch.payees) == fit
    assert len(unsigned(batch.message)) == size <= PACKET
    assert batch.message.account_keys[0] == HOT
    assert batch.message.header.num_required_signatures == 1


@settings(deadline=None)  # time is for the bench
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.sampled_from([None, 7]))
def test_each_payment_is_read_back_by_its_own_mark(create: list[bool], fee: int | None) -> None:
    batch = pack([Payee(terms(n, fee), each) for n, each in enumerate(create)], BLOCKHASH)
    for payee in batch.payees:
        mine = payee.terms
        found = read_payment(batch.message, mine.marker, mine)
        assert found == Payment(mine.claim, mine.amount, pushed=True)
        assert fee_in(batch.message, mine.claim) == (fee or 0)
    others = terms(20, fee)
    assert read_payment(batch.message, others.marker, others) is None
    # Another's mark with this wallet's terms is not this wallet's payment.
    assert read_payment(batch.message, batch.payees[0].terms.marker, others) is None


@settings(deadline=None)  # time is for the bench
@given(st.lists(st.booleans(), min_size=1, max_size=3))
def test_every_instruction_is_somebodys_part_but_the_first_two(create: list[bool]) -> None:
    batch = pack([Payee(terms(n), each) for n, each in enumerate(create)], BLOCKHASH)
    wanted: list[str | None] = [None, None]
    for payee in batch.payees:
        wanted += [payee.terms.claim] * (4 if payee.create else 3)
    found = [claim_at(batch.message, n) for n in range(len(batch.message.instructions))]
    assert found == wanted
    assert claim_at(batch.message, 99) is None


def test_a_claim_by_the_wallet_itself_is_told_apart() -> None:
    mine = terms(1)
    message = build(mine, BLOCKHASH)
    assert read_payment(message, mine.marker, mine) == Payment(mine.claim, mine.amount)
    assert not writable(message)[1], "the hot key is only read there"
