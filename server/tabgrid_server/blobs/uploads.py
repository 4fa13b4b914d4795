"""Large outputs on their way in: who may send what, how much, and how long it may take.

An assignment carries a signed address for its lease. What comes there is written to disk
and hashed as it comes, and belongs to that lease alone until its Result is booked.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tabgrid_models.connectors.base import InvalidOutput
from tabgrid_wire.messages import INLINE_OUTPUT, MAX_BLOB, Blob

from ..errors import BadRequest, GridError
from ..settings import Blobs as BlobSettings
from .keeper import Keeper
from .parts import Part
from .tickets import Signer

#: A node that lost its connection may come again before we notice that the old one is dead.
PER_LEASE = 2
#: What one lease may send: its output, and what lay between the steps to it.
KEPT_PER_LEASE = 2


class LeaseOver(GridError):
    status, type, code = 410, "invalid_request_error", "stale_lease"


class BlobTooLarge(GridError):
    status, type, code = 413, "invalid_request_error", "blob_too_large"


class WrongDigest(GridError):
    status, type, code = 422, "invalid_request_error", "wrong_digest"


class UploadTooSlow(GridError):
    status, type, code = 408, "invalid_request_error", "upload_too_slow"


class UploadTaken(GridError):
    status, type, code = 409, "invalid_request_error", "upload_taken"


class TooManyUploads(GridError):
    status, type, code = 503, "server_error", "too_many_uploads"
    retry_after = 1


class Uploads:
    """All uploads of one coordinator. ``holds`` says whether a lease is still somebody's."""

    def __init__(
        self, settings: BlobSettings, keeper: Keeper, signer: Signer, incoming: Path
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._signer = signer
        self._folder = incoming
        self._running: Counter[str] = Counter()
        #: What each lease has sent.
        self._sent: dict[str, tuple[Blob, ...]] = {}
        #: Digests of what was sent and will be nobody's.
        self._left: list[str] = []
        #: Digests of accepted answers that are not booked yet.
        self._booking: Counter[str] = Counter()
        self.holds: Callable[[str], bool] = lambda lease: False

    def __contains__(self, digest: object) -> bool:
        """Whether an answer that is under way has this blob."""
        sent = (blob for blobs in self._sent.values() for blob in blobs)
        return digest in self._booking or any(blob.digest == digest for blob in sent)

    def address(self, lease: str, seconds: float) -> str:
        """Where the holder of ``lease`` may ``PUT`` its output, ``{digest}`` filled in by it."""
        expires = math.ceil(time.time() + seconds)
        return f"/api/blobs/{{digest}}?lease={lease}&" + self._signer.query(
            "upload", lease, expires
        )

    def check(self, lease: str, expires: int, signature: str) -> None:
        """Raise ``BadTicket`` or ``LeaseOver`` for whoever may not upload."""
        self._signer.check("upload", lease, expires, signature, time.time())
        if not self.holds(lease):
            raise LeaseOver("This job was handed to another node, or has its answer.")

    async def receive(
        self, lease: str, digest: str, announced: int, chunks: AsyncIterator[bytes]
    ) -> None:
        """Keep what comes from ``lease``. Again with the same bytes: nothing."""
        self._check_size(announced)
        with self._place(lease):
            try:
                async with asyncio.timeout(self._settings.upload_s), Part(self._folder) as part:
                    await self._fill(part, announced, chunks)
                    if await part.finish() != digest:
                        raise WrongDigest("The bytes are not those that their digest says.")
                    await self._keep(lease, Blob(digest, part.size), part)
            except TimeoutError:
                seconds = self._settings.upload_s
                raise UploadTooSlow(f"The upload took longer than {seconds} s.") from None

    def _check_size(self, announced: int) -> None:
        limit = min(self._settings.max_bytes, MAX_BLOB)
        if announced > limit:
            raise BlobTooLarge(f"{announced} bytes; at most {limit} are taken.")
        if announced <= INLINE_OUTPUT:
            raise BadRequest(f"{announced} bytes fit into a frame; larger ones are uploaded.")

    async def _fill(self, part: Part, announced: int, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            if part.size + len(chunk) > announced:
                raise BlobTooLarge(f"More than the announced {announced} bytes came.")
            await part.write(chunk)
        if part.size != announced:
            raise BadRequest(f"{announced} bytes were announced and {part.size} came.")

    async def _keep(self, lease: str, blob: Blob, part: Part) -> None:
        if not self.holds(lease):
            raise LeaseOver("The lease ended while its output was on the way.")
        if not self._may_send(lease, blob):
            raise UploadTaken("This lease has sent all that belongs to an answer already.")
        await self._keeper.add(blob.digest, blob.size, part.path)
        if not self._may_send(lease, blob):
            self._left.append(blob.digest)
            raise UploadTaken("This lease has sent all that belongs to an answer already.")
        if blob not in self._sent.get(lease, ()):
            self._sent[lease] = (*self._sent.get(lease, ()), blob)

    def _may_send(self, lease: str, blob: Blob) -> bool:
        sent = self._sent.get(lease, ())
        return blob in sent or len(sent) < KEPT_PER_LEASE

    @contextmanager
    def _place(self, lease: str) -> Iterator[None]:
        if self._running[lease] >= PER_LEASE or self._running.total() >= self._settings.uploads:
            raise TooManyUploads("Too many uploads at once; try again in a second.")
        self._running[lease] += 1
        try:
            yield
        finally:
            self._running[lease] -= 1
            if not self._running[lease]:
                del self._running[lease]

    # --- the answer that names it -----------------------------------------------------

    async def output_of(self, lease: str, blob: Blob) -> bytes:
        """The bytes that ``lease`` uploaded. Raises ``InvalidOutput`` if they are not ``blob``,
        ``BlobsUnavailable`` and ``BlobDamaged`` if they cannot be read."""
        if blob not in self._sent.get(lease, ()):
            raise InvalidOutput("it names a blob that was not uploaded for this job")
        return await self._keeper.get(blob.digest)

    async def kept(self, digest: str) -> bytes:
        """The bytes of an answer that was booked. Raises as ``output_of``."""
        return await self._keeper.get(digest)

    def accepted(self, lease: str, output: Blob | None) -> None:
        """The lease has its answer; ``output`` is nobody's orphan until that is ``booked``.

        What else it sent was looked at, and is of no use any more.
        """
        sent = self._sent.pop(lease, ())
        self._left += [blob.digest for blob in sent if blob != output]
        if output is not None:
            self._booking[output.digest] += 1

    def booked(self, digest: str) -> None:
        self._booking[digest] -= 1
        if self._booking[digest] <= 0:
            del self._booking[digest]

    async def sweep(self, limit: int) -> int:
        """Let go of what no job needs; how many blobs were looked at."""
        over = [lease for lease in self._sent if not self.holds(lease)]
        left = [blob.digest for lease in over for blob in self._sent.pop(lease)]
        left, self._left = left + self._left, []
        await self._keeper.hasten(left)
        return await self._keeper.sweep(self, limit)
