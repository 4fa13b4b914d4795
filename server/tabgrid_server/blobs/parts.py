"""A file on its way in: hashed while it is written, gone unless somebody takes it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
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
    """``async with Part(folder) as part``: write, finish, then take ``path`` away or lose it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / (secrets.token_hex(16) + SUFFIX)
        self.size = 0
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._handle = -1

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        self.path.unlink(missing_ok=True)

    async def write(self, data: bytes) -> None:
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= PIECE:
            await asyncio.to_thread(self._flush)

    async def finish(self) -> str:
        """On disk for good; the SHA-256 of what was written, in lower-case hex."""
        await asyncio.to_thread(self._finish)
        return self._hash.hexdigest()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if shutil.disk_usage(self.path.parent).free < RESERVE:
                raise BlobsUnavailable(f"less than {RESERVE} bytes are free in {self.path.parent}")
            self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise BlobsUnavailable(f"{self.path}: {error.strerror}") from error

    def _flush(self) -> None:
        self._hash.update(self._waiting)
        rest = memoryview(self._waiting)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            raise BlobsUnavailable(f"{self.path}: {error.strerror}") from error
        finally:
            rest.release()
        self._waiting = bytearray()

    def _finish(self) -> None:
        self._flush()
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise BlobsUnavailable(f"{self.path}: {error.strerror}") from error
        self._close()

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def clean(folder: Path) -> None:
    """Remove what an earlier process left half written."""
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)
