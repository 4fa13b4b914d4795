"""How long to wait before the next try: longer each time, and never all nodes at once."""

from __future__ import annotations

FIRST_S = 1.0
#: A coordinator that is back after an hour should not wait long for its nodes.
CAP_S = 60.0
#: A connection that held this long was a good one: the next loss starts from the beginning.
STABLE_S = 30.0


class Backoff:
    def __init__(self) -> None:
        self._failures = 0

    def next(self, random: float, at_least: float = 0.0) -> float:
        """Seconds to wait. ``random`` in [0, 1) spreads them over the upper half of the wait."""
        # From 64 on the cap rules; the shift is bounded so that the number stays one.
        wait = min(CAP_S, FIRST_S * (1 << min(self._failures, 6)))
        self._failures += 1
        return max(at_least, wait * (1 + random) / 2)

    def connected_for(self, seconds: float) -> None:
        if seconds >= STABLE_S:
            self._failures = 0
