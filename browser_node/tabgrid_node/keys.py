"""Keys of a native node: the wallet's in a file of Solana's command line, the worker's in memory.

The worker key is made anew at every start and bound to the wallet by the sign-in: it signs
results all day, so it is the one that is never written down. The wallet key is used once,
for the sign-in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
from solders.keypair import Keypair

#: 32 bytes of seed and 32 of public key, as ``solana-keygen`` writes them.
LENGTH = 64


class KeypairProblem(Exception):
    """The keypair file cannot be used; the text says what to do."""


def read_keypair(path: Path) -> Keypair:
    """Raises KeypairProblem."""
    try:
        numbers = msgspec.json.decode(path.read_bytes(), type=list[int])
        if len(numbers) != LENGTH:
            raise ValueError(f"{len(numbers)} numbers instead of {LENGTH}")
        return Keypair.from_bytes(bytes(numbers))
    except FileNotFoundError as error:
        raise KeypairProblem(
            f"There is no keypair at {path}. Make one with --create or with solana-keygen new."
        ) from error
    except OSError as error:
        raise KeypairProblem(f"Cannot read {path}: {error.strerror}.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise KeypairProblem(
            f"{path} is not a keypair of Solana's command line ({LENGTH} numbers in JSON): {error}."
        ) from error


def create_keypair(path: Path) -> Keypair:
    """A new keypair in a new file that only its owner can read. Raises KeypairProblem."""
    keypair = Keypair()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: an existing key is somebody's money and is never overwritten.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise KeypairProblem(f"Cannot create {path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as stream:
        json.dump(list(bytes(keypair)), stream)
    return keypair


class KeySigner:
    """A worker key in memory."""

    def __init__(self, keypair: Keypair | None = None) -> None:
        self._keypair = keypair or Keypair()

    @property
    def public(self) -> str:
        """Base 58."""
        return str(self._keypair.pubkey())

    async def sign(self, message: bytes) -> bytes:
        return bytes(self._keypair.sign_message(message))
