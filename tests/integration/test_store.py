"""The store on both engines: one set of tests, so that they cannot drift apart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event, text

from tabgrid_server import ledger
from tabgrid_server.ledger import InsufficientFunds, Unbalanced
from tabgrid_server.store import (
    AlreadyFinished,
    ApiKey,
    Conflict,
    Credit,
    NotFound,
    Session,
    Store,
    StoreUnavailable,
    jobs,
    keys,
    receipts,
    sessions,
    stats,
)
from tabgrid_server.store import ledger as books
from tests.support.books import (
    CREDIT,
    TOKEN,
    USAGE,
    add_owner,
    new_job,
    opened,
    refund,
    settlement,
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'books.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """One owner, alice, with credit. Whatever a test does, the audit must pass after it."""
    async with opened(url) as store:
        await add_owner(store)
        yield store


async def credit(store: Store, owner: str = "alice") -> Credit:
    return await store.read(books.credit, owner, TOKEN)


async def test_a_submitted_job_is_kept_and_its_price_held(store: Store) -> None:
    await store.submit(new_job())
    assert await store.read(jobs.unfinished) == [new_job()]
    kept = await store.read(jobs.get, "job_1")
    assert kept is not None
    assert (kept.state, kept.usage, kept.public) == ("queued", USAGE, True)
    assert await credit(store) == Credit(available=CREDIT - 100, held=100, spent=0)


async def test_a_settled_job_has_result_receipt_and_pay(store: Store) -> None:
    await store.submit(new_job())
    await store.settle(settlement())
    job = await store.read(jobs.get, "job_1")
    content = await store.read(jobs.content, "job_1")
    receipt = await store.read(receipts.get, "job_1")
    assert job is not None
    assert content is not None
    assert receipt is not None
    assert (job.state, job.wallet, job.dtype, job.attempts) == ("done", "Wallet1", "q8", 1)
    assert (job.assigned_at, job.returned_at, job.finished_at) == (1_001.0, 1_002.0, 1_003.0)
    assert (content.input, content.output) == (b"\x00input", b"\xffoutput")
    assert receipt.body == b'{"job":"job_1"}'
    assert receipt.hash == sha256(receipt.body).hexdigest()
    assert await credit(store) == Credit(available=CREDIT - 100, held=0, spent=100)
    summary = await store.read(books.wallet_summary, "Wallet1", TOKEN)
    assert (summary.withheld, summary.earned, summary.jobs_done) == (95, 95, 1)
    assert summary.next_release_at == 1_023.0
    assert await store.read(jobs.unfinished) == []


async def test_public_pictures_are_found_and_nothing_else(store: Store) -> None:
    """Newest first; what is private, not done, of another kind or let go is not among them."""
    draws = {"connector": "text-to-image"}
    asked = [
        new_job("job_1", **draws, submitted_at=1.0, input=b"first"),
        new_job("job_2", **draws, submitted_at=2.0, public=False),
        new_job("job_3", submitted_at=3.0),
        new_job("job_4", **draws, submitted_at=4.0, input=b"last"),
        new_job("job_5", **draws, submitted_at=5.0),
    ]
    for job in asked:
        await store.submit(job)
    for number in range(1, 5):
        await store.settle(settlement(f"job_{number}"))
    found = await store.read(jobs.pictures, 10)
    assert [(job.id, input) for job, input in found] == [("job_4", b"last"), ("job_1", b"first")]
    assert [job.id for job, _ in await store.read(jobs.pictures, 1)] == ["job_4"]


async def test_public_pictures_of_any_age_are_reached_page_by_page(store: Store) -> None:
    """Two were submitted at one time; between them lie jobs of other kinds."""
    times = [1.0, 2.0, 2.0, 3.0]
    for number, at in enumerate(times):
        drawn = new_job(f"job_{number}", connector="text-to-image", submitted_at=at)
        for job in (drawn, new_job(f"other_{number}", submitted_at=at)):
            await store.submit(job)
            await store.settle(settlement(job.id))
    found: list[str] = []
    while page := await store.read(jobs.pictures, 1, found[-1] if found else None):
        found += [job.id for job, _ in page]
    assert found == ["job_3", "job_2", "job_1", "job_0"]
    assert await store.read(jobs.pictures, 10, "job_of_nobody") == []


@pytest.mark.parametrize("before", [None, "job_1"])
async def test_public_pictures_are_found_by_their_index(tmp_path: Path, before: str | None) -> None:
    """Whatever else a grid has done, it is not read through."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path / 'books.db'}") as store:
        plans = await store.read(plan_of_pictures, before)
    [way] = [line for line in plans if line.split()[1] == "jobs" and "ix_jobs" in line]
    assert "USING INDEX ix_jobs_pictures" in way
    assert not any("ORDER BY" in line for line in plans), "in the index's own order"


def plan_of_pictures(connection: Connection, before: str | None) -> list[str]:
    """How SQLite goes about the very query that the store sends."""
    told: list[str] = []

    def explain(_conn: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        told.extend(row[3] for row in cursor.fetchall())

    event.listen(connection, "before_cursor_execute", explain)
    jobs.pictures(connection, 12, before)
    event.remove(connection, "before_cursor_execute", explain)
    return told


async def test_a_cheaper_result_returns_the_rest(store: Store) -> None:
    await store.submit(new_job())
    await store.settle(settlement(price=60, fee=3))
    assert await credit(store) == Credit(available=CREDIT - 60, held=0, spent=60)


async def test_a_dearer_result_is_refused_and_can_be_settled_right(store: Store) -> None:
    await store.submit(new_job())
    with pytest.raises(Unbalanced):
        await store.settle(settlement(price=101))
    await store.settle(settlement())


async def test_a_job_ends_once(store: Store) -> None:
    await store.submit(new_job())
    await store.settle(settlement())
    with pytest.raises(AlreadyFinished) as done:
        await store.settle(settlement(wallet="Thief"))
    assert done.value.state == "done"
    with pytest.raises(AlreadyFinished):
        await store.refund(refund())
    assert await store.read(books.balance, "node:Thief:withheld", TOKEN) == 0


async def test_of_many_ends_at_once_one_wins(store: Store) -> None:
    await store.submit(new_job())
    ends = [store.settle(settlement(wallet=f"W{n}")) for n in range(5)]
    ends += [store.refund(refund()) for _ in range(5)]
    outcomes = await asyncio.gather(*ends, return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, AlreadyFinished) for outcome in outcomes) == 9


async def test_two_servers_on_one_database_settle_once(store: Store, url: str) -> None:
    other = await Store.open(url)
    try:
        await store.submit(new_job())
        outcomes = await asyncio.gather(
            *(one.settle(settlement(wallet="W1")) for one in (store, other) for _ in range(3)),
            return_exceptions=True,
        )
        assert outcomes.count(None) == 1
    finally:
        await other.close()


async def test_two_servers_book_for_the_same_people_at_once(store: Store, url: str) -> None:
    other = await Store.open(url)
    try:
        ids = [f"job_{n:03}" for n in range(60)]
        for step in (
            [(store, other)[n % 2].submit(new_job(id)) for n, id in enumerate(ids)],
            [(other, store)[n % 2].settle(settlement(id)) for n, id in enumerate(ids)],
        ):
            assert set(await asyncio.gather(*step)) == {None}
        assert await store.read(books.balance, "node:Wallet1:withheld", TOKEN) == 60 * 95
    finally:
        await other.close()


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_a_refunded_job_costs_nothing(store: Store, state: str) -> None:
    await store.submit(new_job())
    await store.refund(refund(state=state))
    job = await store.read(jobs.get, "job_1")
    assert job is not None
    assert (job.state, job.error_code, job.error) == (state, "no_node", "No node took it.")
    assert await credit(store) == Credit(available=CREDIT, held=0, spent=0)


async def test_without_credit_nothing_is_kept(store: Store) -> None:
    with pytest.raises(InsufficientFunds):
        await store.submit(new_job(price=CREDIT + 1))
    assert await store.read(jobs.get, "job_1") is None


async def test_credit_is_not_overdrawn_by_many_at_once(store: Store) -> None:
    wanted = [store.submit(new_job(f"job_{n}", price=CREDIT // 4)) for n in range(6)]
    outcomes = await asyncio.gather(*wanted, return_exceptions=True)
    assert outcomes.count(None) == 4
    assert (await credit(store)).available == 0


async def test_submitting_again_changes_nothing(store: Store) -> None:
    for _ in range(3):
        await store.submit(new_job())
    assert (await credit(store)).held == 100
    with pytest.raises(Conflict):
        await store.submit(new_job(owner="mallory"))


async def test_an_unknown_job_cannot_end(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.settle(settlement("job_none"))
    with pytest.raises(NotFound):
        await store.refund(refund("job_none"))


async def test_a_free_job_is_settled_too(store: Store) -> None:
    await store.submit(new_job(price=0, fee=0))
    await store.settle(settlement(price=0, fee=0))
    assert await store.read(receipts.get, "job_1") is not None


async def test_text_of_any_kind_is_kept(store: Store) -> None:
    odd = "naïve 🦊 %s %(x)s :name ' \" ; --"
    await store.submit(new_job(model=odd))
    await store.settle(settlement(device=odd))
    job = await store.read(jobs.get, "job_1")
    assert job is not None
    assert (job.model, job.device) == (odd, odd)


async def test_pages_go_back_in_time_and_filter(store: Store) -> None:
    await add_owner(store, "bob")
    for n in range(6):
        # Two at each time: the id decides between them.
        owner = "bob" if n % 2 else "alice"
        await store.submit(new_job(f"job_{n}", owner=owner, submitted_at=1_000.0 + n // 2))
    await store.settle(settlement("job_3"))
    newest = await store.read(jobs.page, 4)
    assert [job.id for job in newest] == ["job_5", "job_4", "job_3", "job_2"]
    older = await store.read(jobs.page, 4, newest[-1].id)
    assert [job.id for job in older] == ["job_1", "job_0"]
    assert [job.id for job in await store.read(jobs.page, 9, wallet="Wallet1")] == ["job_3"]
    assert [job.id for job in await store.read(jobs.page, 9, "job_5", owner="bob")] == [
        "job_3",
        "job_1",
    ]
    assert await store.read(jobs.page, 9, "job_none") == []


async def test_unfinished_jobs_come_in_the_order_of_submission(store: Store) -> None:
    for n in (3, 1, 2):
        await store.submit(new_job(f"job_{n}", submitted_at=1_000.0 + n))
    await store.refund(refund("job_2"))
    assert [job.id for job in await store.read(jobs.unfinished)] == ["job_1", "job_3"]


async def test_earnings_are_released_when_due_once_and_by_wallet(store: Store) -> None:
    for n in range(6):
        await store.submit(new_job(f"job_{n}"))
        await store.settle(settlement(f"job_{n}", wallet=f"W{n % 2}", release_at=2_000.0 + n))
    assert await store.write(books.release_due, 1_999.0, 100) == []
    first = await store.write(books.release_due, 2_004.0, 100)
    assert {(r.wallet, r.amount, r.jobs) for r in first} == {("W0", 285, 3), ("W1", 190, 2)}
    assert await store.write(books.release_due, 2_004.0, 100) == []
    summary = await store.read(books.wallet_summary, "W1", TOKEN)
    assert (summary.withheld, summary.claimable, summary.earned) == (95, 190, 285)
    assert summary.next_release_at == 2_005.0


async def test_a_release_takes_at_most_its_limit(store: Store) -> None:
    for n in range(5):
        await store.submit(new_job(f"job_{n}"))
        await store.settle(settlement(f"job_{n}", release_at=2_000.0 + n))
    released = [await store.write(books.release_due, 3_000.0, 2) for _ in range(4)]
    assert [sum(r.jobs for r in turn) for turn in released] == [2, 2, 1, 0]


async def test_a_claim_names_the_jobs_that_it_pays(store: Store) -> None:
    await store.submit(new_job())
    await store.settle(settlement())
    await store.write(books.mark_claimed, "Wallet1", TOKEN, "claim_0")
    assert await claim_of(store, "job_1") is None  # still withheld
    await store.write(books.release_due, 3_000.0, 100)
    await store.write(books.mark_claimed, "Wallet1", TOKEN, "claim_1")
    assert await claim_of(store, "job_1") == "claim_1"
    await store.write(books.unmark_claimed, "claim_1")
    assert await claim_of(store, "job_1") is None


async def claim_of(store: Store, job_id: str) -> str | None:
    job = await store.read(jobs.get, job_id)
    assert job is not None
    return job.claim


async def test_a_transfer_is_booked_once(store: Store) -> None:
    grant = ledger.grant("again", "alice", 7, TOKEN, 5.0)
    assert await store.write(books.post, grant)
    assert not await store.write(books.post, grant)
    assert (await credit(store)).available == CREDIT + 7


async def test_the_database_itself_refuses_an_overdraft(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.write(
            lambda connection: connection.execute(
                text("UPDATE balances SET amount = -1 WHERE account = 'user:alice:credit'")
            )
        )


async def test_keys_are_found_by_hash_until_revoked(store: Store) -> None:
    found = await store.read(keys.by_hash, "hash of alice")
    assert found == ApiKey(
        id="key_alice", owner="alice", label="alice", created_at=1.0, revoked_at=None
    )
    assert await store.read(keys.by_hash, "another") is None
    assert await store.write(keys.revoke, "key_alice", 9.0)
    assert not await store.write(keys.revoke, "key_alice", 10.0)
    assert await store.read(keys.listing) == [replace(found, revoked_at=9.0)]


async def test_a_hash_belongs_to_one_key(store: Store) -> None:
    twin = ApiKey(id="key_2", owner="mallory", label="", created_at=2.0, revoked_at=None)
    with pytest.raises(Conflict):
        await store.write(keys.create, twin, "hash of alice", 5, TOKEN)
    assert await store.read(books.balance, "user:mallory:credit", TOKEN) == 0


def session(token_hash: str = "t", expires_at: float = 200.0) -> Session:
    return Session(
        token_hash=token_hash,
        wallet="W",
        worker_key="K",
        device_id="D",
        created_at=100.0,
        expires_at=expires_at,
    )


async def test_a_session_ends_by_time_or_sign_out(store: Store) -> None:
    await store.write(sessions.create, session())
    assert await store.read(sessions.find, "t", 199.0) == session()
    assert await store.read(sessions.find, "t", 200.0) is None
    assert await store.read(sessions.find, "other", 150.0) is None
    assert await store.write(sessions.revoke, "t", 150.0)
    assert not await store.write(sessions.revoke, "t", 151.0)
    assert await store.read(sessions.find, "t", 152.0) is None


async def test_a_second_session_of_a_wallet_notes_that_it_was_seen(store: Store) -> None:
    await store.write(sessions.create, session("t1"))
    await store.write(sessions.create, replace(session("t2"), created_at=150.0))
    rows = await store.read(
        lambda c: c.execute(text("SELECT first_seen, last_seen FROM wallets")).all()
    )
    assert [tuple(row) for row in rows] == [(100.0, 150.0)]


async def test_of_many_that_use_a_challenge_one_gets_it(store: Store) -> None:
    await store.write(sessions.put_challenge, "n", b"body", 200.0)
    tries = (store.write(sessions.consume_challenge, "n", 150.0) for _ in range(6))
    bodies = await asyncio.gather(*tries)
    assert sorted(bodies, key=bool) == [None] * 5 + [b"body"]


async def test_a_challenge_is_refused_late_unknown_or_twice_issued(store: Store) -> None:
    await store.write(sessions.put_challenge, "n", b"body", 200.0)
    assert await store.write(sessions.consume_challenge, "n", 200.0) is None
    assert await store.write(sessions.consume_challenge, "other", 150.0) is None
    with pytest.raises(Conflict):
        await store.write(sessions.put_challenge, "n", b"other", 300.0)


async def test_purging_forgets_what_is_over_and_nothing_else(store: Store) -> None:
    await store.write(sessions.create, session("old", 150.0))
    await store.write(sessions.create, session("new", 300.0))
    await store.write(sessions.put_challenge, "old", b"", 150.0)
    await store.write(sessions.put_challenge, "new", b"", 300.0)
    assert await store.write(sessions.purge, 200.0) == 2
    assert await store.read(sessions.find, "new", 200.0) is not None
    assert await store.write(sessions.consume_challenge, "new", 200.0) == b""


async def test_totals_and_the_last_hour(store: Store) -> None:
    for n in range(5):
        await store.submit(new_job(f"job_{n}", submitted_at=6_000.0))
    for n in range(3):
        await store.settle(settlement(f"job_{n}", finished_at=6_001.0 + n))
    await store.refund(refund("job_3", finished_at=6_005.0))
    totals = await store.read(stats.totals)
    assert (totals.done, totals.failed, totals.cancelled) == (3, 1, 0)
    assert (totals.settled, totals.paid) == ({TOKEN: 285}, {})
    hour = await store.read(stats.hour_series, 6_065.0)
    assert len(hour) == 60
    assert (hour[-2].at, hour[-2].done, hour[-2].p50_ms) == (6_000.0, 3, 2_000.0)
    assert (hour[-1].at, hour[-1].done, hour[-1].p50_ms) == (6_060.0, 0, None)


async def test_receipts_are_numbered_in_the_order_of_settlement(store: Store) -> None:
    for n in range(4):
        await store.submit(new_job(f"job_{n}"))
    for n in (2, 0, 3):
        await store.settle(settlement(f"job_{n}"))
    ordered = await store.read(receipts.after, 0, 10)
    assert [receipt.job_id for receipt in ordered] == ["job_2", "job_0", "job_3"]
    later = await store.read(receipts.after, ordered[0].seq, 1)
    assert [receipt.job_id for receipt in later] == ["job_0"]


async def test_what_was_kept_is_there_after_opening_again(url: str) -> None:
    async with opened(url) as store:
        await add_owner(store)
        await store.submit(new_job())
    async with opened(url) as store:
        assert await store.read(jobs.unfinished) == [new_job()]
        await store.settle(settlement())


async def test_a_full_disk_acknowledges_nothing_and_passes(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'books.db'}") as store:
        await add_owner(store)
        pages = await store.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        await set_page_limit(store, pages + 4)
        big = [new_job(f"job_{n}", input=bytes(100_000)) for n in range(3)]
        outcomes = await asyncio.gather(*map(store.submit, big), return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        assert await store.read(jobs.unfinished) == []
        assert (await credit(store)).held == 0
        await set_page_limit(store, 2**30)
        await store.submit(big[0])


async def set_page_limit(store: Store, pages: int) -> None:
    """SQLite's own way to run out of room, on the writer's connection."""
    await store.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))


async def test_a_locked_file_is_unavailable_and_then_works(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'books.db'}") as store:
        await add_owner(store)
        other = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
        await store.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 50"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.submit(new_job())
        other.execute("ROLLBACK")
        other.close()
        await store.submit(new_job())


@pytest.mark.postgres
async def test_a_lost_connection_is_unavailable_and_then_works(postgres_url: str) -> None:
    async with opened(postgres_url) as store:
        await add_owner(store)
        other = await Store.open(postgres_url)
        await other.read(
            lambda c: c.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).all()
        )
        await other.close()
        with pytest.raises(StoreUnavailable):
            await store.submit(new_job())
        await store.submit(new_job())
        assert [job.id for job in await store.read(jobs.unfinished)] == ["job_1"]


@pytest.mark.parametrize("bad", ["mysql://x/y", "sqlite://", "sqlite:///:memory:"])
async def test_an_engine_that_we_do_not_have_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="use sqlite:///FILE or postgresql://"):
        await Store.open(bad)


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await Store.open(f"sqlite:///{tmp_path / 'none' / 'books.db'}")
