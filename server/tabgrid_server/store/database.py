"""One database behind two verbs: ``read`` and ``write``, each one transaction.

Queries are plain functions of a ``sqlalchemy.Connection``; this file decides where they
run. On SQLite that is a thread of our own: one writer, two readers, and one hop between
threads for a whole transaction, where an async driver would hop for every statement. On
PostgreSQL it is asyncpg in the event loop, under SQLAlchemy's greenlet bridge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from .errors import Conflict, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")
#: A whole transaction: all its queries, and nothing but queries.
Query = Callable[Concatenate[Connection, P], T]

#: Readers beside the writer. SQLite reads are short; more threads only fight for the GIL.
SQLITE_READERS = 2
#: How long a SQLite writer waits for a writer in another process (the CLI, a backup).
SQLITE_BUSY_MS = 5_000
#: Connections to PostgreSQL: the group commit, and everything else beside it.
POSTGRES_POOL = 8
#: Seconds that a transaction waits for one of them.
POSTGRES_WAIT_S = 30.0
#: Seconds that letting go of them may take: a server that is not there answers no farewell.
POSTGRES_CLOSE_S = 3.0


class Database(Protocol):
    """Where transactions run."""

    async def read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``query`` on one snapshot. Raises ``StoreUnavailable``."""
        ...

    async def write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``query`` and commit. Raises ``Conflict`` or ``StoreUnavailable``; then
        nothing of it has been kept, save that a lost connection may hide a commit."""
        ...

    async def migrate(self, upgrade: Query[[], None]) -> None:
        """``write``, however long it takes."""
        ...

    async def close(self) -> None: ...


def open_database(url: str, within: float | None = None) -> Database:
    """``sqlite:///path`` or ``postgresql://user@host/name``; drivers are chosen here.

    ``within``: seconds after which a transaction is ``StoreUnavailable``, where a server that
    does not answer could keep it for ever.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return SqliteDatabase(Path(parsed.database))
    if backend == "postgresql":
        return PostgresDatabase(parsed.set(drivername="postgresql+asyncpg"), within)
    raise ValueError(
        f"database url {parsed.render_as_string()!r}: use sqlite:///FILE or postgresql://…"
    )


def open_existing(url: str) -> Database:
    """The same, for whoever only reads. Raises ``ValueError`` where there is nothing to read:
    SQLite would make an empty file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise ValueError(f"There is no database at {parsed.database}.")
    return open_database(url)


class SqliteDatabase:
    """A file in WAL mode: readers never wait for the writer, and every commit is synced."""

    def __init__(self, path: Path) -> None:
        self._engine = _sqlite_engine(path)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(SQLITE_READERS, thread_name_prefix="store-reader")
        self._writing = self._engine.execution_options(tabgrid_begin="BEGIN IMMEDIATE")

    async def read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._readers, lambda: _transact(self._engine, query, *args, **kwargs)
        )

    async def write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._writer, lambda: _transact(self._writing, query, *args, **kwargs)
        )

    async def migrate(self, upgrade: Query[[], None]) -> None:
        await self.write(upgrade)

    async def close(self) -> None:
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()


class PostgresDatabase:
    """A PostgreSQL server, spoken to from the event loop."""

    def __init__(self, url: URL, within: float | None = None) -> None:
        self._within = within
        self._engine = create_async_engine(
            url,
            pool_size=POSTGRES_POOL,
            max_overflow=0,
            pool_pre_ping=False,
            pool_timeout=POSTGRES_WAIT_S,
        )
        # The default gives every statement a snapshot of its own.
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ")

    async def read(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transact(self._within, self._reading, query, *args, **kwargs)

    async def write(self, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transact(self._within, self._engine, query, *args, **kwargs)

    async def migrate(self, upgrade: Query[[], None]) -> None:
        await self._transact(None, self._engine, upgrade)

    async def _transact(
        self,
        within: float | None,
        engine: AsyncEngine,
        query: Query[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        try:
            # A connection on which it is cancelled is dropped, with whatever it was about to do.
            async with asyncio.timeout(within), engine.connect() as connection, connection.begin():
                return await connection.run_sync(query, *args, **kwargs)
        except (DBAPIError, NoConnection, OSError) as error:
            raise translated(error) from error

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POSTGRES_CLOSE_S):
                await self._engine.dispose()


#: Classes of SQLSTATE that say "not now": connection, resources (disk full, too many
#: connections), operator intervention (shutdown), system error.
_NOT_NOW = ("08", "53", "57", "58")
#: Serialisation failure and deadlock: another writer was faster.
_RACE = ("40001", "40P01")


def translated(error: DBAPIError | NoConnection | OSError) -> Exception:
    """The driver's error in the store's words; a bug in a query stays what it is."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = str(getattr(cause, "sqlstate", None) or "")
    if isinstance(error, IntegrityError) or sqlstate in _RACE:
        return Conflict(str(cause))
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    unavailable = isinstance(error, OperationalError | InterfaceError | NoConnection | OSError)
    if lost or unavailable or sqlstate.startswith(_NOT_NOW):
        return StoreUnavailable(f"The database cannot be used now: {cause}")
    return error


def _transact(engine: Engine, query: Query[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        with engine.connect() as connection, connection.begin():
            return query(connection, *args, **kwargs)
    except (DBAPIError, OSError) as error:
        raise translated(error) from error


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"isolation_level": None, "timeout": SQLITE_BUSY_MS / 1000},
        # One connection for each thread that can ask, so that none ever waits.
        pool_size=SQLITE_READERS + 1,
        max_overflow=0,
        pool_use_lifo=True,  # the connection used last has the warmest cache
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        for pragma in (
            "journal_mode = WAL",
            # NORMAL may lose acknowledged commits when the power fails.
            "synchronous = FULL",
            "foreign_keys = ON",
            # 16 MiB: hot pages are copied back less often, an eighth fewer bytes per job.
            "wal_autocheckpoint = 4000",
            "cache_size = -65536",  # 64 MiB: the hot end of the tables and their indexes
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # pysqlite's own BEGIN comes late and deferred: two writers could then deadlock.
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get("tabgrid_begin", "BEGIN"))

    return engine
