"""When the scheduler wants to be woken, and what for."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Literal

Kind = Literal["lease", "hedge", "rest"]


class Alarms:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Kind, str]] = []
        self._count = 0

    @property
    def next(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def set(self, at: float, kind: Kind, subject: str) -> None:
        self._count += 1
        heappush(self._heap, (at, self._count, kind, subject))

    def due(self, now: float) -> Iterator[tuple[Kind, str]]:
        """In order of their times, and of setting; those set meanwhile too."""
        while self._heap and self._heap[0][0] <= now:
            _, _, kind, subject = heappop(self._heap)
            yield kind, subject
