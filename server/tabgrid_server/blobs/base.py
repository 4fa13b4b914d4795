"""What a place for blobs can do, and what can go wrong with it.

GridError
├── BlobsUnavailable   503, the disk is full or the object store is away
└── BlobDamaged        500, the bytes are gone or are not what their name says
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from ..errors import GridError


class BlobsUnavailable(GridError):
    status, type, code = 503, "server_error", "blobs_unavailable"
    retry_after = 5

    def __init__(self, why: str) -> None:
        super().__init__("The grid cannot keep or read large results right now. Try again soon.")
        #: For the log only: it may name folders and hosts.
        self.why = why

    def __str__(self) -> str:
        return str(self.args[0])


class BlobDamaged(GridError):
    status, type, code = 500, "server_error", "blob_damaged"

    def __init__(self, digest: str) -> None:
        super().__init__("This result is damaged or missing in the grid's storage.")
        self.digest = digest


class Blobs(Protocol):
    """Bytes by their lower-case hex SHA-256. All methods may raise ``BlobsUnavailable``."""

    async def put(self, digest: str, part: Path) -> None:
        """Keep the bytes of ``part``, durably; the file may be moved away. Idempotent."""

    async def get(self, digest: str) -> bytes:
        """All bytes. Raises ``BlobDamaged`` if they are not there, or not those."""

    async def delete(self, digest: str) -> None:
        """Gone afterwards, whether or not it was there."""


def proved(digest: str, content: bytes) -> bytes:
    """``content``, if it is what its name says: disks and stores can rot."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise BlobDamaged(digest)
    return content
