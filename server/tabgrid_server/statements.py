"""Statements for people and their programs: every posting of a wallet or of a key."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from .api.schemas.grid import Token
from .api.schemas.wallets import Statement, StatementLine
from .store import Store
from .store import statements as stored
from .store.statements import Account, Line

COLUMNS = (
    "time", "kind", "account", "amount", "balance", "token", "reference", "signature", "transfer",
)  # fmt: skip
#: Lines that one look at the database reads for a download: some hundred kilobytes of memory.
TOGETHER = 1_000
#: A spreadsheet takes a text that begins so for a formula, and runs it.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


async def page(
    store: Store,
    accounts: Sequence[Account],
    token: Token,
    limit: int,
    *,
    account: str | None = None,
    ref: str | None = None,
    before: int | None = None,
) -> Statement:
    """Newest first. ``account``: only that one. ``ref``: all that moved for one job, claim,
    key or deposit, on one page."""
    chosen = [each for each in accounts if account in (None, each.name)]
    if ref is not None:
        found = await store.read(stored.about, chosen, token.symbol, ref)
        return Statement(tuple(_shown(line) for line in found), token, None)
    lines, following = await store.read(stored.newest, chosen, token.symbol, limit, before)
    return Statement(tuple(_shown(line) for line in lines), token, following)


async def as_csv(
    store: Store,
    accounts: Sequence[Account],
    token: str,
    since: date | None = None,
    until: date | None = None,
) -> AsyncIterator[str]:
    """The whole statement as CSV (RFC 4180), oldest first, in pieces.

    ``since`` and ``until`` are days in UTC, both included; balances are right all the same.
    """
    yield _rows([COLUMNS])
    after, held = 0, dict[str, int]()
    start = 0.0 if since is None else _midnight(since)
    end = float("inf") if until is None else _midnight(until + timedelta(days=1))
    while lines := await store.read(stored.onward, accounts, token, TOGETHER, after, held):
        after = lines[-1].transfer
        yield _rows(_cells(line, token) for line in lines if start <= line.at < end)


def _shown(line: Line) -> StatementLine:
    return msgspec.convert(line, StatementLine, from_attributes=True)


def _cells(line: Line, token: str) -> list[str | int]:
    return [
        datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds"),
        line.kind,
        line.account,
        line.amount,
        line.balance,
        token,
        line.ref,
        line.signature or "",
        line.transfer,
    ]


def _rows(rows: Iterable[Sequence[str | int]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return written.getvalue()


def _safe(cell: str | int) -> str | int:
    """A number is a number; a text never becomes a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
