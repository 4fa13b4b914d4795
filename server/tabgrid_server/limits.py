"""A limit per address, for what costs us something before anybody has paid. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict

from .errors import RateLimited

#: Addresses remembered; the one unused for longest is forgotten, as if it never asked.
REMEMBERED = 50_000


class RateLimit:
    """``count`` events per ``seconds`` and address, with bursts up to ``count``.

    The generic cell rate algorithm: one number per address, the time at which its past would
    be paid off, so nothing is rounded away and asking while refused costs nothing more.
    """

    def __init__(self, what: str, count: int, seconds: float) -> None:
        self._what = what
        self._interval = seconds / count
        self._burst = seconds - self._interval
        self._paid_off: OrderedDict[str, float] = OrderedDict()

    def take(self, address: str, now: float) -> None:
        """Count one event. Raises ``RateLimited`` with the seconds to wait."""
        paid_off = max(self._paid_off.get(address, now), now)
        wait = paid_off - self._burst - now
        if wait > 0:
            raise RateLimited(self._what, math.ceil(wait))
        self._paid_off[address] = paid_off + self._interval
        self._paid_off.move_to_end(address)
        if len(self._paid_off) > REMEMBERED:
            self._paid_off.popitem(last=False)
