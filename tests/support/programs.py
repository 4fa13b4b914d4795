"""Real `tabgrid` programs in processes of their own, each with its log and ready file."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

#: First imports on a loaded two-core machine take seconds; beyond this it hangs.
READY_S = 90.0
#: More than the coordinator's drain, and time for a loaded machine to come round to it.
STOP_S = 60.0
#: Below those that systems give to connections that go out, so that a program that is started
#: anew finds its port as it left it.
PORTS = range(12_000, 30_000)
#: So many ports stay taken; a file descriptor each.
MARKS = 200
_marks: deque[int] = deque()
_by_lot = random.SystemRandom()


def missing(reason: str) -> None:
    """Skip the test for want of something; in CI, where all must be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run this test: {reason}")
    pytest.skip(reason)


def free_port() -> int:
    """A port that nobody listens at, and that no other test here is given meanwhile.

    Not one that the system chooses: where connections that have just ended take many of its
    own, it gives the next free one out again as soon as it is let go.
    """
    while True:
        port = _by_lot.choice(PORTS)
        # The datagram port of the same number tells other processes that this one is taken.
        with socket.socket(type=socket.SOCK_DGRAM) as mark, socket.socket() as probe:
            try:
                mark.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _marks.append(mark.detach())
        if len(_marks) > MARKS:
            os.close(_marks.popleft())
        return port


class Program:
    """One process. `ready()` waits for its ready file, `stop()` for its end."""

    def __init__(self, folder: Path, name: str, command: list[str], env: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.ready_file = folder / f"{name}.ready.json"
        self.ready_file.unlink(missing_ok=True)
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--ready-file", str(self.ready_file)],
                env={**os.environ, **env},
                stdin=subprocess.PIPE,  # closed when we end; then it stops too
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self, within_s: float = READY_S) -> dict[str, Any]:
        until = time.monotonic() + within_s
        while not self.ready_file.exists():
            code = self.process.poll()
            assert code is None, f"{self.name} ended with {code}:\n{self.text()}"
            assert time.monotonic() < until, f"{self.name} is not ready:\n{self.text()}"
            time.sleep(0.02)
        told: dict[str, Any] = json.loads(self.ready_file.read_bytes())
        return told

    def says(self, *texts: str, within_s: float = READY_S) -> str:
        """Its log, once one of ``texts`` is in it."""
        until = time.monotonic() + within_s
        while True:
            over, told = self.process.poll() is not None, self.text()
            if any(text in told for text in texts):
                return told
            assert not over, f"{self.name} ended without a word of {texts}:\n{told}"
            assert time.monotonic() < until, f"{self.name} does not say {texts}:\n{told}"
            time.sleep(0.02)

    def ended(self, within_s: float = READY_S) -> int:
        """Its exit code, once it has ended by itself; it may be on its first imports still."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.text()}") from None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end; its exit code (negative: the signal that ended it)."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self._reap()

    def kill(self) -> int:
        """End it as a power cut would."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        return self._reap()

    def _reap(self) -> int:
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop on SIGTERM:\n{self.text()}") from None
        finally:
            if self.process.stdin:
                self.process.stdin.close()


class Programs:
    """Starts programs in one folder; `stop()` ends them all, the last one first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Program] = []

    def start(self, name: str, *command: str, **env: str) -> Program:
        program = Program(self.folder, name, list(command), env)
        self._started.append(program)
        return program

    def tabgrid(self, name: str, *arguments: str, **env: str) -> Program:
        """`tabgrid ARGUMENTS`, with this interpreter."""
        head = (sys.executable, "-m", "tabgrid_server", "--end-with-stdin")
        return self.start(name, *head, *arguments, **env)

    def stop(self) -> None:
        """Raises what did not stop when asked, after all have ended."""
        stubborn = []
        for program in reversed(self._started):
            try:
                program.stop()
            except AssertionError as error:
                stubborn.append(error)
        self._started.clear()
        if stubborn:
            raise stubborn[0]
