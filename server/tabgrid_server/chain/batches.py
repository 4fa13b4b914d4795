"""A transaction that pays several wallets at once, the hot key paying for all of it. Pure.

Each payment in it is what a claim's own transaction has (``transactions``): its mark, its memo
right before its transfer. So the chain refuses the whole of it where one payment was made
before, in whichever way, and each is found again behind its own mark.

A packet of the network has 1,232 bytes and a payment takes 253 of them, 161 for its mark alone;
295 where the wallet's token account has to be created. Three payments fit, two of which may
create accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.system_program import ID as SYSTEM
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
)

from .markers import leave
from .transactions import PACKET, AnyMessage, Terms, claim_in, memo_of, transfer_of, unsigned

#: Of one payment; a claim was measured at 20,350 with its account's creation.
COMPUTE_UNITS = 60_000


class Payee(msgspec.Struct, frozen=True):
    """``create``: the wallet has no token account yet."""

    terms: Terms
    create: bool


class Batch(msgspec.Struct, frozen=True):
    payees: tuple[Payee, ...]
    message: MessageV0


def pack(waiting: Sequence[Payee], blockhash: str) -> Batch:
    """As many of ``waiting``, from the first on, as fit into one packet; at least one."""
    batch = _batch(waiting[:1], blockhash)
    for count in range(2, len(waiting) + 1):
        larger = _batch(waiting[:count], blockhash)
        if len(unsigned(larger.message)) > PACKET:
            break
        batch = larger
    return batch


def claim_at(message: AnyMessage, place: int) -> str | None:
    """The claim whose payment the instruction at ``place`` is a part of; None for what all
    share."""
    start, keys = len(message.instructions), message.account_keys
    for number, each in enumerate(message.instructions):
        program = keys[each.program_id_index]
        if program == SYSTEM:  # a mark: a payment begins
            start = number
        if program == MEMO_PROGRAM_ID and start <= place <= number + 1:
            return claim_in(bytes(each.data))
    return None


def _batch(payees: Sequence[Payee], blockhash: str) -> Batch:
    first = payees[0].terms
    steps: list[Instruction] = [
        set_compute_unit_limit(COMPUTE_UNITS * len(payees)),
        set_compute_unit_price(first.compute_unit_price),
    ]
    for payee in payees:
        steps += _payment(payee)
    message = MessageV0.try_compile(first.hot, steps, [], Hash.from_string(blockhash))
    return Batch(tuple(payees), message)


def _payment(payee: Payee) -> list[Instruction]:
    terms = payee.terms
    home = get_associated_token_address(terms.wallet, terms.mint, terms.token_program)
    account = create_idempotent_associated_token_account(
        payer=terms.hot,
        owner=terms.wallet,
        mint=terms.mint,
        token_program_id=terms.token_program,
    )
    return [
        leave(terms.marker, terms.hot, terms.hot),
        *([account] if payee.create else []),
        memo_of(terms.claim),
        transfer_of(terms, home),
    ]
