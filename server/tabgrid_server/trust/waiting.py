"""Who gets no further jobs for now, since too many of his answers wait for a look. Pure.

Nobody is paid for an answer that a stranger gave and no reference looked at, but its user has it:
where references are slow, one stranger could else send very many. What a node computes at the
moment in which it is held is taken all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import instructions as do
from .policy import Policy
from .state import UNPROVEN, Unit


def weighed(units: Sequence[Unit], policy: Policy) -> Iterator[do.HoldUnit | do.FreeUnit]:
    """What changes for the units of one wallet; whoever is held stays so until half is looked at,
    so that he is not told with every answer."""
    waiting = sum(unit.pending for unit in units if unit.state in UNPROVEN)
    for unit in units:
        if unit.state not in UNPROVEN:
            unit.full = False  # proven, or barred for another reason
            continue
        share = 2 if unit.full else 1
        per_unit, per_wallet = policy.unproven_per_unit, policy.unproven_per_wallet
        full = unit.pending * share >= per_unit or waiting * share >= per_wallet
        if full != unit.full:
            unit.full = full
            yield _told(unit, waiting)


def _told(unit: Unit, waiting: int) -> do.HoldUnit | do.FreeUnit:
    if not unit.full:
        return do.FreeUnit(unit.key, "Enough of its answers were looked at.")
    others = waiting - unit.pending
    more = f", and {others} of the wallet's other devices" if others else ""
    return do.HoldUnit(unit.key, f"{unit.pending} of its answers{more} wait to be checked.")
