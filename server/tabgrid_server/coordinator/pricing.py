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


def check_of(price: Price, check_bps: int) -> int:
    """What a check before delivery costs more; rounded up, since the operator does the work."""
    return -(-price.total * check_bps // 10_000)


def with_check(price: Price, check: int) -> Price:
    """All of it is the operator's, whose references check; the node earns the same."""
    return Price(price.total + check, price.fee + check)


def quote(units: int, price_per_unit: int, fee_bps: int) -> Price:
    """``units`` of work at a grid's rate; the fee is rounded down, in the node's favour."""
    total = units * price_per_unit
    return Price(total, total * fee_bps // 10_000)
