"""Work that goes on as long as the process does: it survives its failures, and does end.

A loop that dies unseen leaves a coordinator that answers as ever, and hands out no job again, or
pays nobody, until somebody restarts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

from .chain.panics import is_foreign

log = structlog.get_logger("tabgrid.lasting")

#: Before work that failed begins again: what fails at once would else do nothing but fail.
AGAIN_S = 1.0
#: How long a task that was cancelled may take for its last things, before it is told again.
LAST_THINGS_S = 2.0


async def kept(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do ``work`` until it is done, beginning it again where it fails; or until cancelled."""
    while True:
        try:
            return await work()
        except BaseException as error:
            # Not ``Exception`` alone: what solders raises on bad data may be none.
            if not isinstance(error, Exception) and not is_foreign(error):
                raise
            log.error("it failed, and begins again", work=name, exc_info=error)
        await asyncio.sleep(AGAIN_S)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel them, and wait until they have ended.

    Who goes on is cancelled again. Some take a cancel for the answer that came in the same moment:
    on Python 3.11 ``asyncio.wait_for`` does, which SQLAlchemy waits for a connection with.
    """
    going = every = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=LAST_THINGS_S)
    await asyncio.gather(*every, return_exceptions=True)
