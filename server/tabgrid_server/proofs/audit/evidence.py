"""What an audit has in hand before it judges: nothing of it is believed yet."""

from __future__ import annotations

import msgspec

from ...api.schemas import Attestation, Balance
from ...chain.memos import Published
from ..epoch import Earned
from ..statement import Statement


class Told(msgspec.Struct, frozen=True):
    """A receipt as the grid gives it: its number, and the exact bytes of its text."""

    seq: int
    body: bytes


class Leaves(msgspec.Struct, frozen=True):
    """What the grid says is in an epoch."""

    receipts: list[Told]
    earned: list[Earned]


class Payment(msgspec.Struct, frozen=True):
    """A final transfer out of the treasury by a key of the grid, in base units before the
    token's own fee. ``claim`` is the one that it names, "" for none."""

    txid: str
    slot: int
    wallet: str
    amount: int
    claim: str


class Money(msgspec.Struct, frozen=True):
    """The treasury's account in the finalized block ``slot``."""

    slot: int
    balance: int
    mint: str
    delegate: str | None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    attestation: Attestation
    statement: Statement
    #: Of the chain that was asked.
    genesis: str
    #: None if the treasury that the statement names is no token account there.
    money: Money | None
    #: Epochs by the chain, oldest transaction first.
    published: list[Published]
    #: Epochs by the grid: those that are on chain; a missing one is told as empty.
    leaves: dict[int, Leaves]
    #: Receipts after the newest epoch, up to the statement's number.
    pending: list[Told]
    balances: list[Balance]
    payments: list[Payment]
