"""Figures of the whole grid. They read long ranges of indexes: ask at start, then count on."""

from __future__ import annotations

from sqlalchemy import Connection, text

from .records import Minute, Totals

MINUTES = 60

_STATES = text("SELECT state, count(*) FROM jobs WHERE finished_at IS NOT NULL GROUP BY state")
# What was paid too early (negative) was paid before it is earned.
_EARNED = text(
    "SELECT token, sum(amount) FROM balances WHERE substr(account, 1, 5) = 'node:'"
    " OR substr(account, 1, 16) = 'system:overpaid:' GROUP BY token"
)
_PAID = text(
    "SELECT c.token, sum(c.amount), sum(coalesce(c.push_fee, 0)) FROM claims c"
    " JOIN transfers t ON t.kind IN ('pay', 'recover') AND t.ref = c.id"
    " WHERE c.owner IS NULL GROUP BY c.token"
)
_COUNT = text(
    "SELECT count(*) FROM jobs"
    " WHERE finished_at >= :start AND finished_at < :end AND state = 'done'"
)
_LATENCY = text(
    "SELECT finished_at - submitted_at AS latency FROM jobs"
    " WHERE finished_at >= :start AND finished_at < :end AND state = 'done'"
    " ORDER BY latency LIMIT 1 OFFSET :middle"
)


def totals(connection: Connection) -> Totals:
    """Jobs ended and money earned since the beginning."""
    states = {state: int(count) for state, count in connection.execute(_STATES)}
    paid = {token: int(amount) - int(kept) for token, amount, kept in connection.execute(_PAID)}
    return Totals(
        done=states.get("done", 0),
        failed=states.get("failed", 0),
        cancelled=states.get("cancelled", 0),
        settled=earned(connection),
        paid=paid,
    )


def earned(connection: Connection) -> dict[str, int]:
    """By token, what nodes earned since the beginning, less what checks took of it."""
    found = {token: int(amount) for token, amount in connection.execute(_EARNED)}
    for token, amount, _ in connection.execute(_PAID):
        found[token] = found.get(token, 0) + int(amount)
    return found


def hour_series(connection: Connection, now: float) -> list[Minute]:
    """The last hour by the minute, oldest first; the last entry is the current minute."""
    current = now // 60 * 60
    return [_minute(connection, current - 60 * back) for back in range(MINUTES - 1, -1, -1)]


def _minute(connection: Connection, start: float) -> Minute:
    window = {"start": start, "end": start + 60}
    done = connection.execute(_COUNT, window).scalar_one()
    if not done:
        return Minute(at=start, done=0, p50_ms=None)
    latency = connection.execute(_LATENCY, {**window, "middle": (done - 1) // 2}).scalar_one()
    return Minute(at=start, done=done, p50_ms=1000 * latency)
