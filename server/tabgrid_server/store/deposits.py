"""Deposits: what users mean to pay in, what came, and whose it is. Booked in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from .. import ledger
from ..chain.deposits import Deposit, Request, Seen, Share, State, Till, meaning, refundable
from . import ledger as stored_ledger
from .errors import Conflict, NotFound
from .record import Record
from .tables import claim_attempts, claims, deposit_requests, deposits, watched

#: States of a refund whose money is, or may come to be, on chain.
_NOT_BACK = ("reserved", "signed", "confirmed", "finalized")


class Booked(Record, frozen=True, kw_only=True):
    """A row of ``deposits``. ``at``: its block's time."""

    txid: str
    token: str
    amount: int
    state: State
    owner: str | None
    request: str | None
    payer: str | None
    refund_to: str | None
    slot: int
    at: float
    booked_at: float


class Cursor(Record, frozen=True, kw_only=True):
    """The last transaction of an account up to which all were looked at."""

    txid: str
    slot: int


# --- what users mean to pay ------------------------------------------------------------------


def ask(connection: Connection, request: Request) -> None:
    connection.execute(insert(deposit_requests).values(_row(request)))


def request(connection: Connection, id: str) -> Request | None:
    row = connection.execute(_REQUEST.where(deposit_requests.c.id == id)).one_or_none()
    return None if row is None else Request(**row._mapping)


def requests_of(connection: Connection, owner: str, token: str, limit: int) -> list[Request]:
    """Newest first."""
    mine = (deposit_requests.c.owner == owner, deposit_requests.c.token == token)
    newest = deposit_requests.c.created_at.desc()
    return _requests(connection.execute(_REQUEST.where(*mine).order_by(newest).limit(limit)))


def unpaid(connection: Connection, token: str, since: float, limit: int) -> list[Request]:
    """Of the newest ``limit`` requests those after ``since`` for which nothing has come."""
    ours = deposit_requests.c.token == token
    newest = _REQUEST.where(ours).order_by(deposit_requests.c.created_at.desc()).limit(limit)
    # Compared here since SQLite gave no row for it beside LiteSVM (chain/localnet/registers.py).
    found = [each for each in _requests(connection.execute(newest)) if each.created_at > since]
    paid = {each.request for each in of_requests(connection, [each.id for each in found])}
    return [each for each in found if each.id not in paid]


# --- what came -------------------------------------------------------------------------------


def accept(
    connection: Connection, seen: Seen, till: Till, token: str, now: float
) -> Deposit | None:
    """Keep and book what a final transaction brought; None if nothing, or if it is booked.

    Raises ``Conflict`` if another process books the same one at this moment.
    """
    known = connection.execute(select(deposits.c.state).where(deposits.c.txid == seen.txid))
    if known.scalar() not in (None, "unread"):
        return None
    query = _REQUEST.where(
        deposit_requests.c.reference.in_(seen.keys), deposit_requests.c.token == token
    ).with_for_update(read=True, key_share=True)  # none is let go until this is booked
    found = meaning(seen, till, _requests(connection.execute(query)))
    if found is None:
        return None
    _keep(connection, seen, found, token, now)
    if found.state != "refill":
        owner = found.request.owner if found.request else None
        stored_ledger.post(connection, ledger.deposit(seen.txid, owner, found.amount, token, now))
    return found


def put_aside(connection: Connection, txid: str, slot: int, token: str, now: float) -> None:
    """Note a transaction of which the RPC could not tell what it did, for a person to see."""
    known = connection.execute(select(deposits.c.state).where(deposits.c.txid == txid))
    if known.scalar() is None:
        row = {"txid": txid, "token": token, "amount": 0, "state": "unread", "slot": slot}
        connection.execute(insert(deposits).values(row | {"at": now, "booked_at": now}))


def assign(connection: Connection, txid: str, owner: str, now: float) -> Booked:
    """Credit a deposit of nobody's to ``owner``.

    Raises ``NotFound`` if there is no such deposit, ``Conflict`` if it is somebody's.
    """
    row = connection.execute(
        select(deposits).where(deposits.c.txid == txid).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound(f"No deposit came in transaction {txid}.")
    if row.state != "unassigned":
        raise Conflict(f"The money of transaction {txid} is {row.state}, not unassigned.")
    stored_ledger.post(connection, ledger.assign(txid, owner, row.amount, row.token, now))
    changed = {"state": "credited", "owner": owner, "refund_to": row.payer}
    connection.execute(update(deposits).where(deposits.c.txid == txid).values(changed))
    return Booked(**{**row._mapping, **changed})


def of_owner(connection: Connection, owner: str, token: str, limit: int) -> list[Booked]:
    """Newest first."""
    mine = (deposits.c.owner == owner, deposits.c.token == token)
    query = select(deposits).where(*mine).order_by(deposits.c.slot.desc(), deposits.c.txid)
    return [Booked(**row._mapping) for row in connection.execute(query.limit(limit))]


def of_requests(connection: Connection, ids: Iterable[str]) -> list[Booked]:
    """What came for these, oldest first."""
    query = select(deposits).where(deposits.c.request.in_(list(ids))).order_by(deposits.c.slot)
    return [Booked(**row._mapping) for row in connection.execute(query)]


def of_nobody(connection: Connection, token: str, limit: int) -> list[Booked]:
    """What no user has been credited with, newest first."""
    query = (
        select(deposits)
        .where(deposits.c.owner.is_(None), deposits.c.token == token)
        .order_by(deposits.c.slot.desc(), deposits.c.txid)
    )
    return [Booked(**row._mapping) for row in connection.execute(query.limit(limit))]


# --- what was looked at ----------------------------------------------------------------------


def cursor(connection: Connection, account: str) -> Cursor | None:
    row = connection.execute(
        select(watched.c.txid, watched.c.slot).where(watched.c.account == account)
    ).one_or_none()
    return None if row is None else Cursor(txid=row.txid, slot=row.slot)


def advance(connection: Connection, account: str, to: Cursor) -> None:
    """All transactions of ``account`` up to this one were looked at. Never goes back."""
    here = watched.c.account == account
    known = connection.execute(select(watched.c.slot).where(here).with_for_update()).scalar()
    values = {"txid": to.txid, "slot": to.slot}
    if known is None:
        connection.execute(insert(watched).values(account=account, **values))
    elif to.slot >= known:
        connection.execute(update(watched).where(here).values(**values))


def settled(connection: Connection, txids: Sequence[str]) -> set[str]:
    """Those that need no look: booked as deposits before, or payments of our own."""
    booked = select(deposits.c.txid).where(deposits.c.txid.in_(txids), deposits.c.state != "unread")
    ours = select(claim_attempts.c.txid).where(claim_attempts.c.txid.in_(txids))
    return {txid for query in (booked, ours) for (txid,) in connection.execute(query)}


# --- what can go back ------------------------------------------------------------------------


def shares(connection: Connection, owner: str, token: str) -> tuple[Share, ...]:
    """Which wallets can have how much of ``owner``'s unused credit back."""
    paid = connection.execute(
        select(deposits.c.refund_to, deposits.c.amount)
        .where(
            deposits.c.owner == owner,
            deposits.c.token == token,
            deposits.c.refund_to.is_not(None),
        )
        .order_by(deposits.c.slot, deposits.c.txid)
    )
    back = connection.execute(
        select(claims.c.wallet, func.sum(claims.c.amount))
        .where(claims.c.owner == owner, claims.c.token == token, claims.c.state.in_(_NOT_BACK))
        .group_by(claims.c.wallet)
    )
    unused = stored_ledger.balance(connection, ledger.credit_of(owner), token)
    refunded = {wallet: int(amount) for wallet, amount in back}
    return refundable([Share(wallet, amount) for wallet, amount in paid], refunded, unused)


def share_of(connection: Connection, owner: str, wallet: str, token: str) -> int:
    """Base units of ``owner``'s unused credit that can go back to ``wallet``."""
    found = (each.amount for each in shares(connection, owner, token) if each.wallet == wallet)
    return next(found, 0)


_REQUEST = select(*(deposit_requests.c[name] for name in Request.__struct_fields__))


def _requests(rows: Iterable[Row[Any]]) -> list[Request]:
    return [Request(**row._mapping) for row in rows]


def _row(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__struct_fields__}


def _keep(connection: Connection, seen: Seen, found: Deposit, token: str, now: float) -> None:
    credited = found.request if found.state == "credited" else None
    connection.execute(delete(deposits).where(deposits.c.txid == seen.txid))  # if "unread"
    connection.execute(
        insert(deposits).values(
            txid=seen.txid,
            token=token,
            amount=found.amount,
            state=found.state,
            owner=credited.owner if credited else None,
            request=credited.id if credited else None,
            payer=found.payer,
            refund_to=found.refund_to if credited else None,
            slot=seen.slot,
            at=now if seen.at is None else seen.at,
            booked_at=now,
        )
    )
