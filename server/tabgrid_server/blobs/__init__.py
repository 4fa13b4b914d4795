"""Large outputs: kept by their SHA-256, outside of the database.

``tickets`` signs addresses, ``uploads`` takes what nodes send, ``keeper`` ties files to
their rows in the store and lets them go, ``folder`` and ``s3`` are where the bytes lie.
"""

from __future__ import annotations

from ..settings import Settings
from .base import BlobDamaged, Blobs, BlobsUnavailable
from .folder import Folder
from .keeper import Keeper
from .parts import clean
from .tickets import Signer, load_or_create_secret
from .uploads import Uploads

__all__ = [
    "BlobDamaged",
    "Blobs",
    "BlobsUnavailable",
    "Keeper",
    "Signer",
    "Uploads",
    "open_blobs",
    "open_signer",
    "open_uploads",
]


def open_blobs(settings: Settings) -> Blobs:
    """Where the settings say that blobs lie. Raises ``SettingsError``."""
    if not settings.blobs.url:
        return Folder(settings.data / "blobs")
    from .s3 import Bucket  # a folder does not need the library behind it

    return Bucket.of(settings.blobs)


def open_signer(settings: Settings) -> Signer:
    if settings.blobs.secret:
        return Signer(bytes.fromhex(settings.blobs.secret))
    return Signer(load_or_create_secret(settings.data / "keys" / "addresses.key"))


def open_uploads(settings: Settings, keeper: Keeper, signer: Signer) -> Uploads:
    """No upload of an earlier process goes on: what it left half written is removed."""
    incoming = settings.data / "blobs" / "incoming"
    clean(incoming)
    return Uploads(settings.blobs, keeper, signer, incoming)
