"""The breaker of payouts: what may go out in an hour and a day, and what stops it.

The bound that holds if everything else fails: a bug that pays too much, or a thief with the
operator's own programs. What trips it is decided in the commit that co-signs a claim, so no
two processes can each stay below the cap and together exceed it.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select, update

from .bulk import fetch
from .record import Record
from .tables import breaker, claims

HOUR_S, DAY_S = 3_600.0, 86_400.0
#: Any number that nothing else locks: whoever co-signs waits for whoever does so already.
_LOCK = "SELECT pg_advisory_xact_lock(7480214)"


class Caps(Record, frozen=True, kw_only=True):
    """Base units that may be co-signed in any hour and any day; 0 is no cap."""

    hour: int
    day: int


class Trip(Record, frozen=True, kw_only=True):
    """Payouts stopped at ``tripped_at``, until ``reset_at`` if that is not None."""

    tripped_at: float
    reason: str
    reset_at: float | None
    note: str | None


def open_trip(connection: Connection, token: str) -> Trip | None:
    """Why payouts are stopped; None if they are not."""
    query = _SELECT.where(breaker.c.token == token, breaker.c.reset_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else Trip(**row._mapping)


def trips(connection: Connection, token: str, limit: int = 20) -> list[Trip]:
    """Newest first."""
    query = _SELECT.where(breaker.c.token == token).order_by(breaker.c.id.desc()).limit(limit)
    return [Trip(**row._mapping) for row in connection.execute(query)]


def paid_since(connection: Connection, token: str, since: float) -> int:
    """Base units that were co-signed from ``since`` on and may have left the treasury."""
    query = select(func.coalesce(func.sum(claims.c.amount), 0)).where(
        claims.c.token == token,
        claims.c.signed_at >= since,
        claims.c.state.in_(("signed", "confirmed", "finalized")),
    )
    return int(connection.execute(query).scalar_one())


def trip(connection: Connection, token: str, reason: str, at: float) -> None:
    """Stop payouts; nothing happens where they are stopped already."""
    if open_trip(connection, token) is None:
        connection.execute(insert(breaker).values(token=token, tripped_at=at, reason=reason))


def fits(connection: Connection, token: str, amount: int, at: float, caps: Caps) -> bool:
    """Whether ``amount`` more may be co-signed. Until the commit nobody else co-signs."""
    _alone(connection)
    if open_trip(connection, token) is not None:
        return False
    return _over(connection, token, amount, at, caps) is None


def trip_if_over(connection: Connection, token: str, amount: int, at: float, caps: Caps) -> bool:
    """Whether ``amount`` must not be co-signed; trips the breaker if it is the first."""
    _alone(connection)
    if open_trip(connection, token) is not None:
        return True
    reason = _over(connection, token, amount, at, caps)
    if reason is not None:
        trip(connection, token, reason, at)
    return reason is not None


def _alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        fetch(connection, _LOCK)


def reset(connection: Connection, token: str, note: str, at: float) -> bool:
    """A person lets payouts go on, and the caps count from now; False if nothing was stopped."""
    done = connection.execute(
        update(breaker)
        .where(breaker.c.token == token, breaker.c.reset_at.is_(None))
        .values(reset_at=at, note=note)
    )
    return done.rowcount == 1


def _over(connection: Connection, token: str, amount: int, at: float, caps: Caps) -> str | None:
    if not (caps.hour or caps.day):
        return None
    last = select(func.max(breaker.c.reset_at)).where(breaker.c.token == token)
    answered_for = connection.execute(last).scalar() or 0.0
    for cap, window, words in ((caps.hour, HOUR_S, "an hour"), (caps.day, DAY_S, "a day")):
        if not cap:
            continue
        total = paid_since(connection, token, max(at - window, answered_for)) + amount
        if total > cap:
            return (
                f"A claim of {amount:,} would make it {total:,} base units of {token} within "
                f"{words}; the cap is {cap:,}."
            )
    return None


_SELECT = select(breaker.c.tripped_at, breaker.c.reason, breaker.c.reset_at, breaker.c.note)
