"""A transaction in words: ours are understood, anybody's are survived."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID

from tabgrid_server.chain import reading
from tabgrid_server.chain import transactions as tx
from tabgrid_server.chain.markers import marker

WALLET, HOT = (Keypair.from_seed(bytes([n]) * 32).pubkey() for n in (1, 2))
MINT, TREASURY = (Keypair.from_seed(bytes([n]) * 32).pubkey() for n in (4, 5))
TERMS = tx.Terms(
    claim="claim_01",
    wallet=WALLET,
    amount=5_000_000,
    mint=MINT,
    decimals=6,
    token_program=TOKEN_PROGRAM_ID,
    treasury=TREASURY,
    hot=HOT,
    marker=marker(b"secret", HOT, WALLET, MINT, 0),
    compute_unit_price=1_000,
)


def sent(*instructions: Instruction) -> VersionedTransaction:
    message = MessageV0.try_compile(WALLET, list(instructions), [], Hash.default())
    places = [Signature.default()] * message.header.num_required_signatures
    return VersionedTransaction.populate(message, places)


def test_a_claim_is_told_step_by_step() -> None:
    told = reading.steps(sent(*tx.instructions(TERMS)))
    assert [step.program for step in told] == [
        "Compute Budget", "Compute Budget", "System", "Associated Token", "Memo", "Token",
    ]  # fmt: skip
    assert told[0].text == f"At most {tx.COMPUTE_UNITS} compute units"
    assert told[1].text == "1000 micro-lamports per compute unit"
    assert told[2].text == f"Create {TERMS.marker.address}, the mark that this payment leaves"
    assert str(WALLET) in told[3].text
    assert told[5].text.startswith(f"Transfer 5000000 base units from {TREASURY} to ")
    assert told[4].text == "tabgrid:claim_01"


def test_the_wallet_signs_first() -> None:
    assert reading.signers(sent(*tx.instructions(TERMS))) == (str(WALLET), str(HOT))


PROGRAMS = st.sampled_from([*reading.PROGRAMS, Keypair.from_seed(bytes([7]) * 32).pubkey()])


@given(PROGRAMS, st.binary(max_size=40), st.integers(0, 4))
def test_any_instruction_has_words(program: Pubkey, data: bytes, accounts: int) -> None:
    metas = [AccountMeta(TREASURY, is_signer=False, is_writable=False)] * accounts
    (step,) = reading.steps(sent(Instruction(program, data, metas)))
    assert step.program == reading.PROGRAMS.get(program, str(program))
    assert isinstance(step.text, str)


def balance(owner: Pubkey, amount: int, mint: Pubkey = MINT) -> Any:
    """As the RPC tells it: amounts are text."""
    return SimpleNamespace(
        owner=owner, mint=mint, ui_token_amount=SimpleNamespace(amount=str(amount))
    )


@pytest.mark.parametrize("known", [True, False], ids=["had tokens", "had no account"])
def test_what_moved_is_a_difference_per_owner(known: bool) -> None:
    before = [balance(TREASURY, 90), *([balance(WALLET, 3)] if known else [])]
    after = [balance(TREASURY, 40), balance(WALLET, 53 if known else 50), balance(HOT, 7, TREASURY)]
    moved = reading.moves(before, after, str(MINT))
    assert [(move.owner, move.amount) for move in moved] == [
        (str(WALLET), 50), (str(TREASURY), -50),
    ]  # fmt: skip
    assert reading.moves(None, None, str(MINT)) == ()
