"""Claims that move at the same time, in a few statements for all of them.

Each does what its namesake in ``claims`` does where that is the ordinary case. Whatever else may
be (a claim that somebody else moved, more money than a moment ago, a cap that all of them would
exceed, a claim that goes back) is left to the namesake, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Table, text

from .. import ledger
from ..chain.claims import Claim, State
from ..ledger import Transfer
from . import breaker, claims
from . import ledger as stored_ledger
from .breaker import Caps
from .bulk import Bulk, Lookup, Row
from .claims import Position
from .ledger import Booking
from .tables import claim_attempts
from .tables import claims as table
from .together import LEFT, Left, Together

_INSERT_CLAIMS, _INSERT_ATTEMPTS = Bulk(table.insert()), Bulk(claim_attempts.insert())
_CARRY = Bulk(
    text(
        "UPDATE earnings SET claim = :c"
        " WHERE wallet = :w AND token = :t AND released AND claim IS NULL"
    )
)
_STATES = Lookup(
    sqlite="SELECT id, state FROM claims WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
    postgresql="SELECT id, state FROM claims WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE",
)
_MOVE = Bulk(
    text("UPDATE claims SET state = :s, error = :e, updated_at = :u, signed_at = :g WHERE id = :i")
)
_MOVE_ATTEMPT = Bulk(
    text(
        "UPDATE claim_attempts SET state = :s, txid = :x, signed = :b"
        " WHERE claim_id = :i AND n = :n"
    )
)
_LAST_PAID = Lookup(
    sqlite="SELECT wallet, token, max(seq) FROM claims WHERE state = 'finalized'"
    " AND wallet IN (SELECT value FROM json_each(?)) GROUP BY wallet, token ORDER BY 1, 2",
    postgresql="SELECT wallet, token, max(seq) FROM claims WHERE state = 'finalized'"
    " AND wallet = ANY($1::text[]) GROUP BY wallet, token ORDER BY 1, 2",
)


# --- where wallets stand ------------------------------------------------------------------------


def _positions(
    connection: Connection, calls: Sequence[tuple[str, str, str | None]]
) -> list[Position | Left]:
    wallets = [wallet for wallet, _, owner in calls if owner is None]
    last = {(w, t): seq for w, t, seq in _LAST_PAID.run(connection, wallets)}
    query = claims.SELECT.where(table.c.wallet.in_(wallets), table.c.state.in_(claims.OPEN))
    live = {(each.wallet, each.token): each for each in claims.read(connection.execute(query))}
    accounts = [
        account(w) for w in wallets for account in (ledger.claimable_of, ledger.overpaid_of)
    ]
    held = stored_ledger.holdings(connection, accounts)

    def of(wallet: str, token: str) -> Position:
        seq = last.get((wallet, token))
        return Position(
            claimable=held.get((ledger.claimable_of(wallet), token), 0),
            overpaid=-held.get((ledger.overpaid_of(wallet), token), 0),
            seq=0 if seq is None else seq + 1,
            live=live.get((wallet, token)),
        )

    return [LEFT if owner is not None else of(wallet, token) for wallet, token, owner in calls]


# --- reserving ----------------------------------------------------------------------------------


def _reserve(connection: Connection, calls: Sequence[tuple[Claim]]) -> list[Left | None]:
    """A wallet's second claim, or one that has too little, breaks a constraint."""
    booking = Booking(connection, [each for (claim,) in calls for each in _accounts(claim)])
    kept: list[Claim] = []
    told: list[Left | None] = []
    for (claim,) in calls:
        # All of it, and no more: then a job is in one claim.
        claimable = booking.balance(ledger.claimable_of(claim.wallet), claim.token)
        if claim.owner is not None or claimable != claim.amount:
            told.append(LEFT)
            continue
        booking.add(claims.reservation(claim))
        kept.append(claim)
        told.append(None)
    booking.write()
    _INSERT_CLAIMS.run(connection, [_values(table, claims.claim_row(each)) for each in kept])
    attempts = [_values(claim_attempts, claims.attempt_row(each)) for each in kept]
    _INSERT_ATTEMPTS.run(connection, attempts)
    _CARRY.run(connection, [(each.id, each.wallet, each.token) for each in kept])
    return told


def _accounts(claim: Claim) -> tuple[str, str]:
    return ledger.claimable_of(claim.wallet), ledger.in_flight_of(claim.wallet)


def _values(table: Table, row: dict[str, Any]) -> Row:
    return tuple(row.get(column.name) for column in table.columns)


# --- moving -------------------------------------------------------------------------------------


def _cosign(
    connection: Connection, calls: Sequence[tuple[Claim, Caps]]
) -> Sequence[Literal["moved"] | Left]:
    """Where all of them fit under the caps, each of them does, whoever comes first."""
    (first, caps), drafts = calls[0], [claim for claim, _ in calls]
    alike = all(each.token == first.token and their == caps for each, their in calls)
    total = sum(claim.amount for claim in drafts)
    since = min(claim.signed_at or 0.0 for claim in drafts)
    if not alike or not breaker.fits(connection, first.token, total, since, caps):
        return [LEFT] * len(calls)
    moved = _advance(connection, [(claim, "reserved") for claim in drafts])
    return [LEFT if each is LEFT else "moved" for each in moved]


def _advance(
    connection: Connection, calls: Sequence[tuple[Claim, State]]
) -> Sequence[Literal[True] | Left]:
    states: dict[str, State] = dict(_STATES.run(connection, [claim.id for claim, _ in calls]))
    moving: list[Claim] = []
    told: list[Literal[True] | Left] = []
    for claim, before in calls:
        goes_back = claim.over and claim.state != "finalized"
        if goes_back or states.pop(claim.id, None) != before:  # popped: each moves once
            told.append(LEFT)
            continue
        moving.append(claim)
        told.append(True)
    _MOVE.run(connection, [(c.state, c.error, c.updated_at, c.signed_at, c.id) for c in moving])
    _MOVE_ATTEMPT.run(
        connection, [(c.state, c.txid, c.signed, c.id, claims.ATTEMPT) for c in moving]
    )
    _pay(connection, [claims.ending(claim) for claim in moving if claim.over])
    return told


def _pay(connection: Connection, transfers: Sequence[Transfer]) -> None:
    if transfers:
        accounts = [account for each in transfers for account, _ in each.postings]
        booking = Booking(connection, accounts)
        for each in transfers:
            booking.add(each)
        booking.write()


position = Together(claims.position, _positions)
reserve = Together(claims.reserve, _reserve)
cosign = Together(claims.cosign, _cosign)
advance = Together(claims.advance, _advance)
