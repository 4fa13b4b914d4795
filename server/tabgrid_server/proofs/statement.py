"""What a grid signs about its books: what it owes, to whom, and how far its receipts go. Pure.

A statement is of one moment of the database. It commits to every wallet's balance by a Merkle
tree, so that whoever holds it against the published balances, the receipts and the chain finds
out whether they are of one piece.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_wire import merkle

from ..api.schemas.attestation import Attestation, Balance
from .corrections import GENESIS as NO_CORRECTIONS
from .epoch import Hex32

#: 2 has the corrections of pay.
VERSION = 2
_DOMAIN = b"tabgrid/attestation/v1\0"
_BALANCE = b"tabgrid/balance/v1\0"


class NotSigned(Exception):
    """The statement is not what the key signed, or no statement; the text says which."""


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Amounts in base units of ``token``; addresses and keys in base58."""

    v: int
    grid: str
    #: Hash of the cluster's genesis.
    genesis: str
    token: str
    decimals: int
    mint: str
    #: The token account that is paid from.
    treasury: str
    #: Keys that signed epochs or payments of this grid, the present one among them.
    keys: tuple[str, ...]
    #: Unix seconds.
    at: float
    #: Everything final on chain up to this slot is in the books.
    slot: int
    #: The newest receipt's number.
    seq: int
    #: To nodes: withheld, claimable and in claims under way.
    owed: int
    #: To users: what they paid in and have not used, or are getting back.
    users: int
    #: Booked as paid on chain, final.
    paid: int
    wallets: int
    #: Top of the tree of balances.
    balances: Hex32
    #: The newest epoch that is final on chain, 0 for none, and its root.
    epoch: int
    root: Hex32
    #: How many corrections of pay there are, and the newest one's hash; see ``corrections``.
    corrections: int = 0
    corrected: Hex32 = NO_CORRECTIONS.hex()


_decode = msgspec.json.Decoder(Statement).decode


def balance_leaf(balance: Balance) -> bytes:
    """All its fields, in their order."""
    parts = [str(value) for value in msgspec.structs.astuple(balance)]
    return merkle.leaf(_BALANCE + "\0".join(parts).encode())


def balances_top(balances: Iterable[Balance]) -> str:
    """In the order given, which is by the wallets' bytes."""
    return merkle.top([balance_leaf(each) for each in balances]).hex()


def text_of(statement: Statement) -> bytes:
    return msgspec.json.encode(statement)


def to_sign(text: bytes) -> bytes:
    """The bytes that are signed for a statement of this text: no transaction begins so."""
    return _DOMAIN + text


def verify(attestation: Attestation) -> Statement:
    """What was signed. Raises ``NotSigned``."""
    text = attestation.statement.encode()
    try:
        key, signature = (
            Pubkey.from_string(attestation.key),
            Signature.from_string(attestation.signature),
        )
    except ValueError as error:
        raise NotSigned(f"The statement's key or signature cannot be read: {error}.") from error
    if not signature.verify(key, to_sign(text)):
        raise NotSigned("The statement's signature does not hold.")
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotSigned(f"The statement cannot be read: {error}.") from error
