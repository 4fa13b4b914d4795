"""Keypair files, as Solana's own tools write them: a JSON list of 64 numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from solders.keypair import Keypair

from .panics import foreign


class KeyFileError(Exception):
    """There is no usable keypair in the file; never says what is in it."""


def load(path: Path) -> Keypair:
    try:
        numbers = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise KeyFileError(f"There is no keypair file {path}.") from error
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{path} is not a readable keypair file.") from error
    # The cause is dropped: its text could quote the key.
    with foreign(lambda reason: KeyFileError(f"{path} holds no keypair (64 numbers).")):
        return Keypair.from_bytes(bytes(numbers))


def load_or_create(path: Path) -> Keypair:
    """The keypair in ``path``; made, for its owner's eyes only, if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return load(path)
    keypair = Keypair()
    with os.fdopen(file, "w", encoding="utf-8") as out:
        json.dump(list(bytes(keypair)), out)
        out.flush()
        os.fsync(out.fileno())
    return keypair
