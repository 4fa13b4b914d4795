"""Weights on disk, named by their SHA-256, so that what has the name has the content.

    CACHE/weights/<sha256>          whole and verified (renamed last)
    CACHE/weights/<sha256>.part     as far as a broken download came
    CACHE/models/<digest>/<path>    the same files under the names a graph knows them by

Nothing is believed because it lies here: every load hashes, and what is wrong is fetched
again. Processes that share a cache take turns at a file (``flock``).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import httpx

from tabgrid_models.manifest import File, Manifest, Variant

from .hosts import CannotRun, ConnectionLost, DownloadProgress

#: Read size for hashing: large enough that Python costs nothing.
BLOCK = 1024 * 1024
#: Between two looks whether another process still has a file, in seconds.
LOOK_S = 0.1


class WeightCache:
    def __init__(self, folder: Path, http: httpx.AsyncClient) -> None:
        self._weights = folder / "weights"
        self._models = folder / "models"
        self._http = http

    async def fetch(self, manifest: Manifest, variant: Variant, progress: DownloadProgress) -> Path:
        """A folder with the variant's files. Raises CannotRun or ConnectionLost."""
        files = (*manifest.shared, *variant.files)
        total = sum(file.size for file in files)
        folder = self._models / manifest.digest()
        before = 0
        try:
            self._weights.mkdir(parents=True, exist_ok=True)
            for file in files:
                path = await self._file(file, partial(_shifted, progress, before, total))
                await asyncio.to_thread(link, path, folder / file.path)
                before += file.size
                progress(before, total)
        except OSError as error:
            raise CannotRun(f"Its files cannot be kept in {self._weights}: {error}") from error
        return folder

    def missing(self, files: Iterable[File]) -> int:
        """Bytes of them that do not lie here, by their names and sizes alone."""
        return sum(file.size for file in files if not _lies(self._weights / file.sha256, file.size))

    async def _file(self, file: File, progress: Callable[[int], None]) -> Path:
        path = self._weights / file.sha256
        if await asyncio.to_thread(is_right, path, file):
            return path
        part = path.with_suffix(".part")
        async with locked(part) as stream:
            # Another process may have finished it while we waited for our turn.
            if not await asyncio.to_thread(is_right, path, file):
                await self._download(file, stream, progress)
                await asyncio.to_thread(os.fsync, stream.fileno())
                part.rename(path)
        return path

    async def _download(
        self, file: File, stream: BinaryIO, progress: Callable[[int], None]
    ) -> None:
        """Go on from where ``stream`` ends. What turns out wrong is fetched once more, whole."""
        for _ in range(2):
            await self._append(file, stream, progress)
            if await asyncio.to_thread(digest_of, stream) == file.sha256:
                return
            stream.truncate(0)
        raise CannotRun(
            f"The grid serves a corrupted file: {file.path} is not {file.sha256[:12]}….",
            "bad_model",
        )

    async def _append(self, file: File, stream: BinaryIO, progress: Callable[[int], None]) -> None:
        have = stream.seek(0, os.SEEK_END)
        if have >= file.size:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            async with self._http.stream("GET", f"/weights/{file.sha256}", headers=headers) as got:
                check_status(got, file.path)
                if got.status_code != httpx.codes.PARTIAL_CONTENT:
                    have = stream.seek(stream.truncate(0))
                async for chunk in got.aiter_bytes():
                    have += len(chunk)
                    if have > file.size:
                        raise CannotRun(
                            f"The grid serves a corrupted file: {file.path} is longer.", "bad_model"
                        )
                    stream.write(chunk)
                    progress(have)
        except httpx.TransportError as error:
            raise ConnectionLost(f"The download of {file.path} broke off.") from error
        finally:
            stream.flush()


def check_status(response: httpx.Response, what: str) -> None:
    """Raises CannotRun where trying again cannot help, ConnectionLost where it may."""
    if response.is_success:
        return
    if response.status_code in (404, 410, 416):
        raise CannotRun(
            f"The grid does not have {what} (HTTP {response.status_code}).", "bad_model"
        )
    raise ConnectionLost(f"The grid does not give {what} (HTTP {response.status_code}).")


def _lies(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def is_right(path: Path, file: File) -> bool:
    """Whether the file is there with the right content."""
    try:
        with path.open("rb") as stream:
            return path.stat().st_size == file.size and digest_of(stream) == file.sha256
    except FileNotFoundError:
        return False


def digest_of(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while block := stream.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def link(path: Path, name: Path) -> None:
    """Let ``name`` be the same file: a hard link, a copy where the disk knows none."""
    if name.exists() and name.samefile(path):
        return
    name.parent.mkdir(parents=True, exist_ok=True)
    new = name.with_name(f".{name.name}.{os.getpid()}")
    try:
        os.link(path, new)
    except OSError:
        shutil.copyfile(path, new)
    new.replace(name)


@contextlib.asynccontextmanager
async def locked(path: Path) -> AsyncIterator[BinaryIO]:
    """The file, opened for reading and appending, while no other process has it."""
    # Not a thread that waits in ``flock``: nothing calls it back, and a process that is to end
    # would have to wait for it, for as long as the other one downloads.
    while (stream := _open_locked(path)) is None:  # noqa: ASYNC110 - another process has no event
        await asyncio.sleep(LOOK_S)
    try:
        yield stream
    finally:
        stream.close()


def _open_locked(path: Path) -> BinaryIO | None:
    """None while another process has it."""
    stream = path.open("a+b")
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(stream.fileno()).st_ino:
            return stream
        # It was finished and renamed meanwhile: what we hold is the whole file now.
    stream.close()
    return None


def _shifted(progress: DownloadProgress, before: int, total: int, done: int) -> None:
    progress(before + done, total)
