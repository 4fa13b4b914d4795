"""The store as the coordinator uses it: transactions, and the hot path that groups them."""

from __future__ import annotations

from typing import ParamSpec, Self, TypeVar

from .. import migrations
from .database import Database, Query, open_database
from .group_commit import GroupCommit
from .records import NewJob, Refund, Settlement

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """Everything durable. Ordinary queries go through ``read`` and ``write``:

        job = await store.read(jobs.get, job_id)
        key = await store.write(keys.create, key, ...)

    The three writes of every job (submit, settle, refund) are committed in groups.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._commits = GroupCommit(database)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, bring the schema up to date, and start the writer."""
        database = open_database(url)
        try:
            await database.write(migrations.upgrade)
        except BaseException:
            await database.close()
            raise
        store = cls(database)
        store._commits.start()
        return store

    async def close(self) -> None:
        """Commit what was already asked for, then let go of the database."""
        await self._commits.stop()
        await self.database.close()

    async def read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query function on one snapshot. Raises ``StoreUnavailable``."""
        return await self.database.read(query, *args, **kwargs)

    async def write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query function and commit. Raises ``Conflict``, ``StoreUnavailable``."""
        return await self.database.write(query, *args, **kwargs)

    async def submit(self, job: NewJob) -> None:
        """Keep a job and hold its price; on return both are durable.

        Submitting the same job again changes nothing. Raises ``InsufficientFunds``,
        ``Conflict`` (another job has this id), ``StoreUnavailable``.
        """
        await self._commits.do(job)

    async def settle(self, settlement: Settlement) -> None:
        """Finish a job with its result, receipt and pay, exactly once.

        Raises ``AlreadyFinished``, ``NotFound``, ``Unbalanced`` (more than was held),
        ``StoreUnavailable``.
        """
        await self._commits.do(settlement)

    async def refund(self, refund: Refund) -> None:
        """Finish a job without a result and give its hold back, exactly once.

        Raises ``AlreadyFinished``, ``NotFound``, ``StoreUnavailable``.
        """
        await self._commits.do(refund)
