"""What is let go: a job's content (its row, receipt and money stay), and unpaid deposits.

A deposit that was asked for and not paid is a reference that nobody may ever use, and asking
is free. But a payment can be late: a link in a mail, an invoice, a scheduled transfer. So a
reference is kept for longer than anybody lets a bill lie, and beyond that as long as its user
has few of them. What comes by one that was let go is credited to nobody, and the operator's to
assign, by its transaction: no money is ever lost by forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from . import blobs as stored_blobs
from .tables import deposit_requests, deposits, jobs, reruns, strikes

#: Bills are due within 30 days, and are reminded of twice.
UNPAID_S = 90 * 24 * 3_600.0
#: Of one user these stay for ever: more are a program's, and none of them is in a mail.
UNPAID_KEPT = 100

#: Content of an answer that was found wrong is kept while its node's owner may appeal and until
#: that is decided: nobody else could see whether the references were right.
_OPEN = strikes.alias("open_strikes")
_APPEALABLE = (
    exists()
    .where(_OPEN.c.job_id == jobs.c.id)
    .where(
        (_OPEN.c.state == "appealed")
        | ((_OPEN.c.state == "standing") & (_OPEN.c.appeal_until > bindparam("now")))
    )
)

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
        .where(jobs.c.grid == grid, jobs.c.expired_at.is_(None), ~_APPEALABLE)
        .order_by(jobs.c.finished_at)
        .limit(limit),
        {"now": now},
    ).all()
    _let_go(connection, found, now)
    return len(found)


def kept_for_appeals(
    connection: Connection, grid: str, before: float, limit: int, now: float
) -> list[str]:
    """Jobs of ``grid`` that ended before ``before`` and whose content was kept only because of a
    strike that nobody can appeal any more."""
    query = (
        select(jobs.c.id)
        .join(strikes, strikes.c.job_id == jobs.c.id)
        .where(jobs.c.grid == grid, jobs.c.finished_at < before, jobs.c.expired_at.is_(None))
        .where(~_APPEALABLE)
        .limit(limit)
    )
    return list(connection.execute(query, {"now": now}).scalars())


def expire_these(connection: Connection, ids: Sequence[str], now: float) -> int:
    """Take the content from these jobs, if they have it still; how many had."""
    query = select(jobs.c.id, jobs.c.output_digest)
    query = query.where(jobs.c.id.in_(ids), jobs.c.expired_at.is_(None))
    found = connection.execute(query).all()
    _let_go(connection, found, now)
    return len(found)


def _let_go(connection: Connection, found: Sequence[Any], now: float) -> None:
    if found:
        connection.execute(_EXPIRE, {"ids": [row.id for row in found], "now": now})
        digests = {row.output_digest for row in found if row.output_digest is not None}
        digests |= _forget_reruns(connection, [row.id for row in found])
        stored_blobs.look_at(connection, sorted(digests), now)


def _forget_reruns(connection: Connection, ids: list[str]) -> set[str]:
    """Right answers go with the wrong ones. The blobs that they were."""
    gone = delete(reruns).where(reruns.c.job_id.in_(ids)).returning(reruns.c.output_digest)
    return {digest for digest in connection.execute(gone).scalars() if digest is not None}


def newest_expired(connection: Connection, grid: str) -> float:
    """When the last job of ``grid`` that has lost its content ended; 0 if none has."""
    query = select(func.max(jobs.c.finished_at))
    query = query.where(jobs.c.grid == grid, jobs.c.expired_at.is_not(None))
    newest: Any = connection.execute(query).scalar()
    return float(newest or 0)


_PAID = exists().where(deposits.c.request == deposit_requests.c.id)


def unpaid_long(
    connection: Connection, before: float, limit: int, kept: int = UNPAID_KEPT
) -> list[str]:
    """Up to ``limit`` deposits that were asked for before ``before`` and never paid, the oldest
    first; of each user and token the newest ``kept`` unpaid ones are not among them."""
    newest = deposit_requests.c.created_at.desc()
    ranked = (
        select(
            deposit_requests.c.id,
            deposit_requests.c.created_at,
            func.row_number()
            .over(
                partition_by=(deposit_requests.c.owner, deposit_requests.c.token), order_by=newest
            )
            .label("place"),
        )
        .where(~_PAID)
        .subquery()
    )
    query = select(ranked.c.id).where(ranked.c.place > kept, ranked.c.created_at < before)
    return list(connection.execute(query.order_by(ranked.c.created_at).limit(limit)).scalars())


def forget_unpaid(connection: Connection, ids: Sequence[str]) -> int:
    """Let these go, save those that have been paid meanwhile; how many went.

    Raises ``Conflict`` where one of them is being paid at this moment; then all stay.
    """
    gone = delete(deposit_requests).where(deposit_requests.c.id.in_(ids), ~_PAID)
    return connection.execute(gone).rowcount
