"""Postings behind a grid's totals: all of them, each once, however rare, and nobody's name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tabgrid_server.store import Store, postings, stats
from tabgrid_server.store.postings import Posting, Total, public_account
from tests.support.books import TOKEN, add_owner, new_job, opened, refund, settlement

DONE, FAILED = 23, 4


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Jobs that were done, and some that failed or were called off long before."""
    sqlite = f"sqlite:///{tmp_path / 'books.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with opened(url) as store:
        await add_owner(store)
        for n in range(FAILED + 1):
            await store.submit(new_job(f"job_f{n}"))
            state = "failed" if n < FAILED else "cancelled"
            await store.refund(refund(f"job_f{n}", state=state))
        for n in range(DONE):
            await store.submit(new_job(f"job_{n:02d}"))
            await store.settle(settlement(f"job_{n:02d}", wallet=f"Wallet{n % 3}"))
        yield store


async def every(store: Store, total: Total, limit: int) -> list[Posting]:
    found: list[Posting] = []
    before: int | None = None
    while True:
        page, before = await store.read(postings.behind, total, TOKEN, limit, before)
        assert len(page) <= limit
        found += page
        if before is None:
            return found


@pytest.mark.parametrize(("limit", "window"), [(50, 5_000), (5, 5_000), (50, 7), (3, 4)])
async def test_pages_hold_every_posting_once(
    store: Store, limit: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "WINDOW", window)
    told = await store.read(stats.totals)
    settled = await every(store, "settled", limit)
    assert [each.transfer for each in settled] == sorted(
        {each.transfer for each in settled}, reverse=True
    )
    assert sum(each.amount for each in settled) == told.settled[TOKEN]
    assert len(settled) == told.done == DONE
    refunded = await every(store, "refunded", limit)
    assert len(refunded) == told.failed == FAILED, "a job that was called off did not fail"
    assert await every(store, "paid", limit) == []


async def test_what_moved_for_one_job_sums_to_zero(store: Store) -> None:
    moved = await store.read(postings.of_job, "job_07", TOKEN)
    assert [each.kind for each in moved] == ["settle"] * 3 + ["hold"] * 2
    sums: dict[int, int] = {}
    for each in moved:
        sums[each.transfer] = sums.get(each.transfer, 0) + each.amount
    assert set(sums.values()) == {0}
    assert await store.read(postings.of_job, "job_none", TOKEN) == []


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ("user:user_01K:credit", ("credit", None)),
        ("user:user_01K:hold", ("held", None)),
        ("node:Wallet1:withheld", ("withheld", "Wallet1")),
        ("system:grants:user_01K", ("grants", None)),
        ("system:overpaid:Wallet1", ("overpaid", "Wallet1")),
        ("system:fees", ("fees", None)),
    ],
)
def test_users_are_not_named(account: str, told: tuple[str, str | None]) -> None:
    assert public_account(account) == told


async def test_a_page_looks_at_a_stretch_of_an_index(store: Store) -> None:
    def plan(connection: Connection, query: str, **values: Any) -> str:
        if connection.dialect.name == "postgresql":
            # So few rows are read faster than looked up; what counts is that an index can serve.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            query = f"EXPLAIN {query}"
        else:
            query = f"EXPLAIN QUERY PLAN {query}"
        rows = connection.execute(text(query), values)
        return "\n".join(" ".join(map(str, row)) for row in rows)

    for query in postings._TRANSFERS.values():
        told = await store.read(plan, query.text, token=TOKEN, before=2**62, window=10, limit=5)
        for table in ("transfers", "postings", "jobs", "claims"):
            assert f"SCAN {table}\n" not in told, told
            assert f"Seq Scan on {table}" not in told, told
