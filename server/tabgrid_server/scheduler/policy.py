"""The figures that the scheduler decides by; an operator's settings become one of these."""

from __future__ import annotations

import msgspec


class Policy(msgspec.Struct, frozen=True):
    """Seconds throughout. Reasons for the defaults stand in ``settings.Scheduling``."""

    lease_factor: float = 4
    lease_min_s: float = 15
    lease_max_s: float = 300
    hedge_factor: float = 3
    hedge_min_s: float = 3
    #: Nobody is waited for as if it were more than this many times slower than a reference.
    slowest: float = 10
    attempts: int = 4
    strikes: int = 3
    answers_per_strike: int = 5
    rest_min_s: float = 30
    rest_max_s: float = 3600
    #: Audits that one reference runs at a time; 0 switches audits off.
    audit_places: int = 1
    #: While both are free, every so many-th job that somebody waits for goes to a newcomer and
    #: not to a proven node: else a grid of such jobs alone would never prove anybody.
    newcomers_turn: int = 10

    def lease(self, expected: float) -> float:
        return min(max(self.lease_factor * expected, self.lease_min_s), self.lease_max_s)

    def hedge_after(self, expected: float) -> float:
        return max(self.hedge_factor * expected, self.hedge_min_s)

    def rest(self, rests: int) -> float:
        """How long a node rests for the ``rests``-th time (from 0)."""
        return min(self.rest_min_s * 2.0 ** min(rests, 20), self.rest_max_s)
