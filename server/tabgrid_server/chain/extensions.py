"""Extensions of Token-2022: which a grid can pay in, and why not in the others. Pure.

Only what is named here as borne is borne. A mint's extensions are fixed when it is made, but
for its metadata, so it is enough to look at each start.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from spl.token.constants import ACCOUNT_LEN

#: Where extensions begin: after the longest plain layout and the byte that says what it is.
START = ACCOUNT_LEN + 1

TRANSFER_FEE, FEE_WITHHELD, IMMUTABLE_OWNER, NEEDS_MEMO = 1, 2, 7, 8
METADATA_POINTER, METADATA = 18, 19
BORNE_BY_MINTS = frozenset({TRANSFER_FEE, METADATA_POINTER, METADATA})
BORNE_BY_ACCOUNTS = frozenset({FEE_WITHHELD, IMMUTABLE_OWNER, NEEDS_MEMO})

#: Name, and what somebody could do to people who were paid in it.
NAMES: dict[int, tuple[str, str]] = {
    3: ("a close authority", "who holds it can close the mint and make another in its place"),
    4: ("confidential transfers", "balances can be hidden, so nobody could check the treasury"),
    5: ("confidential transfers", "its balance can be hidden"),
    6: ("a default account state", "new token accounts can start frozen, so claims would fail"),
    9: ("non-transferable tokens", "nobody could be paid in it"),
    10: ("interest", "wallets show other amounts than are paid"),
    11: ("a CPI guard", "it is not needed for a treasury"),
    12: ("a permanent delegate", "who holds it can take the tokens back out of any wallet"),
    13: ("non-transferable tokens", "nobody could be paid from it"),
    14: ("a transfer hook", "a program of somebody else decides on each payment"),
    15: ("a transfer hook", "a program of somebody else decides on each payment"),
    16: ("confidential transfer fees", "fees can be hidden, so nobody could check a payment"),
    17: ("confidential transfer fees", "fees can be hidden, so nobody could check a payment"),
    20: ("a token group", "nobody has checked yet what it means for payments"),
    21: ("a token group", "nobody has checked yet what it means for payments"),
    22: ("membership in a token group", "nobody has checked yet what it means for payments"),
    23: ("membership in a token group", "nobody has checked yet what it means for payments"),
    24: ("confidential minting and burning", "the supply can be hidden"),
    25: ("scaled amounts", "wallets show other amounts than are paid"),
    26: ("a pause switch", "who holds it can stop all payments"),
    27: ("a pause switch", "who holds it can stop all payments"),
}


def objections(kinds: Iterable[int], borne: frozenset[int]) -> list[str]:
    """A sentence for each extension that is not borne; [] where all are."""
    return [_objection(kind) for kind in sorted(kinds) if kind not in borne]


def _objection(kind: int) -> str:
    name, why = NAMES.get(kind, (f"the extension number {kind}", "this version does not know it"))
    return f"It has {name}: {why}."


def read(data: bytes) -> dict[int, bytes] | None:
    """Extensions behind the plain layout, by kind; None if the bytes are not made of them."""
    found: dict[int, bytes] = {}
    at = START
    while at + 4 <= len(data):
        kind, size = (int.from_bytes(data[place : place + 2], "little") for place in (at, at + 2))
        at += 4
        if kind == 0:  # room that nothing was written to
            return found
        if at + size > len(data) or kind in found:
            return None
        found[kind] = data[at : at + size]
        at += size
    return found


class Rate(msgspec.Struct, frozen=True):
    """A transfer fee from ``epoch`` on: ``bps`` hundredths of a percent, ``most`` base units."""

    epoch: int
    most: int
    bps: int

    def of(self, amount: int) -> int:
        """The part of ``amount`` that the receiver does not get; rounded up, as on chain."""
        return min(-(-amount * self.bps // 10_000), self.most)


class TransferFee(msgspec.Struct, frozen=True):
    """What a mint keeps of each transfer; a change holds from two epochs later on."""

    older: Rate
    newer: Rate

    def at(self, epoch: int) -> Rate:
        return self.newer if epoch >= self.newer.epoch else self.older


def read_transfer_fee(data: bytes) -> TransferFee | None:
    """Of the extension's own bytes; None if they are not that."""
    if len(data) != 108:
        return None
    return TransferFee(_rate(data[72:90]), _rate(data[90:108]))


def _rate(data: bytes) -> Rate:
    return Rate(*(int.from_bytes(part, "little") for part in (data[:8], data[8:16], data[16:])))
