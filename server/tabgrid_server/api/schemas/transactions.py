"""Transactions as the chain keeps them, in words."""

from __future__ import annotations

from .base import Response
from .claims import Claim


class Step(Response, frozen=True):
    """One instruction, in words."""

    program: str
    text: str


class Move(Response, frozen=True):
    """What one owner has more (or, negative, less) of the token afterwards, in base units."""

    owner: str
    amount: int


class OnChain(Response, frozen=True):
    """A transaction as the chain keeps it. ``fee`` in lamports, ``error`` as JSON."""

    signature: str
    slot: int
    at: float | None
    error: str | None
    fee: int
    #: Compute units that it took.
    units: int | None
    signers: tuple[str, ...]
    steps: tuple[Step, ...]
    moves: tuple[Move, ...]


class Transaction(Response, frozen=True):
    """A claim's transaction: what we booked, and what the chain says."""

    claim: Claim
    #: None while the chain does not have it, or cannot be asked (``problem`` says why).
    on_chain: OnChain | None
    problem: str | None = None
    #: All that it pays, ``claim`` first: payouts that the grid pushes share a transaction.
    claims: tuple[Claim, ...] = ()
