"""Deposits, and what goes back of them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .base import Address, Request, Response

DepositState = Literal["waiting", "arriving", "partial", "paid"]

#: Base units, at least one; the largest number that every JSON reader takes.
Units = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class DepositRequest(Request, frozen=True):
    """``amount`` in base units; without it the wallet asks for one. What comes is credited.

    ``wallet`` is where a refund goes. Without it that is the wallet that pays, so name your
    own when you pay from an exchange.
    """

    amount: Units | None = None
    wallet: Address | None = None


class Arrival(Response, frozen=True):
    """A transaction that brought credit. ``payer`` owns the account that it came from."""

    signature: str
    amount: int
    payer: str | None
    #: Where a refund of it goes; None for tokens that were just made, which only the operator
    #: can give back.
    refund_to: str | None
    at: float


class Deposit(Response, frozen=True):
    """A reference to pay with, and what came.

    ``state``: ``waiting`` for a payment, one is ``arriving`` (on chain and not final yet),
    ``partial`` (less came than was asked for; it is credited), ``paid``.
    """

    id: str
    state: DepositState
    amount: int | None
    received: int
    token: str
    reference: str
    #: Solana Pay link; None where the treasury's account is none that wallets find by a link.
    url: str | None
    #: The treasury's token account, which a transfer that names the reference has to go to.
    account: str
    wallet: str | None
    arrivals: tuple[Arrival, ...]
    #: Of a transaction with this reference that brought nothing: what, and why.
    note: str | None
    created_at: float
    #: The link as a QR code, in SVG; only where the deposit is made (see ``qr.svg``).
    qr: str | None = None


class Refundable(Response, frozen=True):
    """What of the unused deposits can go back to ``wallet``, in base units."""

    wallet: str
    amount: int


class Deposits(Response, frozen=True):
    deposits: tuple[Deposit, ...]
    #: What came in all, with what the operator assigned.
    arrivals: tuple[Arrival, ...]
    refundable: tuple[Refundable, ...]
    token: str


class PaymentRequest(Request, frozen=True):
    """``amount``: what is paid, if not what was asked for."""

    wallet: Address
    amount: Units | None = None


class UnsignedPayment(Response, frozen=True):
    transaction: str


class RefundRequest(Request, frozen=True):
    wallet: Address
