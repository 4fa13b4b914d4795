"""Balances, transfers and postings: the only place that books money.

``tabgrid_server.ledger`` decides, this file keeps. Whatever books goes through ``Booking``
(many transfers) or ``post`` (one), inside the transaction of what the money is for.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, func, select, text

from .. import ledger
from ..ledger import AccountKey, Transfer
from ..proofs.corrections import TAKING
from . import corrections
from .bulk import Bulk, Lookup, Row, fetch
from .records import Credit, Release, WalletSummary
from .tables import balances, claims, deposits, earnings, postings, transfers

_INSERT_TRANSFERS = Bulk(transfers.insert())
_INSERT_POSTINGS = Bulk(postings.insert())
_OPEN_BALANCES = Bulk(
    text("INSERT INTO balances (account, token, amount) VALUES (:a, :t, 0) ON CONFLICT DO NOTHING")
)
# A difference, not a value: whatever another process books meanwhile is kept.
_CHANGE_BALANCES = Bulk(
    text("UPDATE balances SET amount = amount + :d WHERE account = :a AND token = :t")
)
_LOAD = Lookup(
    sqlite="SELECT account, token, amount FROM balances"
    " WHERE account IN (SELECT value FROM json_each(?)) ORDER BY account, token",
    postgresql="SELECT account, token, amount FROM balances"
    " WHERE account = ANY($1::text[]) ORDER BY account, token FOR UPDATE",
)
_HELD = Lookup(
    sqlite="SELECT account, token, amount FROM balances"
    " WHERE account IN (SELECT value FROM json_each(?)) ORDER BY account, token",
    postgresql="SELECT account, token, amount FROM balances"
    " WHERE account = ANY($1::text[]) ORDER BY account, token",
)
# Built once: asked for every claim, several times.
_BOOKED = select(transfers.c.id).where(
    transfers.c.kind == bindparam("of"), transfers.c.ref == bindparam("named")
)
_BALANCE = select(balances.c.amount).where(
    balances.c.account == bindparam("of"), balances.c.token == bindparam("in")
)
_LAST_ID = "SELECT coalesce(max(id), 0) FROM transfers"
#: The lock keeps other processes' ids out of ours.
_LOCK_IDS = "SELECT pg_advisory_xact_lock(7480213)"
_TAKE_IDS = "SELECT setval(s, nextval(s) + $1 - 1) FROM pg_get_serial_sequence('transfers', 'id') s"


class Booking:
    """Transfers of one database transaction, checked one by one, written at the end."""

    def __init__(self, connection: Connection, accounts: Iterable[str]) -> None:
        rows = _LOAD.run(connection, accounts)
        self._connection = connection
        self._before: dict[AccountKey, int] = {(a, t): amount for a, t, amount in rows}
        self._after = dict(self._before)
        self._transfers: list[Transfer] = []

    def add(self, transfer: Transfer) -> int:
        """Book one. Returns its place in this booking, counted from 0.

        Raises ``InsufficientFunds`` or ``Unbalanced``; the others are not touched.
        """
        self._after.update(ledger.apply(self._after, transfer))
        self._transfers.append(transfer)
        return len(self._transfers) - 1

    def balance(self, account: str, token: str) -> int:
        """What one of the accounts holds after all that was added."""
        return self._after.get((account, token), 0)

    def earned(self) -> dict[str, int]:
        """By token, what nodes have more of after all that was added; less, where negative."""
        found: dict[str, int] = {}
        for key, amount in self._after.items():
            account, token = key
            if account.startswith("node:"):
                found[token] = found.get(token, 0) + amount - self._before.get(key, 0)
        return found

    def write(self) -> int:
        """Write everything. Returns the id of the first transfer; the others follow it.

        Raises ``IntegrityError`` if one of them was booked before.
        """
        if not self._transfers:
            return 0
        first = _first_id(self._connection, len(self._transfers))
        moved, lines = _rows(self._transfers, first)
        _INSERT_TRANSFERS.run(self._connection, moved)
        _INSERT_POSTINGS.run(self._connection, lines)
        self._write_balances()
        return first

    def _write_balances(self) -> None:
        before = self._before
        changed = sorted(
            (key, amount - before.get(key, 0))
            for key, amount in self._after.items()
            if amount != before.get(key)
        )
        _OPEN_BALANCES.run(self._connection, [key for key, _ in changed if key not in before])
        _CHANGE_BALANCES.run(self._connection, [(d, *key) for key, d in changed if d])


def post(connection: Connection, transfer: Transfer) -> bool:
    """Book one transfer; False if it was booked before.

    Raises ``InsufficientFunds`` or ``Unbalanced``.
    """
    if booked(connection, transfer.kind, transfer.ref):
        return False
    booking = Booking(connection, [account for account, _ in transfer.postings])
    booking.add(transfer)
    booking.write()
    return True


def booked(connection: Connection, kind: str, ref: str) -> bool:
    """Whether this transfer was booked."""
    return connection.execute(_BOOKED, {"of": kind, "named": ref}).first() is not None


def balance(connection: Connection, account: str, token: str) -> int:
    """What an account holds; 0 if it was never used."""
    found = connection.execute(_BALANCE, {"of": account, "in": token})
    return found.scalar_one_or_none() or 0


def holdings(connection: Connection, accounts: Iterable[str]) -> dict[AccountKey, int]:
    """What each of the accounts holds; nothing of one that was never used."""
    return {(account, token): amount for account, token, amount in _HELD.run(connection, accounts)}


def credit(connection: Connection, owner: str, token: str) -> Credit:
    """An owner's money. Spent is what came in, did not go back, and is no longer there."""
    available = balance(connection, ledger.credit_of(owner), token)
    held = balance(connection, ledger.hold_of(owner), token)
    granted = -balance(connection, ledger.grants_of(owner), token)
    deposited, refunded = _deposited(connection, owner, token), _refunded(connection, owner, token)
    in_flight = balance(connection, ledger.in_flight_of("", owner), token)
    spent = granted + deposited - refunded - in_flight - available - held
    return Credit(
        available=available,
        held=held,
        spent=spent,
        deposited=deposited,
        refunded=refunded,
        in_flight=in_flight,
    )


def _deposited(connection: Connection, owner: str, token: str) -> int:
    query = select(func.coalesce(func.sum(deposits.c.amount), 0)).where(
        deposits.c.owner == owner, deposits.c.token == token
    )
    return int(connection.execute(query).scalar_one())


def _refunded(connection: Connection, owner: str, token: str) -> int:
    query = select(func.coalesce(func.sum(claims.c.amount), 0)).where(
        claims.c.owner == owner, claims.c.token == token, claims.c.state == "finalized"
    )
    return int(connection.execute(query).scalar_one())


def wallet_summary(connection: Connection, address: str, token: str) -> WalletSummary:
    """What a node's wallet has earned, and where it is."""
    withheld = balance(connection, ledger.withheld_of(address), token)
    claimable = balance(connection, ledger.claimable_of(address), token)
    in_flight = balance(connection, ledger.in_flight_of(address), token)
    paid, push_fees = _paid(connection, address, token)
    jobs_done = select(func.count()).where(earnings.c.wallet == address, earnings.c.token == token)
    next_release = text(
        "SELECT min(release_at) FROM earnings WHERE wallet = :w AND token = :t AND NOT released"
        " AND lost IS NULL"
    )
    corrected = corrections.sums(connection, address, token)
    taken = sum(amount for kind, amount in corrected.items() if kind in TAKING)
    return WalletSummary(
        jobs_done=connection.execute(jobs_done).scalar_one(),
        # What was paid too early (negative) is in ``paid`` before it is earned.
        earned=withheld
        + claimable
        + in_flight
        + paid
        + push_fees
        + balance(connection, ledger.overpaid_of(address), token),
        withheld=withheld,
        claimable=claimable,
        in_flight=in_flight,
        paid=paid,
        push_fees=push_fees,
        taken=taken,
        given_back=sum(corrected.values()) - taken,
        next_release_at=connection.execute(next_release, {"w": address, "t": token}).scalar(),
    )


def _paid(connection: Connection, address: str, token: str) -> tuple[int, int]:
    """What was sent to a wallet, and what was kept of it for pushing it there."""
    fee = func.coalesce(claims.c.push_fee, 0)
    query = (
        select(func.coalesce(func.sum(claims.c.amount - fee), 0), func.coalesce(func.sum(fee), 0))
        .join(
            transfers,
            transfers.c.kind.in_(("pay", "recover")) & (transfers.c.ref == claims.c.id),
        )
        .where(claims.c.wallet == address, claims.c.token == token, claims.c.owner.is_(None))
    )
    sent, kept = connection.execute(query).one()
    return int(sent), int(kept)


#: Spelt as the partial index is, or the database will not use it.
_RELEASE = text(
    "UPDATE earnings SET released = true WHERE NOT released AND job_id IN ("
    " SELECT job_id FROM earnings WHERE NOT released AND NOT held AND lost IS NULL"
    " AND release_at <= :now"
    " ORDER BY release_at LIMIT :limit) RETURNING wallet, token, amount, job_id"
)


def release_due(connection: Connection, now: float, limit: int) -> list[Release]:
    """Make earnings claimable whose time has come, at most ``limit`` jobs of them.

    What the trust policy holds is not among them: it says itself what is to be released.

    Call again at once while the jobs in the answer add up to ``limit``.
    """
    groups: dict[AccountKey, list[tuple[str, int]]] = {}
    for wallet, token, amount, job_id in connection.execute(_RELEASE, {"now": now, "limit": limit}):
        groups.setdefault((wallet, token), []).append((job_id, amount))
    wallets = [wallet for wallet, _ in groups]
    booking = Booking(
        connection, [a(w) for w in wallets for a in (ledger.withheld_of, ledger.claimable_of)]
    )
    released = []
    for (wallet, token), rows in groups.items():
        amount = sum(amount for _, amount in rows)
        # A job is released once, so its id names the release it is the first of.
        booking.add(ledger.release(min(rows)[0], wallet, amount, token, now))
        released.append(Release(wallet=wallet, token=token, amount=amount, jobs=len(rows)))
    booking.write()
    return released


def mark_claimed(connection: Connection, wallet: str, token: str, claim: str) -> None:
    """Note on every claimable earning that ``claim`` carries it. Call it with ``reserve``."""
    connection.execute(
        text(
            "UPDATE earnings SET claim = :c"
            " WHERE wallet = :w AND token = :t AND released AND claim IS NULL"
        ),
        {"c": claim, "w": wallet, "t": token},
    )


def unmark_claimed(connection: Connection, claim: str) -> None:
    """Undo ``mark_claimed``. Call it with ``return``."""
    connection.execute(text("UPDATE earnings SET claim = NULL WHERE claim = :c"), {"c": claim})


def _rows(batch: list[Transfer], first: int) -> tuple[list[Row], list[Row]]:
    moved: list[Row] = []
    lines: list[Row] = []
    for number, transfer in enumerate(batch, first):
        moved.append((number, transfer.kind, transfer.ref, transfer.token, transfer.at))
        lines += [(number, account, amount) for account, amount in transfer.postings]
    return moved, lines


def _first_id(connection: Connection, count: int) -> int:
    """Reserve ``count`` transfer ids in a row, so that postings need no ids read back."""
    if connection.dialect.name == "postgresql":
        fetch(connection, _LOCK_IDS)
        return int(fetch(connection, _TAKE_IDS, (count,))[0][0]) - count + 1
    return int(fetch(connection, _LAST_ID)[0][0]) + 1
