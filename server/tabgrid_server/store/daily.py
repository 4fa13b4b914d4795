"""What each day's transfers moved, and what stood in the accounts at its end."""

from __future__ import annotations

from sqlalchemy import Connection, text

from .record import Record

DAY_S = 86_400
#: All accounts of one kind together, by the last part of their names.
CLASSES = (
    "credit", "hold", "withheld", "claimable", "in_flight", "fees", "push_fees", "chain", "grants",
    "overpaid",
)  # fmt: skip
_CLASS = """CASE
    WHEN p.account LIKE 'system:grants:%' THEN 'grants'
    WHEN p.account LIKE 'system:overpaid:%' THEN 'overpaid'
    WHEN substr(p.account, 1, 7) = 'system:' THEN substr(p.account, 8)
    WHEN p.account LIKE '%\\:in_flight' THEN 'in_flight'
    WHEN p.account LIKE '%\\:withheld' THEN 'withheld'
    WHEN p.account LIKE '%\\:claimable' THEN 'claimable'
    WHEN p.account LIKE '%\\:hold' THEN 'hold'
    WHEN p.account LIKE '%\\:credit' THEN 'credit'
    ELSE p.account END"""
#: Whole days since ``start``; what a cast does to a fraction differs between the engines.
_DAY = {
    "sqlite": "CAST((t.at - :start) / 86400 AS INTEGER)",
    "postgresql": "CAST(floor((t.at - :start) / 86400) AS INTEGER)",
}


class Moved(Record, frozen=True, kw_only=True):
    """One kind of transfer: how many, and what they gave to (or took from) each class."""

    kind: str
    count: int
    amounts: dict[str, int]


class Day(Record, frozen=True, kw_only=True):
    """``start``: its midnight in UTC, Unix seconds. ``closing``: balances at its end."""

    start: float
    token: str
    moved: list[Moved]
    closing: dict[str, int]


def days(connection: Connection, token: str, start: float, count: int) -> list[Day]:
    """``count`` days from ``start``, oldest first, on one snapshot.

    Reads every transfer since ``start`` once; closing balances are today's less what came after.
    """
    day = _DAY[connection.dialect.name]
    given = {"start": start, "token": token}
    counted = text(
        f"SELECT {day} AS day, t.kind, count(*) FROM transfers t"  # noqa: S608 ours alone
        " WHERE t.at >= :start AND t.token = :token GROUP BY day, t.kind"
    )
    summed = text(
        f"SELECT {day} AS day, t.kind, {_CLASS} AS class, sum(p.amount)"  # noqa: S608 ours alone
        " FROM transfers t JOIN postings p ON p.transfer_id = t.id"
        " WHERE t.at >= :start AND t.token = :token GROUP BY day, t.kind, class"
    )
    counts = {(int(d), kind): int(n) for d, kind, n in connection.execute(counted, given)}
    amounts: dict[tuple[int, str], dict[str, int]] = {}
    later: dict[int, dict[str, int]] = {}
    for d, kind, name, amount in connection.execute(summed, given):
        amounts.setdefault((int(d), kind), {})[name] = int(amount)
        of_day = later.setdefault(int(d), {})
        of_day[name] = of_day.get(name, 0) + int(amount)
    standing = _now(connection, token)
    for each in sorted((d for d in later if d >= count), reverse=True):
        _subtract(standing, later[each])
    made: list[Day] = []
    for number in reversed(range(count)):
        moved = [
            Moved(kind=kind, count=n, amounts=amounts.get((number, kind), {}))
            for (d, kind), n in sorted(counts.items())
            if d == number
        ]
        midnight = start + number * DAY_S
        made.append(Day(start=midnight, token=token, moved=moved, closing=dict(standing)))
        _subtract(standing, later.get(number, {}))
    return made[::-1]


def _now(connection: Connection, token: str) -> dict[str, int]:
    query = text(
        f"SELECT {_CLASS} AS class, sum(p.amount) FROM balances p"  # noqa: S608 ours alone
        " WHERE p.token = :token GROUP BY class"
    )
    found = {name: int(amount) for name, amount in connection.execute(query, {"token": token})}
    return {name: found.get(name, 0) for name in (*CLASSES, *sorted(set(found) - set(CLASSES)))}


def _subtract(standing: dict[str, int], amounts: dict[str, int]) -> None:
    for name, amount in amounts.items():
        standing[name] = standing.get(name, 0) - amount
