"""Receipts: what was computed, by whom, for how much. Written by ``Store.settle``."""

from __future__ import annotations

from sqlalchemy import Connection, select

from .records import Receipt
from .tables import receipts


def get(connection: Connection, job_id: str) -> Receipt | None:
    """The receipt of one job; None until it is done."""
    row = connection.execute(select(receipts).where(receipts.c.job_id == job_id)).one_or_none()
    return None if row is None else Receipt(**row._mapping)


def after(connection: Connection, seq: int, limit: int) -> list[Receipt]:
    """Receipts numbered above ``seq``, in the order in which they were settled."""
    query = select(receipts).where(receipts.c.seq > seq).order_by(receipts.c.seq).limit(limit)
    return [Receipt(**row._mapping) for row in connection.execute(query)]
