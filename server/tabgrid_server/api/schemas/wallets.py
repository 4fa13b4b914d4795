"""What a wallet has, and the postings that this comes from."""

from __future__ import annotations

from .base import Response
from .grid import Token


class Wallet(Response, frozen=True):
    address: str
    jobs_done: int
    #: Everything settled to this wallet, corrected; the four below and ``push_fees`` add up to it.
    earned: int
    withheld: int
    claimable: int
    in_flight: int
    paid: int
    next_release_at: float | None
    token: Token
    #: Kept by the grid for paying the network's fee where the wallet could not.
    push_fees: int = 0
    #: Of what was settled: void, fined and forfeited for wrong answers, and given back of that.
    taken: int = 0
    given_back: int = 0


class StatementLine(Response, frozen=True):
    """One posting: what one account got (or, negative, gave), and what it held afterwards."""

    #: Number of the transfer; its postings share it and sum to zero.
    transfer: int
    at: float
    kind: str
    account: str
    amount: int
    balance: int
    #: The job, claim, key or deposit that the money moved for.
    ref: str
    #: The transaction on chain, where there is one.
    signature: str | None


class Statement(Response, frozen=True):
    lines: tuple[StatementLine, ...]
    token: Token
    #: ``before`` of the next page; null at the end.
    next: int | None


class Posting(Response, frozen=True):
    """One side of a transfer. Users' accounts are told without whose they are."""

    transfer: int
    at: float
    kind: str
    account: str
    #: Whose account it is, or whom a payment went to; null for users and the grid.
    wallet: str | None
    amount: int
    #: The job or claim that it moved for, and the transaction on chain where there is one.
    ref: str
    signature: str | None


class Postings(Response, frozen=True):
    """Newest first. A page may hold fewer than asked for, or none, and still have a next one."""

    postings: tuple[Posting, ...]
    token: Token
    #: The ``before`` of the next page; null on the last one.
    next: int | None
