"""Merkle trees over SHA-256. Pure; ``web/src/lib/merkle.ts`` is its twin.

    leaf   SHA-256(0x00 || data)
    node   SHA-256(0x01 || left || right)

The prefixes keep a node from passing for a leaf. A node without a partner rises unchanged to
the next level: it is never paired with itself, so no two lists of leaves have one tree. How
many levels a leaf skips that way follows from its index and the count, so a proof holds for
one place in a tree of one size only; whoever publishes the top publishes the count with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

#: Bytes of a hash.
SIZE = 32
_LEAF, _NODE = b"\x00", b"\x01"
#: The top of a tree without leaves: no leaf or node has it for its hash.
EMPTY = sha256(b"").digest()


class ProofError(Exception):
    """The path does not fit the place that it claims to lead from."""


def leaf(data: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(_LEAF + data).digest()


def top(leaves: Sequence[bytes]) -> bytes:
    """The top of the tree over these leaf hashes, in this order."""
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else EMPTY


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What ``climb`` needs to come from leaf ``index`` to the top, lowest first.

    Raises ``IndexError`` for a leaf that is not there.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"There is no leaf {index} of {len(leaves)}.")
    level, found = list(leaves), []
    while len(level) > 1:
        partner = index ^ 1
        if partner < len(level):
            found.append(level[partner])
        level, index = _above(level), index // 2
    return found


def climb(hash: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """The top to which ``path`` leads from the leaf ``hash``, place ``index`` of ``count``.

    Raises ``ProofError`` if the path is not as long as that place wants, or the place is none.
    """
    if not 0 <= index < count:
        raise ProofError(f"There is no leaf {index} of {count}.")
    left = list(path)
    while count > 1:
        if index ^ 1 < count:
            if not left:
                raise ProofError("The path is too short for its place.")
            partner = left.pop(0)
            pair = (partner + hash) if index & 1 else (hash + partner)
            hash = sha256(_NODE + pair).digest()
        index, count = index // 2, (count + 1) // 2
    if left:
        raise ProofError("The path is too long for its place.")
    return hash


def _above(level: list[bytes]) -> list[bytes]:
    pairs = [
        sha256(_NODE + level[place] + level[place + 1]).digest()
        for place in range(0, len(level) - 1, 2)
    ]
    return pairs + level[-1:] if len(level) % 2 else pairs
