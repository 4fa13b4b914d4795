"""What has to be done again and again: release earnings, count, forget what has ended.

Each turn takes a bounded piece of each kind, so that no transaction keeps jobs waiting.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import structlog

from .blobs import BlobsUnavailable
from .coordinator.orders import Orders
from .services import Services
from .store import Conflict, StoreUnavailable, idempotency, retention, tallies
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
UNPAID_BATCH = 500
NAMES_BATCH = 500
#: Receipts counted at a time: about a megabyte, and some milliseconds of the one writer.
TALLY_BATCH = 1_000
#: Charts by the hour show two days; the rest is a margin for who changes that.
HOURS_KEPT_S = 8 * 86_400
#: A job's end is written a moment after the time that it bears; a store that was away for
#: longer than this, over the very end of the rule, costs a second look after a restart.
LATE_S = 600.0


async def keep_house(made: Services) -> None:
    """Until cancelled. What the store or the blobs refuse is tried again at the next turn."""
    house = House(made)
    while True:
        try:
            busy = await house.turn(time.time())
        except (StoreUnavailable, Conflict, BlobsUnavailable) as error:
            busy = False
            log.error("cannot keep house; trying again", why=getattr(error, "why", str(error)))
        if not busy:
            await asyncio.sleep(RELEASE_S)


class House:
    def __init__(self, made: Services) -> None:
        self._made = made
        self._store = made.store
        self._orders = Orders(made.store, made.coordinator.auditing)
        self._purged = self._expired = 0.0
        #: Per grid: jobs that ended before this have no content any more.
        self._clean_until: dict[str, float] = {}

    async def turn(self, now: float) -> bool:
        """One piece of everything that is due; True if more of it waits."""
        busy = await self._release(now)
        busy = await self._tally() or busy
        await self._orders.turn(now)
        if now - self._purged > PURGE_S:
            await self._store.write(stored_sessions.purge, now)
            await self._store.write(tallies.forget, now - HOURS_KEPT_S)
            more = [await self._forget_unpaid(now), await self._forget_names(now)]
            if not any(more):
                self._purged = now
            busy = busy or any(more)
        if now - self._expired > EXPIRE_S:
            pieces = [await self._expire(grid, now) for grid in self._made.settings.grids]
            pieces.append(await self._made.coordinator.uploads.sweep(BLOB_BATCH) >= BLOB_BATCH)
            if not any(pieces):
                self._expired = now
            busy = busy or any(pieces)
        return busy

    async def _forget_unpaid(self, now: float) -> bool:
        before = now - retention.UNPAID_S
        ids = await self._store.read(retention.unpaid_long, before, UNPAID_BATCH)
        if ids:
            with suppress(Conflict):  # one is being paid right now: all stay until the next turn
                await self._store.write(retention.forget_unpaid, ids)
        return len(ids) >= UNPAID_BATCH

    async def _forget_names(self, now: float) -> bool:
        """What requests were called: more of them than deposits, at most one for each job."""
        before = now - idempotency.KEPT_S
        return await self._store.write(idempotency.forget, before, NAMES_BATCH) >= NAMES_BATCH

    async def _release(self, now: float) -> bool:
        released = await self._store.write(stored_ledger.release_due, now, RELEASE_BATCH)
        return sum(release.jobs for release in released) >= RELEASE_BATCH

    async def _tally(self) -> bool:
        """Count what was settled since the last time."""
        before, found = await self._store.read(tallies.pending, TALLY_BATCH)
        if found:
            await self._store.write(tallies.fold, before, found)
        return len(found) >= TALLY_BATCH

    async def _expire(self, grid: str, now: float) -> bool:
        before = now - self._made.settings.grids[grid].keep_s
        if grid not in self._clean_until:
            self._clean_until[grid] = await self._store.read(retention.newest_expired, grid)
        after = self._clean_until[grid] - LATE_S
        write = self._store.write
        count = await write(retention.expire, grid, after, before, EXPIRE_BATCH, now)
        if count < EXPIRE_BATCH:
            self._clean_until[grid] = before
        # Few answers are found wrong: their jobs are looked for one by one, whenever they ended.
        read = self._store.read
        held = await read(retention.kept_for_appeals, grid, before, EXPIRE_BATCH, now)
        if held:
            await write(retention.expire_these, held, now)
        return max(count, len(held)) >= EXPIRE_BATCH
