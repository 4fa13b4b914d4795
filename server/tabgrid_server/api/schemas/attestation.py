"""What the grid signs about its books."""

from __future__ import annotations

from .base import Response


class Balance(Response, frozen=True):
    """A wallet's money in the books, in base units, at the moment of a statement.

    What it earned by its receipts, corrected, is the sum of the first five, less ``overpaid``.
    """

    wallet: str
    withheld: int
    claimable: int
    in_flight: int
    #: Of its earnings, booked as final on chain.
    paid: int
    #: Kept of its claims for the network's fee, where the grid paid that.
    charged: int
    #: Paid beyond what these books know of, after a restore from a backup.
    overpaid: int
    #: Of a user's credit, not of earnings: given back to this wallet, or on the way to it.
    refunded: int


class Balances(Response, frozen=True):
    """A page of what a statement commits to, in the order of its leaves."""

    balances: tuple[Balance, ...]
    next: int | None


class Attestation(Response, frozen=True):
    """The grid's signed word about its books, for ``tabgrid audit``."""

    #: JSON, byte for byte as it was signed after the prefix "tabgrid/attestation/v1" 0x00.
    statement: str
    #: Base58 of an Ed25519 signature, and of the key: the treasury's delegate.
    signature: str
    key: str
