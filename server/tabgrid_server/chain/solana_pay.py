"""How people are asked to pay: Solana Pay's link, and the transaction that it stands for. Pure.

The specification's rules that matter here: the recipient is a wallet, never its token account;
the amount is in whole tokens; a reference is an account that the transfer names, which is
neither written nor signed for.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address, transfer_checked
from spl.token.models import TransferCheckedParams

from .deposits import Till
from .panics import foreign
from .transactions import PACKET

#: A transfer was measured at 6,200 units; guards that wallets add need a few thousand each.
COMPUTE_UNITS = 40_000


class PaymentRefused(Exception):
    """The wallet's bytes are not a payment for this deposit; the text says why."""


class Price(msgspec.Struct, frozen=True):
    """What is paid in, and how the network is paid: ``compute_unit_price`` in micro-lamports."""

    decimals: int
    compute_unit_price: int


def whole_tokens(units: int, decimals: int) -> str:
    """Base units as the specification writes them: "1.5", without exponent or needless zeros."""
    whole, rest = divmod(units, 10**decimals)
    cents = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{cents}" if cents else str(whole)


def has_link(till: Till) -> bool:
    """Whether wallets that follow a link pay into this account: they take the owner's
    associated one, and no other."""
    owner, mint = Pubkey.from_string(till.owner), Pubkey.from_string(till.mint)
    home = get_associated_token_address(owner, mint, Pubkey.from_string(till.program))
    return str(home) == till.account


def link(till: Till, reference: str, amount: int | None, decimals: int) -> str:
    """``solana:`` URL; without an amount the wallet asks for it."""
    fields = {} if amount is None else {"amount": whole_tokens(amount, decimals)}
    fields |= {"spl-token": till.mint, "reference": reference, "label": "Tabgrid"}
    return f"solana:{till.owner}?{urlencode(fields, quote_via=quote)}"


def payment(
    till: Till, wallet: str, reference: str, amount: int, price: Price, blockhash: str
) -> bytes:
    """The transaction for a connected wallet, unsigned: it pays the fee and signs alone."""
    payer, mint = Pubkey.from_string(wallet), Pubkey.from_string(till.mint)
    program = Pubkey.from_string(till.program)
    moved = transfer_checked(
        TransferCheckedParams(
            program_id=program,
            source=get_associated_token_address(payer, mint, program),
            mint=mint,
            dest=Pubkey.from_string(till.account),
            owner=payer,
            amount=amount,
            decimals=price.decimals,
            signers=[],
        )
    )
    named = AccountMeta(Pubkey.from_string(reference), is_signer=False, is_writable=False)
    steps = [
        # Both are set, so that no wallet adds its own.
        set_compute_unit_limit(COMPUTE_UNITS),
        set_compute_unit_price(price.compute_unit_price),
        Instruction(moved.program_id, moved.data, [*moved.accounts, named]),
    ]
    message = MessageV0.try_compile(payer, steps, [], Hash.from_string(blockhash))
    return bytes(VersionedTransaction.populate(message, [Signature.default()]))


def check_payment(raw: bytes, reference: str, till: Till) -> VersionedTransaction:
    """What a wallet returned, to be passed on to the network. Raises ``PaymentRefused``.

    It is the wallet's own money, and nothing of ours signs it: all that is asked is that we
    are not used to send other people's transactions.
    """
    if len(raw) > PACKET:
        raise PaymentRefused(f"The transaction is longer than {PACKET} bytes.")
    with foreign(lambda reason: PaymentRefused(f"This is not a transaction: {reason}.")):
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
        whole = bytes(transaction) == raw and all(transaction.verify_with_results())
        keys = {str(key) for key in transaction.message.account_keys}
    if not whole:
        raise PaymentRefused("The wallet's signature does not hold.")
    if not {reference, till.account} <= keys:
        raise PaymentRefused("The transaction does not pay for this deposit.")
    return transaction
