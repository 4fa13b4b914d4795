"""Corrections: what was changed of nodes' pay after their receipts, in a chain of hashes. Pure.

A receipt says what an answer earned and stays as it is. Where the answer turns out wrong, a
correction says what was taken and why; where that was an error, another one gives it back. They
are numbered from 1, and each hash covers the one before:

    SHA-256("tabgrid/correction/v1" 0x00 || the hash before || the correction's bytes)

How many there are and the newest hash are a leaf of each epoch (see ``epoch``): what is under
a root on chain cannot be changed, left out or slipped in any more. For those that came since, the
grid's signed statement names the same two.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

VERSION: Literal[1] = 1
#: The hash before the first.
GENESIS = bytes(32)
_DOMAIN = b"tabgrid/correction/v1\0"

CorrectionKind = Literal["void", "fine", "forfeit", "restore", "reinstate"]
#: What takes from a wallet; the others give back.
TAKING: frozenset[CorrectionKind] = frozenset({"void", "fine", "forfeit"})
Amount = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One change of what a wallet has, in base units of ``token``.

    void: the answer of job ``ref`` was wrong, and its pay is taken: ``amount`` of it now, ``fined``
    by earlier fines. fine: what it cost beside that. restore: both were an error; of ``amount``,
    ``pay`` is for an answer that was right after all. forfeit: a convicted node lost what was
    withheld; ``ref`` is the first job that earned it. reinstate: that was given back.
    """

    v: Literal[1] = VERSION
    number: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    kind: CorrectionKind
    ref: str
    wallet: str
    token: str
    amount: Amount
    fined: Amount = 0
    pay: Amount = 0
    reason: str
    #: Unix seconds.
    at: float

    @property
    def change(self) -> int:
        """Of what the wallet has."""
        return -self.amount if self.kind in TAKING else self.amount


class Head(msgspec.Struct, frozen=True):
    """Where the chain stands: how many corrections there are, and the newest one's hash."""

    count: int = 0
    hash: bytes = GENESIS


_decode = msgspec.json.Decoder(Correction).decode


def text_of(correction: Correction) -> bytes:
    return msgspec.json.encode(correction, order="sorted")


def read(text: bytes) -> Correction | None:
    """A correction; None for anything else."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def link(before: bytes, text: bytes) -> bytes:
    """The hash of the correction with this text, after the one with the hash ``before``."""
    return sha256(_DOMAIN + before + text).digest()
