"""What owners call their requests: one that is sent again is the job that it was before.

A name is kept with its job, in one transaction, so there is never the one without the other.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, tuple_

from .bulk import Bulk
from .records import Named
from .tables import idempotency_keys as table

#: Whoever lost an answer asks again within minutes, or after a night without a connection. A
#: day covers both and is what others promise (Stripe); more would be a row for each job, for
#: nobody. Names go at the first sweep after it.
KEPT_S = 24 * 3_600.0

INSERT = Bulk(table.insert())


def find(connection: Connection, owner: str, key: str) -> Named | None:
    """What ``owner`` called ``key`` before, while that is kept."""
    return find_all(connection, [(owner, key)]).get((owner, key))


def find_all(
    connection: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Named]:
    """The same of many: (owner, key) to the job that it is."""
    if not names:
        return {}
    query = select(table).where(tuple_(table.c.owner, table.c.key).in_(sorted(names)))
    rows = connection.execute(query)
    return {(row.owner, row.key): Named(job_id=row.job_id, request=row.request) for row in rows}


def forget(connection: Connection, before: float, limit: int) -> int:
    """Let up to ``limit`` names from before ``before`` go; how many went."""
    old = select(table.c.job_id).where(table.c.created_at < before)
    old = old.order_by(table.c.created_at).limit(limit)
    return connection.execute(
        delete(table).where(table.c.created_at < before, table.c.job_id.in_(old))
    ).rowcount
