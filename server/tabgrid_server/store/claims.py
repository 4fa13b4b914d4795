"""Claims and their transactions. Every change of state books its money in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, select, update

from .. import ledger
from ..chain.claims import OVER, PUSH_WITHIN_S, SIGN_WITHIN_S, TRANSITIONS, Claim, State
from ..ledger import Transfer
from . import breaker, deposits
from . import ledger as stored_ledger
from .breaker import Caps
from .errors import Conflict
from .record import Record
from .tables import claim_attempts, claims

#: A claim has one attempt: its blockhash is the only one ever co-signed for it. The table
#: has room for more, each only after the one before can no longer happen.
ATTEMPT = 1
OPEN: tuple[State, ...] = tuple(state for state in TRANSITIONS if state not in OVER)

#: Of ``claims``; when a mark was given back is nothing that a claim knows.
_OWN = [column for column in claims.columns if column.name != "unmarked_at"]
SELECT = select(
    *_OWN,
    claim_attempts.c.message,
    claim_attempts.c.blockhash,
    claim_attempts.c.last_valid_height,
    claim_attempts.c.txid,
    claim_attempts.c.signed,
).join(
    claim_attempts,
    and_(claim_attempts.c.claim_id == claims.c.id, claim_attempts.c.n == ATTEMPT),
)


# Built once: a claim runs each of these two or three times, and building one costs as much.
_INSERT_CLAIM, _INSERT_ATTEMPT = insert(claims), insert(claim_attempts)
_MINE = (claims.c.wallet == bindparam("of"), claims.c.token == bindparam("in"))
_LAST_PAID = select(func.max(claims.c.seq)).where(*_MINE, claims.c.state == "finalized")
_LIVE = SELECT.where(*_MINE, claims.c.state.in_(OPEN)).limit(1)
_MOVE = (
    update(claims)
    .where(claims.c.id == bindparam("of"), claims.c.state == bindparam("before"))
    .values({name: bindparam(name) for name in ("state", "error", "updated_at", "signed_at")})
)
_MOVE_ATTEMPT = (
    update(claim_attempts)
    .where(claim_attempts.c.claim_id == bindparam("of"), claim_attempts.c.n == ATTEMPT)
    .values({name: bindparam(name) for name in ("state", "txid", "signed")})
)


_FIELDS = [column.name for column in SELECT.selected_columns]


class Position(Record, frozen=True, kw_only=True):
    """Where a wallet stands before it is paid.

    ``claimable``: of its earnings; for a refund, of the user's unused credit. ``overpaid``:
    base units that it was paid beyond what these books know of. ``seq``: the number of its
    next payment. ``live``: its claim that is not over.
    """

    claimable: int
    overpaid: int
    seq: int
    live: Claim | None


class Mark(Record, frozen=True, kw_only=True):
    """A payment's mark on chain, whose rent is not back yet."""

    claim: str
    wallet: str
    seq: int
    marker: str
    #: The grid paid the rent, and not the wallet.
    pushed: bool


def position(connection: Connection, wallet: str, token: str, owner: str | None = None) -> Position:
    """``owner``: of the credit that a refund to ``wallet`` would give back."""
    mine = {"of": wallet, "in": token}
    last = connection.execute(_LAST_PAID, mine).scalar()
    row = connection.execute(_LIVE, mine).first()
    return Position(
        claimable=_payable(connection, wallet, token, owner),
        overpaid=-stored_ledger.balance(connection, ledger.overpaid_of(wallet), token),
        seq=0 if last is None else last + 1,
        live=None if row is None else _claim(row),
    )


def _payable(connection: Connection, wallet: str, token: str, owner: str | None) -> int:
    if owner is None:
        return stored_ledger.balance(connection, ledger.claimable_of(wallet), token)
    return deposits.share_of(connection, owner, wallet, token)


def offset(
    connection: Connection,
    wallet: str,
    token: str,
    ref: str,
    at: float,
    owner: str | None = None,
) -> None:
    """Take what ``wallet`` was paid too early from what it would be paid now."""
    stands = position(connection, wallet, token, owner)
    amount = min(stands.claimable, stands.overpaid)
    if amount:
        stored_ledger.post(connection, ledger.offset(ref, wallet, amount, token, at, owner))


def reserve(connection: Connection, claim: Claim) -> None:
    """Keep a new claim and put its money into it.

    Raises ``InsufficientFunds``, and ``Conflict`` if more is claimable than ``claim`` takes:
    then a new one must be made, so that a claim is always for all, and each job in one claim.
    ``Conflict`` too where the wallet has another claim under way, or paid with this number.
    """
    wallet, token, owner = claim.wallet, claim.token, claim.owner
    if owner is not None and deposits.share_of(connection, owner, wallet, token) < claim.amount:
        raise Conflict("Less can go back than a moment ago.")
    stored_ledger.post(connection, reservation(claim))
    if owner is None and _payable(connection, wallet, token, None):
        raise Conflict("More has become claimable meanwhile.")
    connection.execute(_INSERT_CLAIM, claim_row(claim))
    connection.execute(_INSERT_ATTEMPT, attempt_row(claim))
    if owner is None:
        stored_ledger.mark_claimed(connection, wallet, token, claim.id)


def reservation(claim: Claim) -> Transfer:
    """What puts the money of a new claim into it."""
    return ledger.reserve(
        claim.id, claim.wallet, claim.amount, claim.token, claim.created_at, claim.owner
    )


def cosign(connection: Connection, claim: Claim, caps: Caps) -> Literal["moved", "lost", "tripped"]:
    """``advance`` to signed, unless payouts are stopped or this one would exceed a cap: then
    the breaker is tripped, in this very commit, and nothing else is kept."""
    assert claim.signed_at is not None
    if breaker.trip_if_over(connection, claim.token, claim.amount, claim.signed_at, caps):
        return "tripped"
    return "moved" if advance(connection, claim, "reserved") else "lost"


def push(
    connection: Connection, batch: Sequence[Claim], caps: Caps
) -> Literal["moved", "lost", "tripped"]:
    """``cosign`` for payouts that share one transaction: all of them or none.

    "lost" if one of them is no longer reserved: somebody else was faster.
    """
    first = batch[0]
    assert first.signed_at is not None
    ids = [claim.id for claim in batch]
    query = select(claims.c.id).where(claims.c.id.in_(ids), claims.c.state == "reserved")
    if len(connection.execute(query.order_by(claims.c.id).with_for_update()).all()) != len(ids):
        return "lost"
    total = sum(claim.amount for claim in batch)
    if breaker.trip_if_over(connection, first.token, total, first.signed_at, caps):
        return "tripped"
    for claim in batch:
        advance(connection, claim, "reserved")
        connection.execute(
            update(claim_attempts)
            .where(claim_attempts.c.claim_id == claim.id, claim_attempts.c.n == ATTEMPT)
            .values(
                message=claim.message,
                blockhash=claim.blockhash,
                last_valid_height=claim.last_valid_height,
            )
        )
    return "moved"


def recover(connection: Connection, claim: Claim) -> bool:
    """Book a payment that is final on chain and that these books do not have as paid.

    ``claim`` is finalized, its amount what was sent: a fee for pushing it is known only from
    a row that is there. False, and nothing is kept, if it is known as paid, or open (then
    following it will book it).
    """
    query = select(claims.c.state, claims.c.owner, claims.c.push_fee)
    query = query.where(claims.c.id == claim.id)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is not None and (row.state == "finalized" or row.state in OPEN):
        return False
    if row is None:
        connection.execute(insert(claims).values(claim_row(claim)))
        attempt = attempt_row(claim) | {"txid": claim.txid, "signed": claim.signed}
        connection.execute(insert(claim_attempts).values(attempt))
    else:
        _correct(connection, claim)
    wallet, token, at = claim.wallet, claim.token, claim.updated_at
    owner, fee = (None, 0) if row is None else (row.owner, row.push_fee or 0)
    amount = claim.sent + fee
    available = stored_ledger.balance(connection, ledger.source_of(wallet, owner), token)
    transfer = ledger.recover(claim.id, wallet, amount, available, token, at, owner, fee)
    stored_ledger.post(connection, transfer)
    if owner is None and amount >= available:
        stored_ledger.mark_claimed(connection, wallet, token, claim.id)
    return True


def _correct(connection: Connection, claim: Claim) -> None:
    """A claim that was taken for lost was paid."""
    connection.execute(
        update(claims)
        .where(claims.c.id == claim.id)
        .values(
            state=claim.state,
            error=None,
            updated_at=claim.updated_at,
            seq=claim.seq,
            marker=claim.marker,
            signed_at=claim.signed_at,
        )
    )
    connection.execute(
        update(claim_attempts)
        .where(claim_attempts.c.claim_id == claim.id, claim_attempts.c.n == ATTEMPT)
        .values(state=claim.state, txid=claim.txid, signed=claim.signed)
    )


def outstanding(connection: Connection, token: str) -> int:
    """Base units of claims that may still be taken from the treasury."""
    query = select(func.coalesce(func.sum(claims.c.amount), 0)).where(
        claims.c.token == token, claims.c.state.in_(("reserved", "signed"))
    )
    return int(connection.execute(query).scalar_one())


def standing(connection: Connection, token: str) -> tuple[bool, int]:
    """Whether payouts are stopped, and what is ``outstanding`` if they are not."""
    tripped = breaker.open_trip(connection, token) is not None
    return tripped, 0 if tripped else outstanding(connection, token)


def marks(connection: Connection, before: float, limit: int) -> list[Mark]:
    """Marks of payments that were final at ``before``, oldest first."""
    query = (
        select(claims.c.id, claims.c.wallet, claims.c.seq, claims.c.marker, claims.c.push_fee)
        .where(
            claims.c.marker.is_not(None),
            claims.c.state == "finalized",
            claims.c.unmarked_at.is_(None),
            claims.c.updated_at <= before,
        )
        .order_by(claims.c.updated_at)
        .limit(limit)
    )
    return [
        Mark(claim=id, wallet=wallet, seq=seq, marker=marker, pushed=fee is not None)
        for id, wallet, seq, marker, fee in connection.execute(query)
    ]


def unmark(connection: Connection, ids: Sequence[str], at: float) -> None:
    """The marks of these claims are gone from the chain."""
    connection.execute(update(claims).where(claims.c.id.in_(ids)).values(unmarked_at=at))


def advance(connection: Connection, claim: Claim, before: State) -> bool:
    """Keep what ``claim`` has become since it was in state ``before``, and move its money.

    False, and nothing is kept, if it is no longer in that state: someone else was faster.
    """
    moved = connection.execute(
        _MOVE,
        {
            "of": claim.id,
            "before": before,
            "state": claim.state,
            "error": claim.error,
            "updated_at": claim.updated_at,
            "signed_at": claim.signed_at,
        },
    )
    if moved.rowcount != 1:
        return False
    attempt = {"of": claim.id, "state": claim.state, "txid": claim.txid, "signed": claim.signed}
    connection.execute(_MOVE_ATTEMPT, attempt)
    if claim.over:
        _book(connection, claim)
    return True


def get(connection: Connection, claim_id: str) -> Claim | None:
    row = connection.execute(SELECT.where(claims.c.id == claim_id)).one_or_none()
    return None if row is None else _claim(row)


def by_transaction(connection: Connection, txid: str) -> list[Claim]:
    """The claims that a transaction of ours paid; none for anybody else's."""
    query = SELECT.where(claim_attempts.c.txid == txid).order_by(claims.c.created_at, claims.c.id)
    return read(connection.execute(query))


def open_claims(connection: Connection) -> list[Claim]:
    """All that are not over, oldest first: what a start resumes."""
    query = SELECT.where(claims.c.state.in_(OPEN)).order_by(claims.c.created_at, claims.c.id)
    return read(connection.execute(query))


def open_ids(connection: Connection, before: float) -> list[str]:
    """Of claims that are not over and have not changed since ``before``."""
    query = select(claims.c.id).where(claims.c.state.in_(OPEN), claims.c.updated_at <= before)
    return list(connection.execute(query).scalars())


def of_owner(connection: Connection, owner: str, limit: int = 100) -> list[Claim]:
    """Refunds of this user's credit, newest first."""
    query = (
        SELECT.where(claims.c.owner == owner)
        .order_by(claims.c.created_at.desc(), claims.c.id.desc())
        .limit(limit)
    )
    return read(connection.execute(query))


def of_wallet(connection: Connection, wallet: str, limit: int = 100) -> list[Claim]:
    """Of what it earned, newest first."""
    query = (
        SELECT.where(claims.c.wallet == wallet, claims.c.owner.is_(None))
        .order_by(claims.c.created_at.desc(), claims.c.id.desc())
        .limit(limit)
    )
    return read(connection.execute(query))


def _book(connection: Connection, claim: Claim) -> None:
    stored_ledger.post(connection, ending(claim))
    if claim.state != "finalized":
        stored_ledger.unmark_claimed(connection, claim.id)


def ending(claim: Claim) -> Transfer:
    """What moves the money of a claim that is over."""
    facts = (claim.id, claim.wallet, claim.amount, claim.token, claim.updated_at, claim.owner)
    if claim.state == "finalized":
        return ledger.pay(*facts, fee=claim.push_fee or 0)
    return ledger.give_back(*facts)


def read(rows: Iterable[Row[Any]]) -> list[Claim]:
    return [_claim(row) for row in rows]


def _claim(row: Row[Any]) -> Claim:
    fields = dict(zip(_FIELDS, row, strict=True))  # a start reads very many
    within = SIGN_WITHIN_S if fields["push_fee"] is None else PUSH_WITHIN_S
    return Claim(**fields, expires_at=fields["created_at"] + within)


def claim_row(claim: Claim) -> dict[str, Any]:
    return {column.name: getattr(claim, column.name) for column in _OWN}


def attempt_row(claim: Claim) -> dict[str, Any]:
    return {
        "claim_id": claim.id,
        "n": ATTEMPT,
        "message": claim.message,
        "blockhash": claim.blockhash,
        "last_valid_height": claim.last_valid_height,
        "state": claim.state,
        "created_at": claim.created_at,
    }
