"""The postings of one wallet or one key, each with what its account held afterwards.

Pages are made of whole transfers, newest first, and continue at the number of a transfer. What
a page costs follows from its length, not from how much happened before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from .. import ledger
from .ledger import balance
from .record import Record
from .tables import claim_attempts, claims, postings, transfers

#: Transfers that carry money to the chain.
PAYING = ("pay", "recover")
#: Their reference is a claim, which has a transaction once it is signed.
_OF_CLAIMS = ("reserve", "pay", "return", "recover")
#: Named in queries by reference, whose index begins with the kind.
KINDS: tuple[str, ...] = get_args(ledger.Kind)


class Account(Record, frozen=True, kw_only=True):
    """An account as its statement shows it: ``name`` for people, ``of`` in the ledger.

    ``wallet``: many share the account; only what was paid to this wallet counts.
    """

    name: str
    of: str
    wallet: str | None = None


class Line(Record, frozen=True, kw_only=True):
    """One posting. ``balance``: what its account holds after it.

    ``ref`` is the job, claim, key or deposit that the money moved for; ``signature`` the
    transaction on chain, where there is one.
    """

    transfer: int
    at: float
    kind: str
    account: str
    amount: int
    balance: int
    ref: str
    signature: str | None


def accounts_of_wallet(wallet: str) -> tuple[Account, ...]:
    """Their balances add up to what the wallet earned."""
    return (
        Account(name="withheld", of=ledger.withheld_of(wallet)),
        Account(name="claimable", of=ledger.claimable_of(wallet)),
        Account(name="in_flight", of=ledger.in_flight_of(wallet)),
        Account(name="paid", of=ledger.CHAIN, wallet=wallet),
        Account(name="push_fees", of=ledger.PUSH_FEES, wallet=wallet),
        Account(name="overpaid", of=ledger.overpaid_of(wallet)),
    )


def accounts_of_owner(owner: str) -> tuple[Account, ...]:
    """A key's money: what can be spent, and what is held for jobs and refunds under way."""
    return (
        Account(name="credit", of=ledger.credit_of(owner)),
        Account(name="held", of=ledger.hold_of(owner)),
        Account(name="in_flight", of=ledger.in_flight_of("", owner)),
    )


def newest(
    connection: Connection,
    accounts: Sequence[Account],
    token: str,
    limit: int,
    before: int | None = None,
) -> tuple[list[Line], int | None]:
    """At most ``limit`` lines, newest first, and the ``before`` of the next page, if any.

    ``limit`` must be more than the accounts, so that a transfer fits into a page.
    """
    found: list[_Found] = []
    for account in accounts:
        held = _held(connection, account, token, before)
        query = _postings(account, token).order_by(postings.c.transfer_id.desc())
        if before is not None:
            query = query.where(postings.c.transfer_id < before)
        for row in connection.execute(query.limit(limit + 1)):
            found.append((row, account.name, held))
            held -= row.amount
    found.sort(key=lambda each: each[0].id, reverse=True)
    page = _whole(found, limit)
    lines = _lines(connection, page)
    return lines, lines[-1].transfer if len(page) < len(found) else None


def onward(
    connection: Connection,
    accounts: Sequence[Account],
    token: str,
    limit: int,
    after: int,
    held: dict[str, int],
) -> list[Line]:
    """At most ``limit`` lines after transfer ``after``, oldest first.

    ``held`` is what each account held until then, and is brought up to date.
    """
    found: list[_Found] = []
    for account in accounts:
        total = held.get(account.name, 0)
        query = _postings(account, token).where(postings.c.transfer_id > after)
        for row in connection.execute(query.order_by(postings.c.transfer_id).limit(limit + 1)):
            total += row.amount
            found.append((row, account.name, total))
    found.sort(key=lambda each: each[0].id)
    page = _whole(found, limit)
    held.update({name: total for _, name, total in page})
    return _lines(connection, page)


def about(connection: Connection, accounts: Sequence[Account], token: str, ref: str) -> list[Line]:
    """All that moved for one job, claim, key or deposit, newest first."""
    found: list[_Found] = []
    for account in accounts:
        query = _postings(account, token).where(transfers.c.ref == ref, transfers.c.kind.in_(KINDS))
        for row in connection.execute(query):
            found.append((row, account.name, _held(connection, account, token, row.id + 1)))
    found.sort(key=lambda each: each[0].id, reverse=True)
    return _lines(connection, found)


#: A row of ``_postings``, its account's name, and what that held afterwards.
_Found = tuple[Row[Any], str, int]


def _whole(found: list[_Found], limit: int) -> list[_Found]:
    """The first ``limit`` or fewer, so that no transfer is cut in two."""
    if len(found) <= limit:
        return found
    return [each for each in found[:limit] if each[0].id != found[limit][0].id]


def _postings(account: Account, token: str) -> Select[Any]:
    query = select(
        postings.c.transfer_id.label("id"),
        postings.c.amount,
        transfers.c.at,
        transfers.c.kind,
        transfers.c.ref,
    )
    return query.join(transfers, transfers.c.id == postings.c.transfer_id).where(
        *_mine(account), transfers.c.token == token
    )


def _mine(account: Account) -> tuple[ColumnElement[bool], ...]:
    mine: tuple[ColumnElement[bool], ...] = (postings.c.account == account.of,)
    if account.wallet is not None:
        # From the wallet's claims to their transfers: what the grid paid in all is far more.
        paid = (
            select(transfers.c.id)
            .join(claims, transfers.c.ref == claims.c.id)
            .where(
                claims.c.wallet == account.wallet,
                claims.c.owner.is_(None),  # a refund is not earned
                transfers.c.kind.in_(PAYING),
            )
        )
        mine += (postings.c.transfer_id.in_(paid),)
    return mine


def _held(connection: Connection, account: Account, token: str, before: int | None) -> int:
    """What the account held before transfer ``before``; what it holds now if that is None."""
    total = func.coalesce(func.sum(postings.c.amount), 0)
    query = select(total).join(transfers, transfers.c.id == postings.c.transfer_id)
    query = query.where(*_mine(account), transfers.c.token == token)
    if account.wallet is not None:
        earlier = query if before is None else query.where(postings.c.transfer_id < before)
        return int(connection.execute(earlier).scalar_one())
    now = balance(connection, account.of, token)
    if before is None:
        return now
    # Readers look at what is new: from now back is the shorter way.
    since = connection.execute(query.where(postings.c.transfer_id >= before)).scalar_one()
    return now - int(since)


def _lines(connection: Connection, page: Sequence[_Found]) -> list[Line]:
    signatures = _signatures(connection, {row.ref for row, _, _ in page if row.kind in _OF_CLAIMS})
    return [
        Line(
            transfer=row.id,
            at=row.at,
            kind=row.kind,
            account=name,
            amount=row.amount,
            balance=held,
            ref=row.ref,
            signature=row.ref if row.kind == "deposit" else signatures.get(row.ref),
        )
        for row, name, held in page
    ]


def _signatures(connection: Connection, refs: Iterable[str]) -> dict[str, str]:
    query = select(claim_attempts.c.claim_id, claim_attempts.c.txid).where(
        claim_attempts.c.claim_id.in_(sorted(refs)), claim_attempts.c.txid.is_not(None)
    )
    return {row.claim_id: row.txid for row in connection.execute(query)}
