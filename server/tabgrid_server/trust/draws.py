"""The draw that decides whether an answer is checked, and the secrets behind it.

Nobody but the grid can foresee a draw, and nobody can doubt it afterwards:

1. The grid makes a chain: each secret is the SHA-256 of the next one. It publishes the anchor,
   the hash of the first secret, before any job. So each secret is fixed before its epoch.
2. A node commits to its answer (``commit_hash`` of the receipt) before it hears anything.
3. The draw is HMAC-SHA256(secret of the epoch, commit hash), scaled to 0 … 999,999. The answer
   is checked if it is below the probability, in millionths, that stands in the receipt.
4. Of an answer in steps that is checked, ``draw_steps`` says by the same secret and commit hash
   which of them are run again.
5. When the epoch is over its secret is published. ``verify`` ties it to the anchor; ``draw``
   then gives everybody the same numbers.
"""

from __future__ import annotations

import hashlib
import hmac

from .policy import DAY, ONE

#: 1 January 2026, UTC: epoch 0 of every grid, so that there is one thing less to keep.
FIRST_DAY = 1_767_225_600.0
#: One epoch a day for ten years.
CHAIN_LENGTH = 3_653
#: Keeps the draw of steps apart from that of the answer.
STEPS = b"tabgrid/steps/v1\0"


def secret_of(root: bytes, epoch: int, length: int = CHAIN_LENGTH) -> bytes:
    """The secret of an epoch, counted from 0. ``root`` is 32 random bytes, kept by the grid.

    Raises ``ValueError`` beyond the chain's end: then it is time for a new root and anchor.
    """
    if len(root) != 32 or not 0 <= epoch < length:
        raise ValueError(f"A chain of {length} epochs, root of 32 bytes, has no epoch {epoch}.")
    return _hash_times(root, length - 1 - epoch)


def anchor_of(root: bytes, length: int = CHAIN_LENGTH) -> bytes:
    """What is published before the first epoch."""
    return _hash_times(secret_of(root, 0, length), 1)


def verify(anchor: bytes, epoch: int, secret: bytes) -> bool:
    """Whether a published secret is the one that the anchor promised for this epoch."""
    return epoch >= 0 and hmac.compare_digest(_hash_times(secret, epoch + 1), anchor)


def epoch_at(now: float, started: float, seconds: float = DAY) -> int:
    """The epoch at a Unix time, if epoch 0 began at ``started``."""
    return int((now - started) // seconds)


def draw(secret: bytes, commit_hash: bytes) -> int:
    """0 … 999,999, each equally likely (but for 5 in 10 ** 14)."""
    digest = hmac.digest(secret, commit_hash, "sha256")
    return int.from_bytes(digest[:8], "big") * ONE >> 64


def draw_steps(secret: bytes, commit_hash: bytes, stretches: int, count: int) -> tuple[int, ...]:
    """``count`` different ones of so many stretches, counted from 0, in order; all if fewer.

    One is taken after the other: the n-th, from 0, is at the place of those still left that
    HMAC-SHA256(secret, STEPS || commit hash || n as one byte) names, scaled as in ``draw``.
    """
    left, found = list(range(stretches)), []
    for turn in range(min(count, stretches)):
        digest = hmac.digest(secret, STEPS + commit_hash + bytes([turn]), "sha256")
        found.append(left.pop(int.from_bytes(digest[:8], "big") * len(left) >> 64))
    return tuple(sorted(found))


def _hash_times(value: bytes, times: int) -> bytes:
    for _ in range(times):
        value = hashlib.sha256(value).digest()
    return value
