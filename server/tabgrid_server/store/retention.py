"""The end of a job's content: its input and output go, its row, receipt and money stay."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from . import blobs as stored_blobs
from .tables import jobs

_EXPIRE = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .values(input=b"", output=None, output_digest=None, output_size=None)
    .values(expired_at=bindparam("now"))
)


def expire(
    connection: Connection, grid: str, after: float, before: float, limit: int, now: float
) -> int:
    """Take the content from up to ``limit`` jobs of ``grid`` that ended from ``after`` to
    ``before``, the oldest first; how many they were."""
    found = connection.execute(
        select(jobs.c.id, jobs.c.output_digest)
        .where(jobs.c.finished_at >= after, jobs.c.finished_at < before)
        .where(jobs.c.grid == grid, jobs.c.expired_at.is_(None))
        .order_by(jobs.c.finished_at)
        .limit(limit)
    ).all()
    if found:
        connection.execute(_EXPIRE, {"ids": [row.id for row in found], "now": now})
        digests = {row.output_digest for row in found if row.output_digest is not None}
        stored_blobs.look_at(connection, sorted(digests), now)
    return len(found)


def newest_expired(connection: Connection, grid: str) -> float:
    """When the last job of ``grid`` that has lost its content ended; 0 if none has."""
    query = select(func.max(jobs.c.finished_at))
    query = query.where(jobs.c.grid == grid, jobs.c.expired_at.is_not(None))
    newest: Any = connection.execute(query).scalar()
    return float(newest or 0)
