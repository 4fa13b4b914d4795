"""Claims and their transactions. Every change of state books its money in the same commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from .. import ledger
from ..chain.claims import OVER, SIGN_WITHIN_S, TRANSITIONS, Claim, State
from . import ledger as stored_ledger
from .errors import Conflict
from .tables import claim_attempts, claims

#: A claim has one attempt: its blockhash is the only one ever co-signed for it. The table
#: has room for more, each only after the one before can no longer happen.
ATTEMPT = 1
OPEN: tuple[State, ...] = tuple(state for state in TRANSITIONS if state not in OVER)

_SELECT = select(
    claims,
    claim_attempts.c.message,
    claim_attempts.c.blockhash,
    claim_attempts.c.last_valid_height,
    claim_attempts.c.txid,
    claim_attempts.c.signed,
).join(
    claim_attempts,
    and_(claim_attempts.c.claim_id == claims.c.id, claim_attempts.c.n == ATTEMPT),
)


def reserve(connection: Connection, claim: Claim) -> None:
    """Keep a new claim and put its money into it.

    Raises ``InsufficientFunds``, and ``Conflict`` if more is claimable than ``claim`` takes:
    then a new one must be made, so that a claim is always for all, and each job in one claim.
    """
    wallet, token = claim.wallet, claim.token
    transfer = ledger.reserve(claim.id, wallet, claim.amount, token, claim.created_at)
    stored_ledger.post(connection, transfer)
    if stored_ledger.balance(connection, ledger.claimable_of(wallet), token):
        raise Conflict("More has become claimable meanwhile.")
    connection.execute(insert(claims).values(_claim_row(claim)))
    connection.execute(insert(claim_attempts).values(_attempt_row(claim)))
    stored_ledger.mark_claimed(connection, wallet, token, claim.id)


def advance(connection: Connection, claim: Claim, before: State) -> bool:
    """Keep what ``claim`` has become since it was in state ``before``, and move its money.

    False, and nothing is kept, if it is no longer in that state: someone else was faster.
    """
    moved = connection.execute(
        update(claims)
        .where(claims.c.id == claim.id, claims.c.state == before)
        .values(state=claim.state, error=claim.error, updated_at=claim.updated_at)
    )
    if moved.rowcount != 1:
        return False
    connection.execute(
        update(claim_attempts)
        .where(claim_attempts.c.claim_id == claim.id, claim_attempts.c.n == ATTEMPT)
        .values(state=claim.state, txid=claim.txid, signed=claim.signed)
    )
    if claim.over:
        _book(connection, claim)
    return True


def get(connection: Connection, claim_id: str) -> Claim | None:
    row = connection.execute(_SELECT.where(claims.c.id == claim_id)).one_or_none()
    return None if row is None else _claim(row)


def by_transaction(connection: Connection, txid: str) -> Claim | None:
    """The claim that a transaction of ours paid; None for anybody else's."""
    row = connection.execute(_SELECT.where(claim_attempts.c.txid == txid)).one_or_none()
    return None if row is None else _claim(row)


def open_claims(connection: Connection) -> list[Claim]:
    """All that are not over, oldest first: what a start resumes."""
    query = _SELECT.where(claims.c.state.in_(OPEN)).order_by(claims.c.created_at, claims.c.id)
    return _claims(connection.execute(query))


def of_wallet(connection: Connection, wallet: str, limit: int = 100) -> list[Claim]:
    """Newest first."""
    query = (
        _SELECT.where(claims.c.wallet == wallet)
        .order_by(claims.c.created_at.desc(), claims.c.id.desc())
        .limit(limit)
    )
    return _claims(connection.execute(query))


def _book(connection: Connection, claim: Claim) -> None:
    facts = (claim.id, claim.wallet, claim.amount, claim.token, claim.updated_at)
    if claim.state == "finalized":
        stored_ledger.post(connection, ledger.pay(*facts))
        return
    stored_ledger.post(connection, ledger.give_back(*facts))
    stored_ledger.unmark_claimed(connection, claim.id)


def _claims(rows: Iterable[Row[Any]]) -> list[Claim]:
    return [_claim(row) for row in rows]


def _claim(row: Row[Any]) -> Claim:
    return Claim(**row._mapping, expires_at=row.created_at + SIGN_WITHIN_S)


def _claim_row(claim: Claim) -> dict[str, Any]:
    return {column.name: getattr(claim, column.name) for column in claims.columns}


def _attempt_row(claim: Claim) -> dict[str, Any]:
    return {
        "claim_id": claim.id,
        "n": ATTEMPT,
        "message": claim.message,
        "blockhash": claim.blockhash,
        "last_valid_height": claim.last_valid_height,
        "state": claim.state,
        "created_at": claim.created_at,
    }
