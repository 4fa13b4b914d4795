"""Token buckets per address, for what costs us something before anybody has paid."""

from __future__ import annotations

import math
from collections import OrderedDict

from .errors import RateLimited

#: Addresses remembered; the one unused for longest is forgotten, with a full bucket.
REMEMBERED = 50_000


class RateLimit:
    """``count`` events per ``seconds`` and address, with bursts up to ``count``."""

    def __init__(self, what: str, count: int, seconds: float) -> None:
        self._what = what
        self._count = count
        self._per_second = count / seconds
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, now: float) -> None:
        """Count one event. Raises ``RateLimited`` with the seconds to wait."""
        level, since = self._buckets.pop(address, (float(self._count), now))
        level = min(self._count, level + (now - since) * self._per_second)
        allowed = level >= 1
        self._buckets[address] = (level - 1 if allowed else level, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if not allowed:
            raise RateLimited(self._what, math.ceil((1 - level) / self._per_second))
