"""The postings behind figures that belong to no single wallet: a grid's totals, a job's price.

A page looks at a bounded stretch of transfers, newest first, and continues where it ended; so a
page may be short, or empty, and still have a next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, bindparam, text

from .record import Record
from .statements import KINDS

#: settled: what nodes earned, less what checks took of it. paid: what of it went on chain.
#: refunded: jobs that failed.
Total = Literal["settled", "paid", "refunded"]
TOTALS: tuple[str, ...] = get_args(Total)

#: Transfers that one page looks at: some milliseconds, however rare what it looks for is.
WINDOW = 5_000
#: A release is of many jobs at once, and only named after one of them.
_OF_ONE = tuple(kind for kind in KINDS if kind != "release")
#: Postings of one job, over all its transfers: each has a handful.
MOST = 200
_NEWEST = 2**62


class Posting(Record, frozen=True, kw_only=True):
    """One side of a transfer. ``account`` is the ledger's own name: see ``public_account``."""

    transfer: int
    at: float
    kind: str
    ref: str
    account: str
    amount: int
    #: Of the claim that a payment was for, and its transaction.
    wallet: str | None = None
    signature: str | None = None


_RECENT = (
    "(SELECT id, at, kind, ref FROM transfers WHERE id < :before AND token = :token"
    " ORDER BY id DESC LIMIT :window)"
)
_CHAIN = (
    "(SELECT transfer_id AS id, amount FROM postings"
    " WHERE account = 'system:chain' AND transfer_id < :before"
    " ORDER BY transfer_id DESC LIMIT :window)"
)
#: Transfers first, and as many as a page shows: a database that guesses wrong how many postings
#: match would read all of them instead.
_TRANSFERS = {
    "settled": text(
        f"SELECT t.id, t.at, t.kind, t.ref FROM {_RECENT} AS t"  # noqa: S608 ours
        " WHERE t.kind IN ('settle', 'void', 'fine', 'forfeit', 'restore', 'reinstate')"
        " ORDER BY t.id DESC LIMIT :limit"
    ),
    "refunded": text(
        f"SELECT t.id, t.at, t.kind, t.ref FROM {_RECENT} AS t"  # noqa: S608
        " JOIN jobs j ON j.id = t.ref AND j.state = 'failed'"
        " WHERE t.kind = 'refund' ORDER BY t.id DESC LIMIT :limit"
    ),
    # A refund of a user's credit is paid on chain too, and was never earned.
    "paid": text(
        "SELECT t.id, t.at, t.kind, t.ref, p.amount, c.wallet"  # noqa: S608
        f" FROM {_CHAIN} AS p JOIN transfers t ON t.id = p.id AND t.token = :token"
        " JOIN claims c ON c.id = t.ref AND c.owner IS NULL"
        " WHERE t.kind IN ('pay', 'recover') ORDER BY t.id DESC LIMIT :limit"
    ),
}
_SIDES = text(
    "SELECT transfer_id, account, amount FROM postings WHERE transfer_id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_ENDS = {
    name: text(f"SELECT min(id), count(*) FROM {source} AS stretch")  # noqa: S608
    for name, source in (("settled", _RECENT), ("refunded", _RECENT), ("paid", _CHAIN))
}
_OF_JOB = text(
    "SELECT t.id AS transfer, t.at, t.kind, t.ref, p.account, p.amount FROM transfers t"
    " JOIN postings p ON p.transfer_id = t.id"
    " WHERE t.kind IN :kinds AND t.ref = :ref AND t.token = :token"
    " ORDER BY t.id DESC, p.amount DESC, p.account LIMIT :limit"
).bindparams(bindparam("kinds", expanding=True))
_SIGNATURES = text(
    "SELECT claim_id, txid FROM claim_attempts WHERE claim_id IN :claims AND txid IS NOT NULL"
    " AND state = 'finalized'"
).bindparams(bindparam("claims", expanding=True))


def behind(
    connection: Connection, total: Total, token: str, limit: int, before: int | None = None
) -> tuple[list[Posting], int | None]:
    """At most ``limit`` postings, newest first, and the ``before`` of the next page, if any."""
    window = {"token": token, "before": before or _NEWEST, "window": WINDOW}
    rows = connection.execute(_TRANSFERS[total], {**window, "limit": limit + 1}).all()
    found = _paid(connection, rows[:limit]) if total == "paid" else _sides(connection, rows[:limit])
    if len(rows) > limit:
        return found, int(rows[limit - 1].id)
    oldest, looked_at = connection.execute(_ENDS[total], window).one()
    return found, int(oldest) if looked_at == WINDOW else None


def _sides(connection: Connection, rows: Sequence[Row[Any]]) -> list[Posting]:
    """Of each transfer the side that the total is made of: a node's, or what a user got back."""
    if not rows:
        return []
    sides: dict[int, list[tuple[str, int]]] = {}
    for row in connection.execute(_SIDES, {"ids": [row.id for row in rows]}):
        sides.setdefault(row.transfer_id, []).append((row.account, row.amount))
    return [
        _posting(row, account, amount)
        for row in rows
        for account, amount in sides.get(row.id, ())
        if (amount > 0 if row.kind == "refund" else account.startswith("node:"))
    ]


def _posting(row: Row[Any], account: str, amount: int, **rest: str | None) -> Posting:
    return Posting(
        transfer=row.id, at=row.at, kind=row.kind, ref=row.ref, account=account, amount=amount,
        **rest,
    )  # fmt: skip


def _paid(connection: Connection, rows: Sequence[Row[Any]]) -> list[Posting]:
    if not rows:
        return []
    told = connection.execute(_SIGNATURES, {"claims": sorted({row.ref for row in rows})})
    signatures = {row.claim_id: row.txid for row in told}
    return [
        _posting(
            row, "system:chain", row.amount, wallet=row.wallet, signature=signatures.get(row.ref)
        )
        for row in rows
    ]


def of_job(connection: Connection, job: str, token: str) -> list[Posting]:
    """Both sides of everything that moved for one job, newest first."""
    values = {"kinds": _OF_ONE, "ref": job, "token": token, "limit": MOST}
    return [Posting(**row._mapping) for row in connection.execute(_OF_JOB, values)]


def public_account(account: str) -> tuple[str, str | None]:
    """An account's name for anybody, and the wallet that it is of.

    Whose a user's account is stays between the user and the grid: jobs of one key would else
    be known to be of one person.
    """
    kind, _, rest = account.partition(":")
    if kind == "node":
        wallet, _, name = rest.rpartition(":")
        return name, wallet
    if kind == "user":
        return {"hold": "held"}.get(name := rest.rpartition(":")[2], name), None
    name, _, owner = rest.partition(":")
    return name, owner if name == "overpaid" else None
