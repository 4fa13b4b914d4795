"""Many callers, one commit.

A commit costs the same for one job as for two hundred, so commands that arrive while a
commit is under way wait for it and share the next. An idle store commits at once: there
is no timer, and one job alone pays for one commit.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import suppress

from . import batch, stats
from .batch import Command
from .database import Database
from .errors import Conflict, StoreUnavailable

#: Commands in one transaction: long enough that the sync no longer shows in a command's
#: cost, short enough that the last one in does not wait noticeably longer than the first.
MAX_BATCH = 256

_Waiting = tuple[Command, "asyncio.Future[None]"]


class GroupCommit:
    """The one writer of jobs. ``do`` returns once its command is durable.

    A caller that is cancelled while it waits does not know whether its command was kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        #: What nodes earned, corrected, by token: read once, then counted on.
        self.earned: Counter[str] = Counter()
        self._unsure = False

    async def start(self) -> None:
        """Raises ``StoreUnavailable``."""
        await self._count()
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self) -> None:
        """Commit what waits, then end. Later commands raise ``StoreUnavailable``."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def do(self, command: Command) -> None:
        """Commit ``command``, or raise why it was refused."""
        if self._closing or self._task is None:
            raise StoreUnavailable("The store is closed.")
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        self._wake.set()
        await future

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._commit(self._take())

    async def _count(self) -> None:
        """Only this writer changes what nodes earned: between its commits there is one answer."""
        self.earned = Counter(await self._database.read(stats.earned))
        self._unsure = False

    async def _write(self, commands: list[Command]) -> list[Exception | None]:
        if self._unsure:
            with suppress(StoreUnavailable):
                await self._count()
        try:
            done = await self._database.write(batch.run, commands)
        except Conflict:
            raise  # nothing of it was kept
        except Exception:
            self._unsure = True  # a lost connection may hide a commit
            raise
        self.earned.update(done.earned)
        return done.outcomes

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        while self._waiting and len(taken) < MAX_BATCH:
            waiting = self._waiting.popleft()
            if not waiting[1].done():  # its caller was cancelled before we began
                taken.append(waiting)
        return taken

    async def _commit(self, taken: list[_Waiting]) -> None:
        taken.sort(key=_order)
        commands = [command for command, _ in taken]
        try:
            outcomes = await self._write(commands)
        except Conflict as error:
            # One bad command must not take the others with it.
            outcomes = [error] if len(taken) == 1 else await self._each(commands)
        except Exception as error:  # a bug here must reach the callers, not end the writer
            outcomes = [error] * len(taken)
        for (_, future), outcome in zip(taken, outcomes, strict=True):
            _answer(future, outcome)

    async def _each(self, commands: list[Command]) -> list[Exception | None]:
        outcomes: list[Exception | None] = []
        for command in commands:
            try:
                outcomes += await self._write([command])
            except Exception as error:  # as above: it belongs to this caller
                outcomes.append(error)
        return outcomes


def _order(waiting: _Waiting) -> int:
    """What the trust policy was told is kept in the order in which it was told."""
    step = batch.step_of(waiting[0])
    return 0 if step is None else step.first


def _answer(future: asyncio.Future[None], outcome: Exception | None) -> None:
    if future.done():
        return
    if outcome is None:
        future.set_result(None)
    else:
        future.set_exception(outcome)
