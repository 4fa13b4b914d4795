"""A bucket of blobs, at Amazon's S3 or anything that speaks its protocol (through obstore)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from ..settings import Blobs as BlobSettings
from ..settings import SettingsError
from .base import BlobDamaged, BlobsUnavailable, proved

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config

#: A job's user waits meanwhile: better to say "not now" than to hang.
RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
TIMEOUT = timedelta(seconds=30)


class Bucket:
    """``Blobs`` in a bucket. Keys are ``PREFIX/ab/abcdef…``."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    @classmethod
    def of(cls, settings: BlobSettings) -> Bucket:
        """As ``settings.url`` says. What it leaves out, obstore takes from AWS's own variables
        and from the machine's role."""
        parts = urlsplit(settings.url)
        if parts.scheme != "s3" or not parts.netloc:
            raise SettingsError(
                f'blobs.url {settings.url!r}: leave it empty for a folder, or use "s3://bucket/prefix".'
            )
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=_config(settings),
            client_options={
                "allow_http": settings.endpoint.startswith("http://"),
                "timeout": TIMEOUT,
            },
            retry_config=RETRIES,
        )
        return cls(store)

    async def put(self, digest: str, part: Path) -> None:
        async with _translated(digest):
            await self._store.put_async(_key(digest), part)

    async def get(self, digest: str) -> bytes:
        async with _translated(digest):
            answer = await self._store.get_async(_key(digest))
            content = bytes(await answer.bytes_async())
        return await asyncio.to_thread(proved, digest, content)

    async def delete(self, digest: str) -> None:
        try:
            async with _translated(digest):
                await self._store.delete_async(_key(digest))
        except BlobDamaged:
            return  # it was not there


def _config(settings: BlobSettings) -> S3Config:
    config: S3Config = {}
    if settings.region:
        config["region"] = settings.region
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    if settings.access_key:
        config["access_key_id"] = settings.access_key
        config["secret_access_key"] = settings.secret_key
    return config


def _key(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


@asynccontextmanager
async def _translated(digest: str) -> AsyncIterator[None]:
    """The library's errors in our words."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BlobDamaged(digest) from error
    except (BaseError, OSError) as error:
        # Only the first line: the rest quotes the whole answer of the store.
        raise BlobsUnavailable(str(error).partition("\n")[0][:300]) from error
