"""Small things that a native node remembers: a file each, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

#: What becomes a file's name: digests, and nothing with a path in it.
NAME = re.compile(r"[0-9a-z-]{1,80}")


class Notes:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """None where there is none, or none that can be read."""
        with contextlib.suppress(OSError):
            return self._path(name).read_bytes()
        return None

    def write(self, name: str, value: bytes) -> None:
        """A disk that takes nothing is no reason to stop: next time is then as the first."""
        path = self._path(name)
        draft = path.with_name(f".{name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(value)
            draft.replace(path)

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ValueError(f"Not the name of a note: {name!r}.")
        return self._folder / f"{name}.json"
