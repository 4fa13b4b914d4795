"""The grid's totals and last hour, counted as things happen. Pure.

Read from the store once, at start, and counted on from there: a page that shows them, or a
thousand that do, cost no query. What nodes earned is counted by whoever books it: see
``Store.earned``.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from ..api.schemas.grid import Minute

MINUTES = 60
#: Latencies kept per minute for its median. The first ones of a minute are as good as any.
SAMPLES = 500


class _Bucket:
    __slots__ = ("at", "done", "latencies", "p50_ms")

    def __init__(self, at: float, done: int = 0, p50_ms: float | None = None) -> None:
        self.at = at
        self.done = done
        #: What an earlier process measured, until this one has samples of its own.
        self.p50_ms = p50_ms
        self.latencies: list[float] = []

    def minute(self) -> Minute:
        p50 = 1000 * statistics.median(self.latencies) if self.latencies else self.p50_ms
        return Minute(self.at, self.done, p50)


class Sums(msgspec.Struct):
    """Since the beginning; amounts in base units."""

    done: int = 0
    failed: int = 0
    paid: int = 0


class Figures:
    def __init__(self, sums: Sums, hour: Sequence[Minute]) -> None:
        self.sums = sums
        self._hour = {minute.at: _Bucket(minute.at, minute.done, minute.p50_ms) for minute in hour}

    def done(self, now: float, seconds: float) -> None:
        """A job was booked ``seconds`` after its submission."""
        self.sums.done += 1
        bucket = self._bucket(now)
        bucket.done += 1
        if len(bucket.latencies) < SAMPLES:
            bucket.latencies.append(seconds)

    def failed(self) -> None:
        self.sums.failed += 1

    def paid(self, amount: int) -> None:
        """A claim reached the chain for good."""
        self.sums.paid += amount

    def hour(self, now: float) -> tuple[Minute, ...]:
        """60 minutes, oldest first; the last is the one that runs."""
        current = now // 60 * 60
        starts = [current - 60 * back for back in range(MINUTES - 1, -1, -1)]
        return tuple(
            bucket.minute() if (bucket := self._hour.get(at)) else Minute(at, 0, None)
            for at in starts
        )

    def _bucket(self, now: float) -> _Bucket:
        at = now // 60 * 60
        bucket = self._hour.get(at)
        if bucket is None:
            bucket = self._hour[at] = _Bucket(at)
            for old in [start for start in self._hour if start <= at - 60 * MINUTES]:
                del self._hour[old]
        return bucket
