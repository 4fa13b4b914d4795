"""What the operator orders of a running coordinator, through the books that both see.

A command writes an order; the coordinator takes it up within a second, and says when what
followed from it is kept. Whoever dies in between: an open order is carried out again, and doing
it twice does no more than once.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Row, select, update

from ..trust import ClassKey
from .record import Record
from .tables import trust_orders

Does = Literal["clear", "confirm-bug"]


class Order(Record, frozen=True, kw_only=True):
    """``done_at`` is None while it is open; then ``answer`` says what came of it."""

    id: str
    does: Does
    kind: ClassKey
    at: float
    done_at: float | None = None
    answer: str | None = None


def add(connection: Connection, order: Order) -> None:
    kind = order.kind
    connection.execute(
        trust_orders.insert().values(
            id=order.id,
            does=order.does,
            digest=kind.digest,
            dtype=kind.dtype,
            device_class=kind.device_class,
            at=order.at,
        )
    )


def open_orders(connection: Connection) -> list[Order]:
    """The oldest first."""
    query = select(trust_orders).where(trust_orders.c.done_at.is_(None))
    return [_order(row) for row in connection.execute(query.order_by(trust_orders.c.at))]


def get(connection: Connection, id: str) -> Order | None:
    row = connection.execute(select(trust_orders).where(trust_orders.c.id == id)).one_or_none()
    return None if row is None else _order(row)


def done(connection: Connection, id: str, answer: str, now: float) -> None:
    connection.execute(
        update(trust_orders).where(trust_orders.c.id == id).values(done_at=now, answer=answer)
    )


def _order(row: Row[Any]) -> Order:
    return Order(
        id=row.id,
        does=row.does,
        kind=ClassKey(row.digest, row.dtype, row.device_class),
        at=row.at,
        done_at=row.done_at,
        answer=row.answer,
    )
