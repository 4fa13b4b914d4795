"""A folder of blobs: each a file under its digest, written whole or not at all."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from .base import BlobDamaged, BlobsUnavailable, proved


class Folder:
    """``Blobs`` in a local folder, sharded by the first byte of the digest: 256 folders keep
    a million files listable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, digest: str, part: Path) -> None:
        await asyncio.to_thread(self._put, digest, part)

    async def get(self, digest: str) -> bytes:
        return await asyncio.to_thread(self._get, digest)

    async def delete(self, digest: str) -> None:
        await asyncio.to_thread(self._delete, digest)

    def path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _put(self, digest: str, part: Path) -> None:
        """``part`` was synced by who wrote it; the rename must survive a power cut too."""
        path = self.path(digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise BlobsUnavailable(f"{path}: {error.strerror}") from error

    def _get(self, digest: str) -> bytes:
        try:
            return proved(digest, self.path(digest).read_bytes())
        except FileNotFoundError as error:
            raise BlobDamaged(digest) from error
        except OSError as error:
            raise BlobsUnavailable(f"{self.path(digest)}: {error.strerror}") from error

    def _delete(self, digest: str) -> None:
        try:
            with suppress(FileNotFoundError):
                self.path(digest).unlink()
        except OSError as error:
            raise BlobsUnavailable(f"{self.path(digest)}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
