"""Every node's balance at one moment, as a signed statement tells of it."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, Select, func, select

from ..api.schemas import Balance
from .records import Record
from .tables import balances, claims, receipts, transfers

#: The parts of a node's money: last words of its accounts.
_PARTS = ("withheld", "claimable", "in_flight")
_OVERPAID = "system:overpaid:"


class Snapshot(Record, frozen=True, kw_only=True):
    """``seq``: number of the newest receipt. ``balances`` by the bytes of their wallets."""

    seq: int
    balances: list[Balance]

    @property
    def owed(self) -> int:
        return sum(each.withheld + each.claimable + each.in_flight for each in self.balances)

    @property
    def paid(self) -> int:
        return sum(each.paid for each in self.balances)


def snapshot(connection: Connection, token: str) -> Snapshot:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    held = select(balances.c.account, balances.c.amount).where(
        balances.c.token == token,
        balances.c.amount != 0,
        balances.c.account.like("node:%") | balances.c.account.like(_OVERPAID + "%"),
    )
    for account, amount in connection.execute(held):
        if account.startswith(_OVERPAID):
            found[account.removeprefix(_OVERPAID)]["overpaid"] = -amount
            continue
        _, wallet, part = account.split(":", 2)
        found[wallet][part] = amount
    for wallet, amount in connection.execute(_paid(token)):
        found[wallet]["paid"] = int(amount)
    newest = connection.execute(select(func.coalesce(func.max(receipts.c.seq), 0)))
    return Snapshot(
        seq=newest.scalar_one(),
        balances=[_balance(wallet, parts) for wallet, parts in sorted(found.items())],
    )


def _paid(token: str) -> Select[tuple[str, int]]:
    return (
        select(claims.c.wallet, func.sum(claims.c.amount))
        .join(
            transfers,
            transfers.c.kind.in_(("pay", "recover")) & (transfers.c.ref == claims.c.id),
        )
        .where(claims.c.token == token, claims.c.owner.is_(None))
        .group_by(claims.c.wallet)
    )


def _balance(wallet: str, parts: dict[str, int]) -> Balance:
    return Balance(wallet, **{part: parts.get(part, 0) for part in (*_PARTS, "paid", "overpaid")})
