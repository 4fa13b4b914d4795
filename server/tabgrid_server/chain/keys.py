"""Keypairs as Solana's own tools write them: 64 numbers in JSON, or 64 bytes in base58."""

from __future__ import annotations

import json
import os
from pathlib import Path

from solders.keypair import Keypair

from .panics import is_foreign


class KeyFileError(Exception):
    """There is no usable keypair there; never says what is."""


def load(path: Path) -> Keypair:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise KeyFileError(f"There is no keypair file {path}.") from error
    except (OSError, ValueError):
        raise KeyFileError(f"{path} is not a readable keypair file.") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Keypair:
    """The keypair written in ``text``, which came from ``where``. Raises ``KeyFileError``."""
    # Causes are dropped: their texts and what they hold could quote the key.
    try:
        text = text.strip()
        if text.startswith("["):
            return Keypair.from_bytes(bytes(json.loads(text)))
        return Keypair.from_base58_string(text)
    except BaseException as error:
        if not is_foreign(error):
            raise
    raise KeyFileError(f"{where} holds no keypair (64 numbers, or 64 bytes in base58).")


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
