"""What has to be done again and again: release earnings, forget what has ended.

Each turn takes a bounded piece of each kind, so that no transaction keeps jobs waiting.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from .blobs import BlobsUnavailable
from .services import Services
from .store import StoreUnavailable, retention
from .store import ledger as stored_ledger
from .store import sessions as stored_sessions

log = structlog.get_logger("tabgrid.house")

#: Earnings become claimable within this of their time.
RELEASE_S = 1.0
RELEASE_BATCH = 1_000
#: Sessions and challenges that ended are only dead weight: no hurry.
PURGE_S = 3_600
#: Content is let go, and blobs are looked at, within this of their time.
EXPIRE_S = 5.0
#: A few milliseconds of the one writer, in which jobs wait.
EXPIRE_BATCH = 200
BLOB_BATCH = 100
#: A job's end is written a moment after the time that it bears; a store that was away for
#: longer than this, over the very end of the rule, costs a second look after a restart.
LATE_S = 600.0


async def keep_house(made: Services) -> None:
    """Until cancelled. What the store or the blobs refuse is tried again at the next turn."""
    house = House(made)
    while True:
        try:
            busy = await house.turn(time.time())
        except (StoreUnavailable, BlobsUnavailable) as error:
            busy = False
            log.error("cannot keep house; trying again", why=getattr(error, "why", str(error)))
        if not busy:
            await asyncio.sleep(RELEASE_S)


class House:
    def __init__(self, made: Services) -> None:
        self._made = made
        self._store = made.store
        self._purged = self._expired = 0.0
        #: Per grid: jobs that ended before this have no content any more.
        self._clean_until: dict[str, float] = {}

    async def turn(self, now: float) -> bool:
        """One piece of everything that is due; True if more of it waits."""
        busy = await self._release(now)
        if now - self._purged > PURGE_S:
            await self._store.write(stored_sessions.purge, now)
            self._purged = now
        if now - self._expired > EXPIRE_S:
            pieces = [await self._expire(grid, now) for grid in self._made.settings.grids]
            pieces.append(await self._made.coordinator.uploads.sweep(BLOB_BATCH) >= BLOB_BATCH)
            if not any(pieces):
                self._expired = now
            busy = busy or any(pieces)
        return busy

    async def _release(self, now: float) -> bool:
        released = await self._store.write(stored_ledger.release_due, now, RELEASE_BATCH)
        return sum(release.jobs for release in released) >= RELEASE_BATCH

    async def _expire(self, grid: str, now: float) -> bool:
        before = now - self._made.settings.grids[grid].keep_s
        if grid not in self._clean_until:
            self._clean_until[grid] = await self._store.read(retention.newest_expired, grid)
        after = self._clean_until[grid] - LATE_S
        write = self._store.write
        count = await write(retention.expire, grid, after, before, EXPIRE_BATCH, now)
        if count < EXPIRE_BATCH:
            self._clean_until[grid] = before
        return count >= EXPIRE_BATCH
