"""The secrets of a grid's draws, as it published them. Pure."""

from __future__ import annotations

from hashlib import sha256

from ...api.schemas.checks import Draws
from ...trust import draws

#: Settled at the latest so long after the day of its draw: an answer is drawn when it comes, and
#: booked at once, or when the database can be written again. With more, a grid could draw by a
#: secret that is public already.
LATE_S = 3_600.0


class Secrets:
    """The secrets of all days that are over, by the newest one; none if that cannot be read."""

    def __init__(self, told: Draws) -> None:
        self.told = told
        self._known: list[bytes] = []
        newest = bytes_of(told.secret)
        revealed = told.revealed
        if newest is None or revealed is None or not 0 <= revealed < draws.CHAIN_LENGTH:
            return
        self._known = [newest]
        for _ in range(revealed):
            self._known.append(sha256(self._known[-1]).digest())
        self._known.reverse()

    def of(self, day: int) -> bytes | None:
        return self._known[day] if 0 <= day < len(self._known) else None

    @property
    def lead_to_anchor(self) -> bool:
        """Whether the oldest one is what the anchor is the hash of."""
        return bool(self._known) and sha256(self._known[0]).hexdigest() == self.told.anchor

    def commitment(self, day: int) -> str | None:
        """What receipts of that day name; None for days to come."""
        if day == self.told.epoch:
            return self.told.commitment
        secret = self.of(day)
        return None if secret is None else sha256(secret).hexdigest()


def bytes_of(digits: str | None) -> bytes | None:
    """32 bytes in hex, or None."""
    try:
        found = bytes.fromhex(digits or "")
    except ValueError:
        return None
    return found if len(found) == 32 else None
