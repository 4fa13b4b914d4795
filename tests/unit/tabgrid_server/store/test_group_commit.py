"""How commands share commits. The database here is real; only its pace is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tabgrid_server import migrations
from tabgrid_server.ledger import InsufficientFunds
from tabgrid_server.store import AlreadyFinished, Conflict, Store, StoreUnavailable, jobs, stats
from tabgrid_server.store.database import SqliteDatabase
from tabgrid_server.store.group_commit import MAX_BATCH, GroupCommit
from tests.support.books import CREDIT, TOKEN, add_owner, new_job, opened, settlement


class Paced(SqliteDatabase):
    """Lets the test hold every write back, and tells how many commands came together."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[int] = []

    async def write(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], list):
            self.batches.append(len(args[0]))
        await self.gate.wait()
        return await super().write(query, *args, **kwargs)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Paced]:
    database = Paced(tmp_path / "books.db")
    await database.write(migrations.upgrade)
    await add_owner(Store(database))
    yield database
    database.gate.set()
    await database.close()


@pytest.fixture
async def commits(database: Paced) -> AsyncIterator[GroupCommit]:
    commits = GroupCommit(database)
    await commits.start()
    yield commits
    await commits.stop()


async def turns(count: int = 5) -> None:
    """Let every task that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_arrives_during_a_commit_shares_the_next(
    database: Paced, commits: GroupCommit
) -> None:
    database.gate.clear()
    tasks = [asyncio.create_task(commits.do(new_job("job_0")))]
    await turns()
    tasks += [asyncio.create_task(commits.do(new_job(f"job_{n}"))) for n in range(1, 50)]
    await turns()
    assert database.batches == [1]
    database.gate.set()
    await asyncio.gather(*tasks)
    assert database.batches == [1, 49]


async def test_a_batch_is_bounded(database: Paced, commits: GroupCommit) -> None:
    wanted = 2 * MAX_BATCH + 1
    await asyncio.gather(*(commits.do(new_job(f"job_{n}", price=1, fee=0)) for n in range(wanted)))
    assert max(database.batches) == MAX_BATCH
    assert sum(database.batches) == wanted


async def test_one_refusal_fails_alone(database: Paced, commits: GroupCommit) -> None:
    outcomes = await asyncio.gather(
        commits.do(new_job("job_1")),
        commits.do(new_job("job_2", price=CREDIT, fee=0)),
        commits.do(new_job("job_3")),
        commits.do(settlement("job_1")),
        commits.do(settlement("job_1")),
        return_exceptions=True,
    )
    assert database.batches == [5]
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        InsufficientFunds,
        type(None),
        type(None),
        AlreadyFinished,
    ]


async def test_a_command_that_the_schema_refuses_fails_alone(
    database: Paced, commits: GroupCommit
) -> None:
    # A fee above its price passes the ledger's hold and meets the table's own rule.
    outcomes = await asyncio.gather(
        commits.do(new_job("job_1")),
        commits.do(new_job("job_2", price=1, fee=2)),
        commits.do(new_job("job_3")),
        return_exceptions=True,
    )
    assert outcomes[0] is None
    assert isinstance(outcomes[1], Conflict)
    assert outcomes[2] is None
    assert database.batches == [3, 1, 1, 1]


async def test_a_command_that_no_driver_takes_fails_and_the_writer_lives(
    database: Paced, commits: GroupCommit
) -> None:
    with pytest.raises(Exception, match=r"too large|out of range"):
        await commits.do(new_job("job_1", units=2**70))
    await commits.do(new_job("job_2"))


async def test_a_caller_that_left_before_the_commit_is_forgotten(
    database: Paced, commits: GroupCommit
) -> None:
    database.gate.clear()
    first = asyncio.create_task(commits.do(new_job("job_1")))
    await turns()
    left = asyncio.create_task(commits.do(new_job("job_2")))
    await turns()
    left.cancel()
    database.gate.set()
    await first
    await commits.do(new_job("job_3"))
    assert await database.read(jobs.get, "job_2") is None


async def test_a_caller_that_left_during_the_commit_leaves_a_whole_job(
    database: Paced, commits: GroupCommit
) -> None:
    database.gate.clear()
    left = asyncio.create_task(commits.do(new_job("job_1")))
    await turns()
    left.cancel()
    await turns()
    database.gate.set()
    await commits.do(new_job("job_2"))
    assert [job.id for job in await database.read(jobs.unfinished)] == ["job_1", "job_2"]


async def test_stopping_commits_what_waits_and_refuses_what_comes(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'books.db'}") as store:
        await add_owner(store)
        commits = GroupCommit(store.database)
        await commits.start()
        task = asyncio.create_task(commits.do(new_job("job_1")))
        await turns(1)
        await commits.stop()
        await task
        with pytest.raises(StoreUnavailable):
            await commits.do(new_job("job_2"))
        assert await store.read(jobs.get, "job_1") is not None


class Losing(SqliteDatabase):
    """Commits, and loses the connection before it can say so."""

    lost = False

    async def write(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        done = await super().write(query, *args, **kwargs)
        if self.lost:
            raise StoreUnavailable("The connection was lost.")
        return done


async def test_what_nodes_earned_is_right_after_a_commit_that_was_not_heard_of(
    database: Paced, tmp_path: Path
) -> None:
    losing = Losing(tmp_path / "books.db")
    commits = GroupCommit(losing)
    await commits.start()
    for n in range(3):
        await commits.do(new_job(f"job_{n}"))
    await commits.do(settlement("job_0"))
    losing.lost = True
    with pytest.raises(StoreUnavailable):
        await commits.do(settlement("job_1"))
    losing.lost = False
    with pytest.raises(AlreadyFinished):
        await commits.do(settlement("job_1"))
    await commits.do(settlement("job_2"))
    assert commits.earned == await losing.read(stats.earned) == {TOKEN: 285}
    await commits.stop()
    await losing.close()
