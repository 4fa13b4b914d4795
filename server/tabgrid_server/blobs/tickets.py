"""Addresses that carry their own permission: signed by us, for one thing, until a time.

Whoever has such an address may use it until it expires, so they are short-lived and are
given only to who may have what they lead to.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import Literal

from ..errors import GridError

DOMAIN = b"tabgrid/address/v1\0"
#: Bytes of a secret, as many as SHA-256 gives.
SECRET = 32

What = Literal["upload", "image"]


class BadTicket(GridError):
    status, type, code = 403, "permission_error", "bad_signature"

    def __init__(self) -> None:
        super().__init__("The signature of this address is wrong, or it has expired.")


class Signer:
    """HMAC-SHA-256 over what an address is for, whose it is, and when it ends."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, what: What, subject: str, expires: int) -> str:
        """Lower-case hex, for ``subject`` (a job's or lease's id) until ``expires`` (unix s)."""
        message = b"%s%s\0%s\0%d" % (DOMAIN, what.encode(), subject.encode(), expires)
        return hmac.digest(self._secret, message, "sha256").hex()

    def query(self, what: What, subject: str, expires: int) -> str:
        return f"expires={expires}&signature={self.sign(what, subject, expires)}"

    def check(self, what: What, subject: str, expires: int, signature: str, now: float) -> None:
        """Raise ``BadTicket`` unless we signed exactly this, and it has not ended."""
        wanted = self.sign(what, subject, expires)
        if not hmac.compare_digest(wanted.encode(), signature.encode()) or expires < now:
            raise BadTicket


def load_or_create_secret(path: Path) -> bytes:
    """The secret in ``path``; made, for its owner's eyes only, if there is none.

    It outlives restarts, so that addresses which were given out do too.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text("ascii"))
    secret = secrets.token_bytes(SECRET)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secret.hex())
        file.flush()
        os.fsync(file.fileno())
    return secret
