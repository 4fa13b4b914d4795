"""What an audit has in hand before it judges: nothing of it is believed yet."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...api.schemas.attestation import Attestation, Balance
from ...api.schemas.checks import Check, Draws, GivenUp
from ...api.schemas.receipts import Receipt
from ...chain.memos import Published
from ..corrections import Head
from ..epoch import Earned
from ..statement import Statement

_decode = msgspec.json.Decoder(Receipt).decode


class Told(msgspec.Struct, frozen=True):
    """A receipt as the grid gives it: its number, and the exact bytes of its text."""

    seq: int
    body: bytes


class Leaves(msgspec.Struct, frozen=True):
    """What the grid says is in an epoch."""

    receipts: list[Told]
    earned: list[Earned]
    #: None where none is told, as in version 1.
    head: Head | None

    @property
    def count(self) -> int:
        return len(self.receipts) + len(self.earned) + (self.head is not None)


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
    #: Texts of all corrections that the statement or an epoch names, in the order in which they
    #: came.
    corrections: list[bytes]
    payments: list[Payment]
    #: What the grid published of its draws, everything that references found, and what none ran.
    draws: Draws
    checks: list[Check]
    given_up: list[GivenUp]

    def told(self) -> Iterator[tuple[Told, Receipt | None]]:
        """All receipts in the order of settlement; None for one that cannot be read."""
        for number in sorted(self.leaves):
            yield from ((told, receipt_of(told)) for told in self.leaves[number].receipts)
        yield from ((told, receipt_of(told)) for told in self.pending)

    def heads(self) -> dict[int, Head]:
        """Where each epoch says that the corrections stood, by its number."""
        return {number: each.head for number, each in self.leaves.items() if each.head}

    def read(self) -> list[Receipt]:
        """Those that can be read."""
        return [receipt for _, receipt in self.told() if receipt is not None]


def receipt_of(told: Told) -> Receipt | None:
    try:
        return _decode(told.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
