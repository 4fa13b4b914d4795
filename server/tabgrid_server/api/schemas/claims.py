"""Claims, and payouts that the grid pushes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .base import Base64, Request, Response

ClaimState = Literal["reserved", "signed", "confirmed", "finalized", "failed", "expired"]


class ClaimRequest(Request, frozen=True):
    """Empty today: a claim takes all that is claimable."""


class PayoutRequest(Request, frozen=True):
    #: The most, in base units, that the grid may keep for paying the network's fee.
    max_fee: Annotated[int, Meta(ge=0, le=2**53 - 1)]


class PayoutOffer(Response, frozen=True):
    """What the grid keeps, in base units, for paying all that is claimable to a wallet itself."""

    #: False where this grid pushes no payouts; the rest is then 0 and false.
    offered: bool
    fee: int = 0
    minimum: int = 0
    #: Part of ``fee`` is for making the wallet's token account.
    creates_account: bool = False
    #: Whether the wallet has SOL enough to claim by itself.
    has_sol: bool = False


class SignedClaim(Request, frozen=True):
    transaction: Base64


class Claim(Response, frozen=True):
    id: str
    wallet: str
    amount: int
    #: Base units of ``amount`` that the token itself keeps of a transfer, by its own rules; the
    #: wallet receives the rest. 0 for most tokens.
    fee: int
    #: Base units of ``amount`` that the grid keeps for paying the network's fee itself; null
    #: where the wallet signs and pays it.
    push_fee: int | None
    state: ClaimState
    #: Unsigned, while the wallet's signature is awaited.
    transaction: str | None
    #: The transaction's id on chain.
    signature: str | None
    error: str | None
    created_at: float
    updated_at: float
    expires_at: float | None


class Claims(Response, frozen=True):
    claims: tuple[Claim, ...]
