"""Jobs that wait for one model, served fairly: by units of work per user, not by arrival.

Start-time fair queueing: each user has a virtual time that grows by the units served; the
user with the smallest goes next. A user who comes back does not collect credit for the
time away. So one who submits 10,000 texts delays another's single sentence by one job.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush


class FairQueue:
    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[str, int]]] = {}
        self._times: dict[str, int] = {}
        self._order: list[tuple[int, int, str]] = []
        self._now = 0
        self._sequence = 0

    def push(self, owner: str, job: str, units: int) -> None:
        line = self._line(owner)
        line.append((job, units))

    def push_front(self, owner: str, job: str) -> None:
        """Put back a job that was served once: it goes first and costs its user nothing more."""
        self._line(owner).appendleft((job, 0))

    def pop(self) -> str | None:
        """The next job, or None. May be one that was cancelled meanwhile: the caller knows."""
        while self._order:
            time, _, owner = heappop(self._order)
            line = self._waiting[owner]
            job, units = line.popleft()
            self._now = time
            self._times[owner] = time + max(units, 1)
            if line:
                self._enter(owner)
            else:
                del self._waiting[owner]
                self._forget_idle()
            return job
        return None

    def _line(self, owner: str) -> deque[tuple[str, int]]:
        line = self._waiting.get(owner)
        if line is None:
            line = self._waiting[owner] = deque()
            self._times[owner] = max(self._times.get(owner, 0), self._now)
            self._enter(owner)
        return line

    def _enter(self, owner: str) -> None:
        self._sequence += 1
        heappush(self._order, (self._times[owner], self._sequence, owner))

    def _forget_idle(self) -> None:
        """Users who wait for nothing are kept only while their past still matters."""
        if len(self._times) > 2 * len(self._waiting) + 1024:
            self._times = {
                owner: time
                for owner, time in self._times.items()
                if owner in self._waiting or time > self._now
            }
