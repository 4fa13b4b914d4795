"""An epoch: the receipts since the one before, what each wallet has earned by then, and where the
corrections of pay stand. Pure.

Its leaves are the receipts in the order of settlement, then one leaf for each wallet and token
in the order of their bytes, then one for the head of the corrections' chain:

    receipt    "tabgrid/receipt/v1" 0x00 SHA-256(the receipt's bytes)
    earned     "tabgrid/earned/v1" 0x00 wallet 0x00 token 0x00 base units in decimal
    corrected  "tabgrid/corrected/v1" 0x00 how many as 8 bytes, big end first
               || the newest correction's hash

and its root binds the tree to its place in the chain of epochs:

    SHA-256(0x02 || "tabgrid/epoch/v2" 0x00 || epoch, count as 8 bytes, big end first
            || the root before || the tree's top)

So the newest root commits to every receipt and every correction there ever was. The memo on
chain has the same figures as JSON; the same receipts and corrections give the same memo, byte for
byte.

Epochs of version 1 have no leaf of corrections, and "tabgrid/epoch/v1" in their roots: a tree of
one version gives no root of another. They stay as they were published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tabgrid_wire import merkle

from .corrections import Head

Version = Literal[1, 2]
#: Of what is published today.
VERSION: Version = 2
#: The root before the first.
GENESIS = bytes(merkle.SIZE)
_RECEIPT = b"tabgrid/receipt/v1\0"
_EARNED = b"tabgrid/earned/v1\0"
_CORRECTED = b"tabgrid/corrected/v1\0"
_EPOCH: dict[Version, bytes] = {1: b"\x02tabgrid/epoch/v1\0", 2: b"\x02tabgrid/epoch/v2\0"}

Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Earned(msgspec.Struct, frozen=True, order=True):
    """What ``wallet`` has earned since the grid began, in base units of ``token``."""

    wallet: str
    token: str
    earned: int


class Memo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written on chain for one epoch; ``count`` is of all leaves."""

    v: Version
    epoch: Count
    count: Count
    root: Hex32
    prev_root: Hex32


_decode = msgspec.json.Decoder(Memo).decode


def receipt_hash(body: bytes) -> bytes:
    """SHA-256 of a receipt's bytes, as they are told at ``/api/receipts/{job}``."""
    return sha256(body).digest()


def receipt_leaf(receipt_hash: bytes) -> bytes:
    """Of a receipt, by the SHA-256 of its bytes."""
    return merkle.leaf(_RECEIPT + receipt_hash)


def earned_leaf(earned: Earned) -> bytes:
    parts = (earned.wallet, earned.token, str(earned.earned))
    return merkle.leaf(_EARNED + "\0".join(parts).encode())


def corrected_leaf(head: Head) -> bytes:
    return merkle.leaf(_CORRECTED + head.count.to_bytes(8, "big") + head.hash)


def version_of(head: Head | None) -> Version:
    """Of an epoch with this leaf of corrections; None if it has none."""
    return 1 if head is None else 2


def leaves(
    receipt_hashes: Iterable[bytes], earned: Iterable[Earned], head: Head | None
) -> list[bytes]:
    """All leaf hashes of an epoch, in their order; the receipts' is the caller's.

    ``head`` of the corrections is None in version 1.
    """
    return [
        *map(receipt_leaf, receipt_hashes),
        *map(earned_leaf, sorted(earned, key=lambda each: (each.wallet, each.token))),
        *(() if head is None else (corrected_leaf(head),)),
    ]


def root(version: Version, epoch: int, count: int, prev_root: bytes, top: bytes) -> bytes:
    """The root that is published for a tree of ``count`` leaves."""
    place = epoch.to_bytes(8, "big") + count.to_bytes(8, "big")
    return sha256(_EPOCH[version] + place + prev_root + top).digest()


def memo_of(version: Version, epoch: int, leaves: Sequence[bytes], prev_root: bytes) -> Memo:
    """What these leaves publish as epoch number ``epoch`` after ``prev_root``."""
    found = root(version, epoch, len(leaves), prev_root, merkle.top(leaves))
    return Memo(version, epoch, len(leaves), found.hex(), prev_root.hex())


def memo_text(memo: Memo) -> str:
    """As it stands on chain."""
    return msgspec.json.encode(memo).decode()


def read_memo(text: bytes) -> Memo | None:
    """A memo of an epoch; None for any other, and for one that is not written as we write."""
    try:
        memo = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return memo if memo_text(memo).encode() == text else None


def included(memo: Memo, leaf: bytes, index: int, path: Sequence[bytes]) -> bool:
    """Whether ``leaf`` is place ``index`` of the epoch that ``memo`` published."""
    try:
        top = merkle.climb(leaf, index, memo.count, path)
    except merkle.ProofError:
        return False
    prev_root = bytes.fromhex(memo.prev_root)
    return root(memo.v, memo.epoch, memo.count, prev_root, top).hex() == memo.root


def head_under(memo: Memo, others: Sequence[bytes], heads: Iterable[Head]) -> Head | None:
    """The one of ``heads`` that is the last leaf under ``memo``, after these ``others``."""
    index = len(others)
    path = merkle.path([*others, merkle.EMPTY], index)
    under = (head for head in heads if included(memo, corrected_leaf(head), index, path))
    return next(under, None)
