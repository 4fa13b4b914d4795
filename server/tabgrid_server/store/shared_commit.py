"""Transactions of several callers in one commit, each as if it were alone.

A commit waits for the disk, as long for one change as for fifty, and SQLite has one writer. So
changes that arrive while a commit is under way share the next. Each runs behind a savepoint: one
that raises takes back only what it did itself. Changes of a kind that has a way to do many at
once (``together``) are done so. What anybody is told is true once the commit of all of them is;
if that fails, all are told so.

Reads that arrive while one is under way share the next one's snapshot in the same way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from .database import Database, translated
from .errors import Conflict, StoreUnavailable
from .together import LEFT, Together

#: Long enough that the disk no longer shows, short enough that nobody waits for it noticeably.
MOST = 64


class Call(msgspec.Struct, frozen=True):
    """A query and what it is to be run with."""

    query: Callable[..., Any]
    args: tuple[Any, ...]

    def run(self, connection: Connection) -> Any:
        return self.query(connection, *self.args)


class _Waiting(msgspec.Struct):
    call: Call
    done: asyncio.Future[Any]


class _Raised(msgspec.Struct):
    error: Exception


class Shared:
    """``do`` returns once its call is done, and durable if it is a change. ``run`` does several.

    A caller that is cancelled while it waits does not know whether its change was kept.
    """

    def __init__(self, run: Callable[[list[Call]], Any]) -> None:
        self._all = run
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def do(self, call: Call) -> Any:
        """What it returns, or raises; ``StoreUnavailable`` if it was not kept."""
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="shared-commit")
        return await waiting.done

    async def stop(self) -> None:
        """Do what waits."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._do(self._take())
        finally:
            self._task = None
            while self._waiting:  # cancelled: nobody would come for these
                _tell(self._waiting.popleft(), _Raised(StoreUnavailable("The store is closed.")))

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        while self._waiting and len(taken) < MOST:
            waiting = self._waiting.popleft()
            if not waiting.done.done():  # its caller was cancelled before we began
                taken.append(waiting)
        return taken

    async def _do(self, taken: Sequence[_Waiting]) -> None:
        try:
            told = await self._all([waiting.call for waiting in taken])
        except Conflict as error:  # another process was in the way of one of them
            if len(taken) > 1:
                for each in taken:
                    await self._do([each])
                return
            told = [_Raised(error)]
        except Exception as error:  # of the commit, so of all of them
            told = [_Raised(error)] * len(taken)
        for waiting, outcome in zip(taken, told, strict=True):
            _tell(waiting, outcome)


def shared_commit(database: Database) -> Shared:
    return Shared(lambda calls: database.write(_change, calls))


def shared_read(database: Database) -> Shared:
    return Shared(lambda calls: database.read(_read, calls))


def _tell(waiting: _Waiting, outcome: Any) -> None:
    if waiting.done.done():
        return
    if isinstance(outcome, _Raised):
        waiting.done.set_exception(outcome.error)
    else:
        waiting.done.set_result(outcome)


def _change(connection: Connection, calls: list[Call]) -> list[Any]:
    if len(calls) == 1 and not isinstance(calls[0].query, Together):
        return [calls[0].run(connection)]  # the transaction itself is its savepoint
    return _each(connection, calls, _behind_savepoint)


def _read(connection: Connection, calls: list[Call]) -> list[Any]:
    return _each(connection, calls, lambda connection, run: run(connection))


_Run = Callable[[Connection], Any]


def _each(
    connection: Connection, calls: list[Call], safely: Callable[[Connection, _Run], Any]
) -> list[Any]:
    told: list[Any] = [LEFT] * len(calls)
    for query in dict.fromkeys(call.query for call in calls):
        if not isinstance(query, Together):
            continue
        places = [place for place, call in enumerate(calls) if call.query is query]
        arguments = [calls[place].args for place in places]
        done = safely(connection, query.all_of(arguments))
        if not isinstance(done, _Raised):  # else something was the matter with one of them
            for place, outcome in zip(places, done, strict=True):
                told[place] = outcome
    return [
        safely(connection, call.run) if outcome is LEFT else outcome
        for call, outcome in zip(calls, told, strict=True)
    ]


def _behind_savepoint(connection: Connection, change: _Run) -> Any:
    try:
        with connection.begin_nested():
            return change(connection)
    except Exception as error:
        known = translated(error) if isinstance(error, DBAPIError) else error
        if isinstance(known, StoreUnavailable):
            raise  # nothing more can be done on this connection
        return _Raised(known)
