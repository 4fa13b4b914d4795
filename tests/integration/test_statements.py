"""Statements: every figure is the sum of its postings, and nobody reads another's key."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from tabgrid_server import ledger, statements
from tabgrid_server.api.schemas.grid import Token
from tabgrid_server.store import Store
from tabgrid_server.store import ledger as books
from tabgrid_server.store.statements import (
    Account,
    Line,
    about,
    accounts_of_owner,
    accounts_of_wallet,
    newest,
)
from tests.integration.conftest import EchoGrid, assigned
from tests.support.books import TOKEN, add_owner, new_job, opened, refund, settlement

SHOWN = Token(TOKEN, 6, "")
DAY = 86_400.0


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Two owners, two wallets, thirty jobs, some of which failed; earnings released twice."""
    sqlite = f"sqlite:///{tmp_path / 'books.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with opened(url) as store:
        for owner in ("alice", "bob"):
            await add_owner(store, owner)
        for n in range(30):
            name = f"job_{n:02d}"
            await store.submit(new_job(name, owner="alice" if n % 3 else "bob"))
            if n % 5 == 4:
                await store.refund(refund(name, finished_at=n * DAY))
            else:
                wallet, done = f"Wallet{n % 2}", n * DAY
                await store.settle(
                    settlement(name, wallet=wallet, finished_at=done, release_at=done)
                )
            if n % 10 == 9:
                await store.write(books.release_due, n * DAY, 100)
        yield store


async def every_line(store: Store, accounts: tuple[Account, ...], limit: int) -> list[Line]:
    lines: list[Line] = []
    before: int | None = None
    while True:
        page, before = await store.read(newest, accounts, TOKEN, limit, before)
        assert len(page) <= limit
        lines += page
        if before is None:
            return lines


@pytest.mark.parametrize("limit", [10, 11, 500])
async def test_pages_hold_every_posting_once_with_what_was_there_then(
    store: Store, limit: int
) -> None:
    accounts = accounts_of_wallet("Wallet0")
    lines = await every_line(store, accounts, limit)
    assert [line.transfer for line in lines] == sorted((x.transfer for x in lines), reverse=True)
    held = dict.fromkeys((account.name for account in accounts), 0)
    for line in reversed(lines):
        held[line.account] += line.amount
        assert line.balance == held[line.account]
    summary = await store.read(books.wallet_summary, "Wallet0", TOKEN)
    assert summary.earned > 0 < summary.claimable
    for name in ("withheld", "claimable", "in_flight", "paid"):
        assert held[name] == getattr(summary, name)


async def test_csv_tells_the_same_as_the_pages(store: Store) -> None:
    for accounts in (accounts_of_wallet("Wallet1"), accounts_of_owner("alice")):
        text = "".join([piece async for piece in statements.as_csv(store, accounts, TOKEN)])
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        lines = await every_line(store, accounts, 500)
        told = [(x.transfer, x.account, x.kind, x.amount, x.balance, x.ref) for x in lines]
        assert sorted(told) == sorted(
            (int(row["transfer"]), row["account"], row["kind"], int(row["amount"]),
             int(row["balance"]), row["reference"])
            for row in rows
        )  # fmt: skip
        assert [int(row["transfer"]) for row in rows] == sorted(int(x["transfer"]) for x in rows)


async def test_csv_of_some_days_has_their_lines_and_right_balances(store: Store) -> None:
    accounts = accounts_of_wallet("Wallet1")
    whole = "".join([x async for x in statements.as_csv(store, accounts, TOKEN)]).splitlines()
    days = (date(1970, 1, 6), date(1970, 1, 12))
    some = "".join([x async for x in statements.as_csv(store, accounts, TOKEN, *days)])
    rows = some.splitlines()[1:]
    assert rows == [r for r in whole[1:] if "1970-01-06" <= r[:10] <= "1970-01-12"]
    assert rows


async def test_what_moved_for_one_job_is_found(store: Store) -> None:
    accounts = accounts_of_wallet("Wallet1")
    (line,) = await store.read(about, accounts, TOKEN, "job_03")
    assert (line.kind, line.account, line.amount) == ("settle", "withheld", 95)
    lines = await every_line(store, accounts, 500)
    assert line in lines
    assert await store.read(about, accounts, TOKEN, "job_00") == [], "another wallet's"


async def test_a_payment_that_a_restore_forgot_stays_in_the_sum(store: Store) -> None:
    """Recovered and set off: the accounts still add up to what was earned."""
    wallet, at = "Wallet0", 40 * DAY
    had = (await store.read(books.wallet_summary, wallet, TOKEN)).claimable
    paid = ledger.recover("claim_x", wallet, had + 500, had, TOKEN, at)
    await store.write(books.post, paid)
    lines = await every_line(store, accounts_of_wallet(wallet), 500)
    last = {line.account: line.balance for line in reversed(lines)}
    assert (last["claimable"], last["overpaid"]) == (0, -500)


async def test_deep_pages_of_a_page_view(store: Store) -> None:
    first = await statements.page(store, accounts_of_wallet("Wallet0"), SHOWN, 10)
    assert first.next is not None
    second = await statements.page(
        store, accounts_of_wallet("Wallet0"), SHOWN, 10, account="claimable", before=first.next
    )
    assert {line.account for line in second.lines} == {"claimable"}
    assert all(line.transfer < first.next for line in second.lines)


async def test_over_http_a_key_reads_its_own_and_anybody_a_wallets(echo_grid: EchoGrid) -> None:
    mine, other = await echo_grid.make_key(), await echo_grid.make_key()
    job = {"model": "echo", "input": {"text": "hello"}}
    async with echo_grid.client(mine) as client, echo_grid.node() as node:
        asked = asyncio.create_task(
            client.post("/api/jobs", json=job, headers={"Prefer": "wait=60"})
        )
        assign = await assigned(node)
        await node.send(node.result(assign, assign.input))
        done = (await asked).json()
        key = (await client.get("/api/keys/current/statement")).json()
        assert [(x["kind"], x["account"], x["amount"]) for x in key["lines"]] == [
            ("settle", "held", -done["price"]),
            ("hold", "credit", -done["price"]),
            ("hold", "held", done["price"]),
            ("grant", "credit", 1_000_000),
        ]
        assert {x["ref"] for x in key["lines"][:3]} == {done["id"]}
        path = f"/api/wallets/{node.wallet}/statement"
        table = await client.get("/api/keys/current/statement.csv?since=1970-01-01")
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in table.headers["content-disposition"]
        assert len(table.text.splitlines()) == 5
    async with echo_grid.client(other) as stranger:
        theirs = (await stranger.get("/api/keys/current/statement")).json()
        assert [x["kind"] for x in theirs["lines"]] == ["grant"]
    async with echo_grid.client() as nobody:
        assert (await nobody.get("/api/keys/current/statement")).status_code == 401
        assert (await nobody.get("/api/keys/current/statement.csv")).status_code == 401
        wallet = (await nobody.get(path)).json()
        assert ("settle", done["id"]) in {(x["kind"], x["ref"]) for x in wallet["lines"]}
        assert (await nobody.get(f"{path}?limit=1")).status_code == 400
        assert (await nobody.get(f"{path}?account=credit")).status_code == 400
        assert (await nobody.get("/api/wallets/nobody/statement.csv")).status_code == 404
        page = await nobody.get(f"/explorer/wallets/{node.wallet}/statement?ref={done['id']}")
        assert done["id"] in page.text
