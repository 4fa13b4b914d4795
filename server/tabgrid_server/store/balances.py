"""Every node's balance at one moment, as a signed statement tells of it."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, func, select, text

from .. import ledger
from ..api.schemas.attestation import Balance
from ..proofs.corrections import Head
from . import audit, corrections
from .record import Record
from .tables import balances, receipts

#: The parts of a node's money: last words of its accounts.
_PARTS = ("withheld", "claimable", "in_flight")
_OVERPAID = ledger.overpaid_of("")

#: What left each account for the chain, by account.
_LEFT = text(
    "SELECT p.account, sum(p.amount) FROM transfers t JOIN postings p ON p.transfer_id = t.id"
    " WHERE t.kind IN ('pay', 'recover') AND t.token = :t GROUP BY p.account"
)
#: What of it arrived there, by the wallet that claimed it.
_ARRIVED = text(
    "SELECT c.wallet, sum(p.amount) FROM claims c"
    " JOIN transfers t ON t.kind IN ('pay', 'recover') AND t.ref = c.id"
    " JOIN postings p ON p.transfer_id = t.id AND p.account = :chain"
    " WHERE c.token = :t GROUP BY c.wallet"
)
#: The grid's share of it, for the network's fee, by the account that bore it.
_CHARGED = text(
    "SELECT n.account, sum(f.amount) FROM postings f"
    " JOIN transfers t ON t.id = f.transfer_id AND t.kind IN ('pay', 'recover')"
    " JOIN postings n ON n.transfer_id = f.transfer_id AND n.amount < 0"
    " WHERE f.account = 'system:push_fees' AND t.token = :t GROUP BY n.account"
)
_UNDER_WAY = text(
    "SELECT wallet, sum(amount) FROM claims"
    " WHERE state IN ('reserved', 'signed', 'confirmed') AND token = :t GROUP BY wallet"
)


class Snapshot(Record, frozen=True, kw_only=True):
    """``seq``: number of the newest receipt. ``balances`` by the bytes of their wallets."""

    seq: int
    balances: list[Balance]
    #: What users paid in and have not used, in base units.
    users: int
    #: Where the chain of corrections of pay stands.
    corrections: Head

    @property
    def owed(self) -> int:
        return sum(each.withheld + each.claimable + each.in_flight for each in self.balances)

    @property
    def paid(self) -> int:
        return sum(each.paid for each in self.balances)


_Found = dict[str, dict[str, int]]


def snapshot(connection: Connection, token: str) -> Snapshot:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    _held(connection, token, found)
    _left(connection, token, found)
    newest = connection.execute(select(func.coalesce(func.max(receipts.c.seq), 0)))
    return Snapshot(
        seq=newest.scalar_one(),
        balances=[_balance(wallet, parts) for wallet, parts in sorted(found.items())],
        users=audit.owed(connection).get(token, 0) - _nodes(found),
        corrections=corrections.head(connection),
    )


def _nodes(found: _Found) -> int:
    return sum(parts.get(part, 0) for parts in found.values() for part in _PARTS)


def _held(connection: Connection, token: str, found: _Found) -> None:
    query = select(balances.c.account, balances.c.amount).where(
        balances.c.token == token,
        balances.c.amount != 0,
        balances.c.account.like("node:%") | balances.c.account.like(_OVERPAID + "%"),
    )
    for account, amount in connection.execute(query):
        if account.startswith(_OVERPAID):
            found[account.removeprefix(_OVERPAID)]["overpaid"] = -amount
        else:
            _, wallet, part = account.split(":", 2)
            found[wallet][part] = amount


def _left(connection: Connection, token: str, found: _Found) -> None:
    """What was paid, by the postings: of earnings, and of users' credit."""
    for account, amount in connection.execute(_LEFT, {"t": token}):
        wallet = _wallet(account)
        if wallet:
            found[wallet]["paid"] -= int(amount)
    for account, amount in connection.execute(_CHARGED, {"t": token}):
        wallet = _wallet(account)
        if wallet:
            found[wallet]["charged"] += int(amount)
            found[wallet]["paid"] -= int(amount)
    arrived = connection.execute(_ARRIVED, {"t": token, "chain": ledger.CHAIN})
    for wallet, amount in [*arrived, *connection.execute(_UNDER_WAY, {"t": token})]:
        found[wallet]["known"] += int(amount)


def _wallet(account: str) -> str:
    """Of a node's account; "" for any other."""
    if account.startswith(_OVERPAID):
        return account.removeprefix(_OVERPAID)
    kind, _, rest = account.partition(":")
    return rest.partition(":")[0] if kind == "node" else ""


def _balance(wallet: str, parts: dict[str, int]) -> Balance:
    known = parts.get("known", 0) - parts.get("paid", 0) - parts.get("in_flight", 0)
    names = (*_PARTS, "paid", "charged", "overpaid")
    amounts = {name: parts.get(name, 0) for name in names}
    return Balance(wallet, **amounts, refunded=max(known, 0))
