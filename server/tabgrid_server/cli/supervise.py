"""Keeps a few programs running together: started in order, restarted, stopped in reverse.

A program says that it is ready by writing a JSON file. Its standard input is a pipe whose
other end is here, so that it can end when this process does, however this process ends.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

#: A ready file appears within milliseconds of a program being ready; looking costs 10 µs.
LOOK_S: Final = 0.02
#: Longer than the coordinator's drain and the node's last job; then it is killed.
STOP_S: Final = 20.0
#: A log is put aside when it has grown so far, so that a demo left on fills no disk.
LOG_BYTES: Final = 10 * 1024 * 1024


class SuperviseError(Exception):
    """A program did not start, or does not stay up; the text says which, and what it said."""


@dataclass(frozen=True)
class Program:
    """One command to keep running; it must end when its standard input does."""

    name: str
    command: tuple[str, ...]
    ready_file: Path
    log: Path
    #: Slow disks and first imports included; beyond this it hangs.
    ready_s: float = 120.0


@dataclass
class Restarts:
    """How often a program may die: what fails at once will fail again, and is told instead."""

    limit: int = 5
    within_s: float = 60.0
    _times: deque[float] = field(default_factory=deque)

    def allow(self, now: float) -> bool:
        """Count a death at `now` (seconds, monotonic); whether one more start is sensible."""
        while self._times and now - self._times[0] > self.within_s:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self.limit


class Child:
    """One program's process."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.restarts = Restarts()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = self.program
        program.ready_file.unlink(missing_ok=True)
        for folder in (program.ready_file.parent, program.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if program.log.exists() and program.log.stat().st_size > LOG_BYTES:
            program.log.replace(program.log.with_suffix(".old.log"))
        with program.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            )

    async def ready(self) -> dict[str, Any]:
        """What the program wrote once it was ready; SuperviseError if it ended or hangs."""
        assert self._process is not None
        until = time.monotonic() + self.program.ready_s
        while not self.program.ready_file.exists():
            if self._process.returncode is not None:
                raise SuperviseError(f"{self.program.name} did not start: {self.last_words()}")
            if time.monotonic() > until:
                raise SuperviseError(
                    f"{self.program.name} was not ready after {self.program.ready_s:.0f} s; "
                    f"see {self.program.log}"
                )
            await asyncio.sleep(LOOK_S)
        told: dict[str, Any] = msgspec.json.decode(self.program.ready_file.read_bytes())
        return told

    async def ended(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for what does not listen."""
        if self._process is None:
            return
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()
        self.program.ready_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """The last thing in its log that says something, and where the log is."""
        lines = self.program.log.read_text(errors="replace").splitlines()[-30:]
        said = [line.strip() for line in lines if line.strip()]
        last = said[-1].removeprefix("Error: ") if said else "it said nothing"
        return f"{last} (log: {self.program.log})"


class Supervisor:
    """Children in the order they were started."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[Child] = []

    async def start(self, program: Program) -> Child:
        child = Child(program)
        self._children.append(child)
        await child.start()
        return child

    async def watch(self) -> None:
        """Restart what dies, for ever; SuperviseError when one dies too often."""
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(self._keep(child))

    async def _keep(self, child: Child) -> None:
        name = child.program.name
        while True:
            code = await child.ended()
            if not child.restarts.allow(time.monotonic()):
                raise SuperviseError(f"{name} keeps ending: {child.last_words()}")
            self._say(f"{name} ended ({_how(code)}); starting it again.")
            await child.start()
            try:
                await child.ready()
            except SuperviseError as error:
                self._say(str(error))
            else:
                self._say(f"{name} is back.")

    async def stop(self) -> None:
        """Stop all, the last one first, each when those that need it are gone."""
        for child in reversed(self._children):
            await child.stop()

    def kill(self) -> None:
        for child in self._children:
            child.send(signal.SIGKILL)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
