"""What a job costs and who gets it. Pure; integers in base units."""

from __future__ import annotations

import msgspec


class Price(msgspec.Struct, frozen=True):
    total: int
    #: The operator's share of ``total``; the node earns the rest.
    fee: int

    @property
    def pay(self) -> int:
        return self.total - self.fee


def quote(units: int, price_per_unit: int, fee_bps: int) -> Price:
    """``units`` of work at a grid's rate; the fee is rounded down, in the node's favour."""
    total = units * price_per_unit
    return Price(total, total * fee_bps // 10_000)
