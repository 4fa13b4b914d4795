"""Rows of blobs: which there are, and when to look whether anybody still needs them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, text, update

from .tables import blobs

_NOTE = text(
    "INSERT INTO blobs (digest, size, created_at, check_at)"
    " VALUES (:digest, :size, :now, :check_at)"
    " ON CONFLICT (digest) DO UPDATE SET check_at = excluded.check_at"
)
#: A job's reference is its row; nothing counts them, so nothing can miscount.
_NEEDED = text(
    "UPDATE blobs SET check_at = NULL WHERE digest = :digest"
    " AND (EXISTS (SELECT 1 FROM jobs WHERE output_digest = :digest)"
    " OR EXISTS (SELECT 1 FROM reruns WHERE output_digest = :digest))"
)
_FORGET = text("DELETE FROM blobs WHERE digest = :digest")
_LOOK_AT = (
    update(blobs)
    .where(blobs.c.digest.in_(bindparam("digests", expanding=True)))
    .values(check_at=bindparam("now"))
)


def note(connection: Connection, digest: str, size: int, now: float, check_at: float) -> None:
    """A blob is about to be kept; look at ``check_at`` whether a job refers to it."""
    values = {"digest": digest, "size": size, "now": now, "check_at": check_at}
    connection.execute(_NOTE, values)


def due(connection: Connection, now: float, limit: int) -> list[str]:
    """Digests to look at, the longest overdue first."""
    query = select(blobs.c.digest).where(blobs.c.check_at <= now).order_by(blobs.c.check_at)
    return list(connection.execute(query.limit(limit)).scalars())


def unneeded(connection: Connection, digest: str, now: float) -> bool:
    """Whether no job refers to it, and it did not come again since it was found due.

    If a job does, it is not looked at again until that one expires.
    """
    if connection.execute(_NEEDED, {"digest": digest}).rowcount:
        return False
    query = select(blobs.c.digest).where(blobs.c.digest == digest, blobs.c.check_at <= now)
    return connection.execute(query).first() is not None


def forget(connection: Connection, digest: str) -> None:
    """The bytes are gone."""
    connection.execute(_FORGET, {"digest": digest})


def look_at(connection: Connection, digests: Sequence[str], now: float) -> None:
    """The last reference may be gone: look at these soon."""
    if digests:
        connection.execute(_LOOK_AT, {"digests": list(digests), "now": now})
