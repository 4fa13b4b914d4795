"""Answers from when they are made until the grid has settled them or they are void.

A connection may end in between: what is kept goes out on the next one.
"""

from __future__ import annotations

from tabgrid_wire.messages import Failed, Result

#: As many as there can be jobs at once.
MOST = 16


class Answers:
    def __init__(self) -> None:
        #: Lease to its answer and the time at which it is void.
        self._kept: dict[str, tuple[Result | Failed, float]] = {}

    def keep(self, answer: Result | Failed, void_at: float) -> None:
        """Until ``void_at`` on the host's monotonic clock."""
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[answer.lease] = (answer, void_at)

    def valid(self, now: float) -> list[Result | Failed]:
        """Those that are not void, oldest first; the others are forgotten."""
        self._kept = {lease: kept for lease, kept in self._kept.items() if kept[1] > now}
        return [answer for answer, _ in self._kept.values()]

    def settled(self, job: str) -> None:
        for lease, (answer, _) in list(self._kept.items()):
            if answer.job == job:
                del self._kept[lease]

    def refused(self, lease: str) -> None:
        self._kept.pop(lease, None)
