"""Which steps are done, for which inputs: so the second run takes no time.

A step's fingerprint is the hash of all it depends on. It is written only after the step has
ended well, so that an interrupted step runs again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from set_up.report import say

#: Made by tools, never an input.
SKIPPED = frozenset({"__pycache__", "node_modules", "dist", ".DS_Store"})


def fingerprint(*parts: str | Path) -> str:
    """Hash of strings, and of the names and contents of files and whole folders."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode() + b"\0")
            continue
        for path in _files(part):
            digest.update(f"{path.relative_to(part.parent)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        yield path
    elif path.is_dir() and path.name not in SKIPPED:
        for child in sorted(path.iterdir()):
            if child.name not in SKIPPED:
                yield from _files(child)


class Stamps:
    """The finished steps of one checkout, in .set-up/stamps.json."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "stamps.json"

    def _read(self) -> dict[str, str]:
        try:
            stamps: dict[str, str] = json.loads(self.file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return stamps

    def done(self, step: str, inputs: str) -> bool:
        return self._read().get(step) == inputs

    def finish(self, step: str, inputs: str) -> None:
        self._write({**self._read(), step: inputs})

    def forget(self, *steps: str) -> None:
        self._write({step: value for step, value in self._read().items() if step not in steps})

    def _write(self, stamps: dict[str, str]) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps(stamps, indent=1))
        draft.replace(self.file)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the checkout's set-up lock; a second set-up waits, and says so."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"Waiting for the set-up that process {file.read().strip() or '?'} runs here …")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
