"""What is committed to on chain, and how to prove that something is in it."""

from __future__ import annotations

from typing import Literal

from .base import Response

EpochState = Literal["closed", "sent", "final"]


class Epoch(Response, frozen=True):
    """Receipts whose Merkle root is on chain, or on its way there."""

    epoch: int
    #: 2; 1 for those from before corrections went under roots.
    v: int
    #: Leaves: the receipts, then one for each wallet and token, then one for the corrections.
    count: int
    receipts: int
    wallets: int
    #: How many corrections there were when it was closed, and the newest one's hash (zeros before
    #: the first); null in version 1, which has no leaf of them.
    corrections: int | None
    corrected: str | None
    #: In hex, as in the memo.
    root: str
    prev_root: str
    closed_at: float
    state: EpochState
    #: Of the transaction that carries the memo; null before it is signed.
    signature: str | None
    slot: int | None
    final_at: float | None
    #: As it stands on chain.
    memo: str


class Epochs(Response, frozen=True):
    """Newest first, with what is in none yet."""

    epochs: tuple[Epoch, ...]
    #: Receipts that wait for the next one, counted up to the most that it takes.
    waiting: int
    #: Seconds between two.
    every_s: int
    #: Why none is published right now; null while they are.
    problem: str | None


class Leaf(Response, frozen=True):
    """One leaf of an epoch: a receipt, what a wallet has earned by its end, or where the
    corrections stood."""

    kind: Literal["receipt", "earned", "corrected"]
    #: The number of the receipt, rising with each settlement.
    seq: int | None = None
    #: The receipt's exact text: its SHA-256 is in the leaf.
    receipt: str | None = None
    wallet: str | None = None
    token: str | None = None
    #: Base units since the grid began.
    earned: int | None = None
    #: How many corrections there were, and the newest one's hash.
    corrections: int | None = None
    corrected: str | None = None


class Leaves(Response, frozen=True):
    epoch: int
    #: Place of the first one here.
    start: int
    leaves: tuple[Leaf, ...]
    #: Where the next page starts; null on the last one.
    next: int | None


class Receipts(Response, frozen=True):
    """In the order of settlement; each leaf is a receipt."""

    receipts: tuple[Leaf, ...]


class Proof(Response, frozen=True):
    """That a receipt is in an epoch: hashes that lead from its leaf to the root, in hex."""

    job: str
    #: SHA-256 of the receipt's bytes.
    receipt_hash: str
    index: int
    path: tuple[str, ...]
    epoch: Epoch


class CorrectionsProof(Response, frozen=True):
    """That an epoch holds the corrections as they stood: hashes that lead from their leaf, its
    last one, to the root, in hex. ``epoch`` names their number and the newest one's hash."""

    index: int
    path: tuple[str, ...]
    epoch: Epoch
