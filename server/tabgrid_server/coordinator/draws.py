"""The secrets behind the draws of audits: which one counts today, and which are public.

The root lies beside the grid's other keys. Epochs of draws are days since ``FIRST_DAY``; what
decides and how it is checked stands in ``trust.draws``.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec

from ..blobs.tickets import load_or_create_secret
from ..trust import draws
from ..trust.policy import DAY

FIRST_DAY = draws.FIRST_DAY
FILE = Path("keys", "draws.key")


class Public(msgspec.Struct, frozen=True):
    """What anybody may know now. Hashing ``secret`` leads to all before it, and to ``anchor``."""

    anchor: bytes
    #: The epoch of today, and the hash of its secret.
    epoch: int
    commitment: bytes
    #: The newest epoch that is over, and its secret; none on the very first day.
    revealed: int | None
    secret: bytes | None


class Draws:
    def __init__(self, root: bytes) -> None:
        self._root = root
        self._today = -1
        self._secret = b""
        self.anchor = draws.anchor_of(root)

    @classmethod
    def of_folder(cls, data: Path) -> Draws:
        """The grid's own, made when it first starts."""
        return cls(load_or_create_secret(data / FILE))

    def at(self, now: float) -> tuple[int, bytes]:
        """The epoch at a Unix time, and its secret. Tell nobody before it is over."""
        epoch = draws.epoch_at(now, FIRST_DAY, DAY)
        if epoch != self._today:
            self._today, self._secret = epoch, draws.secret_of(self._root, epoch)
        return epoch, self._secret

    def secret_of(self, epoch: int, now: float) -> bytes | None:
        """Of an epoch that is over; None of any other: it may decide yet."""
        if not 0 <= epoch < self.at(now)[0]:
            return None
        return draws.secret_of(self._root, epoch)

    def commitment(self, now: float) -> bytes:
        """The hash of today's secret: yesterday's secret, or on the first day the anchor."""
        return sha256(self.at(now)[1]).digest()

    def public(self, now: float) -> Public:
        epoch, commitment = self.at(now)[0], self.commitment(now)
        known = epoch > 0
        return Public(
            anchor=self.anchor,
            epoch=epoch,
            commitment=commitment,
            revealed=epoch - 1 if known else None,
            secret=commitment if known else None,
        )
