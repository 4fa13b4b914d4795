"""Corrections of pay: written with the transfer that each is about, read by everybody."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from ..proofs import corrections as proofs
from ..proofs.corrections import Correction, CorrectionKind, Head
from .bulk import Bulk, Row
from .record import Record
from .tables import corrections

_INSERT = Bulk(corrections.insert())


class Kept(Record, frozen=True, kw_only=True):
    """One correction as it is published: its exact bytes, and the hash of it and all before."""

    number: int
    body: bytes
    hash: str


class Draft(Record, frozen=True, kw_only=True):
    """One that is about to be booked. ``place``: of its transfer in the booking."""

    place: int
    kind: CorrectionKind
    ref: str
    wallet: str
    token: str
    amount: int
    fined: int = 0
    pay: int = 0
    reason: str
    at: float


def head(connection: Connection) -> Head:
    """Where their chain stands."""
    query = select(corrections.c.number, corrections.c.hash)
    row = connection.execute(query.order_by(corrections.c.number.desc()).limit(1)).one_or_none()
    return Head() if row is None else Head(row.number, bytes.fromhex(row.hash))


def heads(connection: Connection, number: int) -> list[Head]:
    """Where their chain stood at each correction from ``number`` on, in order; before the first
    one if ``number`` is 0."""
    query = select(corrections.c.number, corrections.c.hash)
    query = query.where(corrections.c.number >= number).order_by(corrections.c.number)
    found = [Head(number, bytes.fromhex(hash)) for number, hash in connection.execute(query)]
    return found if number else [Head(), *found]


def write(connection: Connection, drafts: list[Draft], first: int) -> None:
    """Add these to the chain. ``first``: id of the first transfer of their booking."""
    if not drafts:
        return
    newest = head(connection)
    number, before = newest.count, newest.hash
    rows: list[Row] = []
    for draft in drafts:
        number += 1
        made = _correction(draft, number)
        body = proofs.text_of(made)
        before = proofs.link(before, body)
        rows.append(
            (
                number, first + draft.place, made.kind, made.ref, made.wallet, made.token,
                made.amount, made.reason, made.at, body, before.hex(),
            )
        )  # fmt: skip
    _INSERT.run(connection, rows)


def after(connection: Connection, number: int, limit: int) -> list[Kept]:
    """Those with higher numbers, in order."""
    query = select(corrections.c.number, corrections.c.body, corrections.c.hash)
    query = query.where(corrections.c.number > number).order_by(corrections.c.number).limit(limit)
    return [Kept(**row._mapping) for row in connection.execute(query)]


def of_wallet(connection: Connection, wallet: str, limit: int) -> list[Correction]:
    """The newest first."""
    query = select(corrections.c.body).where(corrections.c.wallet == wallet)
    query = query.order_by(corrections.c.number.desc()).limit(limit)
    read = map(proofs.read, connection.execute(query).scalars())
    return [correction for correction in read if correction is not None]


def sums(connection: Connection, wallet: str, token: str) -> dict[str, int]:
    """What was taken and given back, by kind."""
    query = select(corrections.c.kind, func.sum(corrections.c.amount)).where(
        corrections.c.wallet == wallet, corrections.c.token == token
    )
    return {kind: int(sum) for kind, sum in connection.execute(query.group_by(corrections.c.kind))}


def _correction(draft: Draft, number: int) -> Correction:
    return Correction(
        number=number,
        kind=draft.kind,
        ref=draft.ref,
        wallet=draft.wallet,
        token=draft.token,
        amount=draft.amount,
        fined=draft.fined,
        pay=draft.pay,
        reason=draft.reason,
        at=draft.at,
    )
