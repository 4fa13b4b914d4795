"""A file on its way in: hashed while it is written, gone unless somebody takes it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from .base import BlobsUnavailable

#: Written and hashed in pieces of this many bytes: few hops to a thread, little memory.
PIECE = 1024 * 1024
#: The ledger may lie on the same disk, and must still be able to write when we are full.
RESERVE = 256 * 1024 * 1024
SUFFIX = ".part"


class Part:
    """``async with Part(folder) as part``: write, finish, then take ``path`` away or lose it.

    Whoever waits for a thread may be cancelled while it goes on. So each piece of work holds
    the lock, and the file is closed only after it: a number of a closed file is soon that of
    another one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / (secrets.token_hex(16) + SUFFIX)
        self.size = 0
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._file: FileIO | None = None
        self._over = False
        self._lock = threading.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._work(self._open)
        except BaseException:
            await self._ended()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._ended()

    async def _ended(self) -> None:
        """Shielded: cancelled before its thread began, the end would never come."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._end))

    async def write(self, data: bytes) -> None:
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= PIECE:
            await self._work(self._flush)

    async def finish(self) -> str:
        """On disk for good; the SHA-256 of what was written, in lower-case hex."""
        await self._work(self._sync)
        return self._hash.hexdigest()

    async def _work(self, work: Callable[[], None]) -> None:
        """Raises ``BlobsUnavailable``."""
        await asyncio.to_thread(self._guarded, work)

    def _guarded(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._over:
                return  # given up before its turn came: nobody waits for it
            try:
                work()
            except OSError as error:
                raise BlobsUnavailable(f"{self.path}: {error.strerror}") from error

    def _open(self) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(folder).free < RESERVE:
            raise BlobsUnavailable(f"less than {RESERVE} bytes are free in {folder}")
        self._file = self.path.open("xb", buffering=0)

    def _flush(self) -> None:
        assert self._file is not None
        data, self._waiting = bytes(self._waiting), bytearray()
        self._hash.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def _sync(self) -> None:
        assert self._file is not None
        self._flush()
        os.fsync(self._file.fileno())

    def _end(self) -> None:
        with self._lock:
            self._over = True
            if self._file is not None:
                self._file.close()
            self.path.unlink(missing_ok=True)


def clean(folder: Path) -> None:
    """Remove what an earlier process left half written."""
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)
