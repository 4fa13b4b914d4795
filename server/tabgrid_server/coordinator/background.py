"""Work that goes on beside the one thing at a time: kept hold of, and its failures told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog

from ..lasting import end

log = structlog.get_logger("tabgrid.coordinator")

#: The name of work that writes what was computed: a process that ends waits for it.
BOOKING = "booking"
#: Of work that only looks: a node can be asked again.
CHECKING = "checking"


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        task = asyncio.create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def booked(self, deadline: float) -> None:
        """Wait until nothing is left to book, or until ``deadline``, monotonic."""
        while booking := {t for t in self._tasks if t.get_name() == BOOKING}:
            _, late = await asyncio.wait(booking, timeout=max(0.5, deadline - time.monotonic()))
            if late:
                break

    @property
    def busy(self) -> bool:
        """Whether an answer is looked through or booked: all but what never ends."""
        return any(task.get_name() in (CHECKING, BOOKING) for task in self._tasks)

    async def stop(self) -> None:
        await end(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)
