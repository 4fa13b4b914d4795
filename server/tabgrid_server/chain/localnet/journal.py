"""What the chain did, as a file that is replayed at the next start.

One JSON object a line: first the genesis, then starts (which carry time on) and
transactions. The chain's state is in memory; this file is what makes it last.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Literal

import msgspec


class Genesis(msgspec.Struct, frozen=True, tag="genesis"):
    """Whence everything else is derived: blockhashes and the faucet's key."""

    seed: str
    version: Literal[1] = 1


class Started(msgspec.Struct, frozen=True, tag="started"):
    """From Unix time ``at`` and ``slot`` on, slots take ``slot_ms``."""

    at: float
    slot: int
    slot_ms: int


class Landed(msgspec.Struct, frozen=True, tag="landed"):
    """A transaction that was executed, for good or ill. ``raw`` is base64."""

    at: float
    slot: int
    raw: str

    @property
    def bytes(self) -> bytes:
        return base64.b64decode(self.raw)


Entry = Genesis | Started | Landed
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class JournalError(Exception):
    """The file cannot be replayed; the text says where and what helps."""


class Journal:
    """Entries in a file, or nowhere (``path`` None: a chain that forgets)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.entries = _read(path) if path and path.exists() else []
        self._file = _open(path) if path else None

    def append(self, entry: Entry) -> None:
        """Hand ``entry`` to the system: it outlives this process, not a power cut, which is
        enough for play money."""
        if self._file is not None:
            os.write(self._file, msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _read(path: Path) -> list[Entry]:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        # The process was killed while it wrote: nobody was told of that entry.
        os.truncate(path, whole)
    entries: list[Entry] = []
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            entries.append(_decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise JournalError(
                f"{path}, line {number}, is damaged ({error}). Delete the file to start a new "
                "chain; the ledger beside it must then be deleted too."
            ) from error
    return entries
