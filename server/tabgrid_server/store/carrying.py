"""Carries out the trust policy's effects inside a transaction of the group commit.

What an effect moves follows from the rows: of a job's pay, what is withheld still; of a strike,
what was taken. So an effect that comes twice, or for a job that these books do not have, moves
nothing, and none has to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from .. import ledger
from ..proofs.corrections import CorrectionKind
from ..trust import UnitKey
from . import corrections
from .bulk import Bulk, Lookup, Row
from .corrections import Draft
from .effects import (
    Answered,
    Effect,
    Fine,
    Forfeit,
    Found,
    GaveUp,
    Reinstate,
    Release,
    Restore,
    Strike,
    StrikeMoved,
    UnitMoved,
    Void,
)
from .evidence import Evidence
from .ledger import Booking
from .strikes import Standing

_UPDATE_EARNINGS = Bulk(
    text("UPDATE earnings SET released = :released, lost = :lost, fined = :fined WHERE job_id = :j")
)
_EARNINGS = (
    "SELECT e.job_id, e.wallet, e.token, e.amount, e.released, e.lost, e.fined,"
    " j.owner, j.fee, f.amount AS fine, r.id AS restored FROM earnings e"
    " JOIN jobs j ON j.id = e.job_id"
    " LEFT JOIN corrections f ON f.kind = 'fine' AND f.ref = e.job_id"
    " LEFT JOIN transfers r ON r.kind = 'restore' AND r.ref = e.job_id"
    " WHERE e.job_id {}"
)
_LOAD = Lookup(
    sqlite=_EARNINGS.format("IN (SELECT value FROM json_each(?)) ORDER BY e.job_id"),
    postgresql=_EARNINGS.format("= ANY($1::text[]) ORDER BY e.job_id FOR UPDATE OF e"),
)


#: These move nobody's money.
_OF_NOBODY = StrikeMoved | Found | GaveUp | Answered


class Earning(msgspec.Struct):
    """What a job earned, and what became of it."""

    job_id: str
    wallet: str
    token: str
    amount: int
    released: bool
    lost: str | None
    fined: int
    owner: str
    fee: int
    #: What a strike for it cost beside its pay; None if there was none.
    fine: int | None = None
    #: Set once a strike for it was taken back.
    restored: int | None = None

    @property
    def withheld(self) -> bool:
        return not self.released and self.lost is None


def jobs_of(effects: Iterable[Effect]) -> set[str]:
    """Every job whose earnings these effects are about."""
    found: set[str] = set()
    for effect in effects:
        if isinstance(effect, Void | Fine | Restore):
            found.add(effect.job_id)
        elif isinstance(effect, Release | Forfeit):
            found.update(effect.jobs)
    return found


def wallets_of(effects: Iterable[Effect]) -> set[str]:
    return {e.unit.wallet for e in effects if not isinstance(e, _OF_NOBODY)}


class Carrying:
    """The effects of one transaction: decided in memory, in order, and written at the end."""

    def __init__(self, connection: Connection, effects: list[Effect]) -> None:
        self._connection = connection
        jobs = jobs_of(effects)
        rows = _LOAD.run(connection, jobs) if jobs else []
        self._earnings = {row[0]: Earning(*row) for row in rows}
        self._wallets = wallets_of(effects)
        self._standing = Standing(connection, effects)
        self._evidence = Evidence(connection)
        self._changed: set[str] = set()
        self._drafts: list[Draft] = []
        self._carry: dict[type, Callable[[Any, Booking], None]] = {
            Void: self._void,
            Fine: self._fine,
            Release: self._release,
            Forfeit: self._forfeit,
            Restore: self._restore,
            Reinstate: self._reinstate,
        }

    def accounts(self) -> set[str]:
        """Every account that the effects can touch; those of jobs in this batch are known."""
        if not self._wallets:
            return set()
        accounts = {ledger.FEES, ledger.FINES, ledger.FORFEITS, ledger.RESTORED}
        accounts |= {ledger.credit_of(each.owner) for each in self._earnings.values()}
        for wallet in self._wallets:
            accounts |= {ledger.withheld_of(wallet), ledger.claimable_of(wallet)}
        return accounts

    def earned(self, earning: Earning) -> None:
        """A job is settled in this very transaction."""
        self._earnings[earning.job_id] = earning

    def carry_out(self, effects: Iterable[Effect], booking: Booking) -> None:
        for effect in effects:
            carry = self._carry.get(type(effect))
            if carry is not None:
                carry(effect, booking)
            elif isinstance(effect, Found | GaveUp | Answered):
                self._evidence.take(effect)
            elif isinstance(effect, Strike | StrikeMoved | UnitMoved):
                self._standing.take(effect)

    def write(self, first: int) -> None:
        """``first``: id of the first transfer. Call it when the transfers are written."""
        rows: list[Row] = []
        for job in sorted(self._changed):
            each = self._earnings[job]
            rows.append((each.released, each.lost, each.fined, job))
        _UPDATE_EARNINGS.run(self._connection, rows)
        corrections.write(self._connection, self._drafts, first)
        self._standing.write()
        self._evidence.write()

    # --- one effect each -----------------------------------------------------------------

    def _void(self, effect: Void, booking: Booking) -> None:
        each = self._mine(effect.job_id, effect.unit)
        if each is None or not each.withheld:
            return
        there = booking.balance(ledger.withheld_of(each.wallet), each.token)
        from_fines = min(max(effect.from_fines, each.amount - there), each.amount)
        taken = each.amount - from_fines
        each.lost, each.fined = "void", each.fined + from_fines
        self._changed.add(each.job_id)
        transfer = ledger.void(
            each.job_id, each.owner, each.wallet, taken, from_fines, each.fee, each.token, effect.at
        )
        self._correct(booking, transfer, each.wallet, taken, effect.reason, fined=from_fines)

    def _fine(self, effect: Fine, booking: Booking) -> None:
        each = self._mine(effect.job_id, effect.unit)
        if each is None or each.fine is not None:
            return
        there = booking.balance(ledger.withheld_of(each.wallet), each.token)
        each.fine = min(effect.amount, there)
        transfer = ledger.fine(each.job_id, each.wallet, each.fine, each.token, effect.at)
        self._correct(booking, transfer, each.wallet, each.fine, effect.reason)

    def _release(self, effect: Release, booking: Booking) -> None:
        for ref, token, amount, let_go in self._let_go(effect, booking):
            for each in let_go:
                each.released = True
            wallet = effect.unit.wallet
            booking.add(ledger.release(ref, wallet, amount, token, effect.at))

    def _forfeit(self, effect: Forfeit, booking: Booking) -> None:
        for ref, token, amount, let_go in self._let_go(effect, booking):
            for each in let_go:
                each.lost = "forfeit"
            wallet = effect.unit.wallet
            transfer = ledger.forfeit(ref, wallet, amount, token, effect.at)
            self._correct(booking, transfer, wallet, amount, effect.reason)
            self._standing.forfeited(effect, (ref, amount, token))

    def _restore(self, effect: Restore, booking: Booking) -> None:
        each = self._mine(effect.job_id, effect.unit)
        if each is None or each.lost != "void" or each.restored is not None:
            return
        pay, fine = min(effect.pay, each.amount), min(effect.fine, each.fine or 0)
        each.restored = 0
        wallet, withheld = each.wallet, min(effect.withheld, fine)
        transfer = ledger.restore(each.job_id, wallet, pay, fine, withheld, each.token, effect.at)
        self._correct(booking, transfer, wallet, pay + fine, effect.reason, pay=pay)

    def _reinstate(self, effect: Reinstate, booking: Booking) -> None:
        lost = self._standing.reinstated(effect.unit)
        if lost is not None:
            ref, amount, token = lost
            wallet = effect.unit.wallet
            transfer = ledger.reinstate(ref, wallet, amount, token, effect.at)
            self._correct(booking, transfer, wallet, amount, effect.reason)

    # --- what they share -----------------------------------------------------------------

    def _mine(self, job: str, unit: UnitKey) -> Earning | None:
        each = self._earnings.get(job)
        return each if each is not None and each.wallet == unit.wallet else None

    def _let_go(
        self, effect: Release | Forfeit, booking: Booking
    ) -> list[tuple[str, str, int, list[Earning]]]:
        """By token: a reference, what is to move, and the earnings that it comes from."""
        groups: dict[str, list[Earning]] = {}
        for job in effect.jobs:
            each = self._mine(job, effect.unit)
            if each is not None and each.withheld:
                groups.setdefault(each.token, []).append(each)
        found = []
        left = effect.amount
        for token, earnings in groups.items():
            earned = sum(each.amount for each in earnings)
            there = booking.balance(ledger.withheld_of(effect.unit.wallet), token)
            amount = min(left, earned, there)
            left -= amount
            self._fined(earnings, earned - amount)
            ref = min(each.job_id for each in earnings)
            found.append((ref, token, amount, earnings))
        return found

    def _fined(self, earnings: list[Earning], fines: int) -> None:
        """Note which earnings the fines were paid from, the first ones first."""
        for each in earnings:
            part = min(fines, each.amount)
            each.fined += part
            fines -= part
            self._changed.add(each.job_id)

    def _correct(
        self,
        booking: Booking,
        transfer: ledger.Transfer,
        wallet: str,
        amount: int,
        reason: str,
        *,
        fined: int = 0,
        pay: int = 0,
    ) -> None:
        """Book a transfer, and say so in public."""
        self._drafts.append(
            Draft(
                place=booking.add(transfer),
                kind=_KINDS[transfer.kind],
                ref=transfer.ref,
                wallet=wallet,
                token=transfer.token,
                amount=amount,
                fined=fined,
                pay=pay,
                reason=reason,
                at=transfer.at,
            )
        )


_KINDS: dict[str, CorrectionKind] = {
    "void": "void",
    "fine": "fine",
    "forfeit": "forfeit",
    "restore": "restore",
    "reinstate": "reinstate",
}
