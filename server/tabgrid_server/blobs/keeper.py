"""Ties blobs to their rows: what is kept has a row, and what nobody needs is let go.

The row is written before the bytes and deleted after them, so that whatever dies when, no
bytes are left without a row that leads to them. Several jobs may have one blob: equal
prompts with equal seeds make equal pictures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container
from pathlib import Path

from ..store import Store
from ..store import blobs as stored
from .base import Blobs

#: One digest always has one lock; that others share it only makes them wait a moment.
LOCKS = 64


class Keeper:
    """All blobs of one coordinator. There is one process: two would need locks in the store."""

    def __init__(self, store: Store, blobs: Blobs, orphan_s: int) -> None:
        self._store = store
        self._blobs = blobs
        self._orphan_s = orphan_s
        self._locks = [asyncio.Lock() for _ in range(LOCKS)]

    async def add(self, digest: str, size: int, part: Path) -> None:
        """Keep a finished file. Unless a job refers to it, it goes after ``orphan_s``."""
        now = time.time()
        async with self._lock(digest):
            await self._store.write(stored.note, digest, size, now, now + self._orphan_s)
            await self._blobs.put(digest, part)

    async def get(self, digest: str) -> bytes:
        return await self._blobs.get(digest)

    async def sweep(self, in_hand: Container[str], limit: int) -> int:
        """Look at blobs that are due; how many there were.

        ``in_hand`` are those of answers that are being booked in this moment.
        """
        now = time.time()
        due = await self._store.read(stored.due, now, limit)
        for digest in due:
            async with self._lock(digest):
                if digest not in in_hand and await self._store.write(stored.unneeded, digest, now):
                    await self._blobs.delete(digest)
                    await self._store.write(stored.forget, digest)
        return len(due)

    async def hasten(self, digests: list[str]) -> None:
        """Look at these soon: the answer that they belonged to will not come."""
        await self._store.write(stored.look_at, digests, time.time())

    def _lock(self, digest: str) -> asyncio.Lock:
        return self._locks[int(digest[:8], 16) % LOCKS]
