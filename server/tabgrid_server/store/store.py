"""The store as the coordinator uses it: transactions, and the hot path that groups them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Self, TypeVar, TypeVarTuple, Unpack

from sqlalchemy import Connection

from .. import migrations
from .database import Database, Query, open_database
from .effects import TrustStep
from .group_commit import GroupCommit
from .records import NewJob, Refund, Settlement
from .shared_commit import Call, shared_commit, shared_read

P = ParamSpec("P")
T = TypeVar("T")
Args = TypeVarTuple("Args")


#: Seconds for a transaction: many times what the longest takes. A database that needs longer is
#: as good as gone, and whoever waits for it had better hear so.
WITHIN_S = 60.0


class Store:
    """Everything durable. Ordinary queries go through ``read`` and ``write``:

        job = await store.read(jobs.get, job_id)
        key = await store.write(keys.create, key, ...)

    The three writes of every job (submit, settle, refund), and what the trust policy decides of
    it, are committed in groups.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._commits = GroupCommit(database)
        self._changes, self._looks = shared_commit(database), shared_read(database)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, bring the schema up to date, and start the writer."""
        database = open_database(url, WITHIN_S)
        try:
            await database.migrate(migrations.upgrade)
        except BaseException:
            await database.close()
            raise
        store = cls(database)
        try:
            await store._commits.start()
        except BaseException:
            await database.close()
            raise
        return store

    async def close(self) -> None:
        """Commit what was already asked for, then let go of the database."""
        await self._commits.stop()
        await self._changes.stop()
        await self._looks.stop()
        await self.database.close()

    def earned(self, token: str) -> int:
        """What nodes earned since the beginning, less what checks took of it, in base units."""
        return self._commits.earned[token]

    async def read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query function on one snapshot. Raises ``StoreUnavailable``."""
        return await self.database.read(query, *args, **kwargs)

    async def write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query function and commit. Raises ``Conflict``, ``StoreUnavailable``."""
        return await self.database.write(query, *args, **kwargs)

    async def join(self, query: Callable[[Connection, Unpack[Args]], T], *args: *Args) -> T:
        """``write``, for what many do at once: it may share its commit with others."""
        done: T = await self._changes.do(Call(query, args))
        return done

    async def join_read(self, query: Callable[[Connection, Unpack[Args]], T], *args: *Args) -> T:
        """``read``, for what many ask at once: it may share its snapshot with others."""
        found: T = await self._looks.do(Call(query, args))
        return found

    async def submit(self, job: NewJob) -> None:
        """Keep a job and hold its price; on return both are durable.

        Submitting the same job again changes nothing. Raises ``InsufficientFunds``,
        ``Conflict`` (another job has this id), ``Repeated`` (its owner has a job of this name),
        ``StoreUnavailable``.
        """
        await self._commits.do(job)

    async def settle(self, settlement: Settlement) -> None:
        """Finish a job with its result, receipt and pay, exactly once.

        What ``settlement.trust`` says is kept in the same transaction, and kept all the same if
        the job had its end. Raises ``AlreadyFinished``, ``NotFound``, ``Unbalanced`` (more than
        was held), ``StoreUnavailable`` (``OutOfOrder`` among them).
        """
        await self._commits.do(settlement)

    async def trust_step(self, step: TrustStep) -> None:
        """Keep what the trust policy was told, and book what follows, exactly once.

        Raises ``StoreUnavailable`` (``OutOfOrder`` among them).
        """
        await self._commits.do(step)

    async def refund(self, refund: Refund) -> None:
        """Finish a job without a result and give its hold back, exactly once.

        Raises ``AlreadyFinished``, ``NotFound``, ``StoreUnavailable``.
        """
        await self._commits.do(refund)
