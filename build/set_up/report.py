"""What the commands say while they work: steps with seconds, and failures as one sentence."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Failed(Exception):
    """A step could not be done; the text says what to install or change."""


def say(text: str) -> None:
    print(text, flush=True)


def error(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)


def explain(problem: OSError) -> str:
    """One sentence for what the operating system refused."""
    where = f": {problem.filename}" if problem.filename else ""
    known = {
        errno.ENOSPC: "The disk is full; free some space (the set-up needs about 2 GB)",
        errno.EACCES: "Permission was refused; run it as the owner of this checkout",
        errno.EROFS: "The file system is read-only; copy the checkout to where you can write",
    }
    return known.get(problem.errno or 0, problem.strerror or str(problem)) + where + "."


class Step:
    """One line of progress: what is done, how far it is, how long it has taken."""

    #: A terminal sees the line change twice a second; a log gets a new line every 10 s,
    #: often enough to tell slow from stuck.
    TERMINAL_S, LOG_S = 0.5, 10.0

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.started = time.monotonic()
        self._ended = threading.Event()
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._thread = threading.Thread(target=self._show_life, daemon=True)

    def __enter__(self) -> Step:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        mark = "failed after" if kind else "ok"
        self._line(f"{mark} {self.seconds():.1f} s", last=True)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def _show_life(self) -> None:
        while not self._ended.wait(self.TERMINAL_S if self._terminal else self.LOG_S):
            self._line(f"{self.seconds():.0f} s")

    def _line(self, end: str, *, last: bool = False) -> None:
        detail = f" ({self.detail})" if self.detail else ""
        text = f"  {self.title}{detail} … {end}"
        if self._terminal:
            sys.stdout.write("\r\033[K" + text + ("\n" if last else ""))
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


@contextmanager
def timed(title: str) -> Iterator[Step]:
    """Show `title` as a step while the block runs."""
    with Step(title) as step:
        yield step
