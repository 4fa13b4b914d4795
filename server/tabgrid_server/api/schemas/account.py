"""Who you are: signing in with a wallet, and the keys of users."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ...chain.siws import SignInInput
from .base import Address, Base64, Label, Request, Response


class ChallengeRequest(Request, frozen=True):
    address: Address
    #: Public half of the Ed25519 key that signs results; bound to the wallet by the sign-in.
    worker_key: Address
    device_id: Annotated[str, Meta(min_length=8, max_length=64, pattern="^[A-Za-z0-9_-]+$")]


class Challenge(Response, frozen=True):
    nonce: str
    input: SignInInput
    #: The same as text, for wallets that have only ``solana:signMessage``.
    message: str


class VerifyRequest(Request, frozen=True):
    nonce: Annotated[str, Meta(min_length=8, max_length=64)]
    address: Address
    signed_message: Base64
    signature: Base64


class Session(Response, frozen=True):
    wallet: str
    worker_key: str
    device_id: str
    expires_at: float


class NewSession(Session, frozen=True):
    #: For native nodes (``Authorization: Bearer``); a browser keeps the cookie instead.
    token: str


class KeyRequest(Request, frozen=True):
    label: Label = ""


class Key(Response, frozen=True):
    id: str
    label: str
    credit: int
    held: int
    spent: int
    token: str
    #: Of what was paid in, and of what went back of it, base units in all.
    deposited: int = 0
    refunded: int = 0


class NewKey(Response, frozen=True):
    id: str
    #: Shown once; only its hash is kept.
    key: str
    label: str
    credit: int
    token: str
