"""Real small programs under the supervisor: started, restarted, stopped, never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tabgrid_server.cli.supervise import Program, Restarts, SuperviseError, Supervisor

#: Writes its ready file, then waits for the end of standard input.
WAITS = """
import json, os, sys, pathlib
ready = pathlib.Path(sys.argv[1])
draft = ready.with_suffix(".new")
draft.write_text(json.dumps({"pid": os.getpid()}))
draft.replace(ready)
print("serving", flush=True)
sys.stdin.read()
"""


def program(folder: Path, name: str, script: str, ready_s: float = 90.0) -> Program:
    ready = folder / f"{name}.json"
    command = (sys.executable, "-c", script, str(ready))
    return Program(name, command, ready, folder / f"{name}.log", ready_s)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_start_tells_what_the_program_wrote_and_stop_ends_it(tmp_path: Path) -> None:
    supervisor = Supervisor(print)
    child = await supervisor.start(program(tmp_path, "one", WAITS))
    told = await child.ready()
    assert alive(told["pid"])
    await supervisor.stop()
    assert not alive(told["pid"])
    assert not child.program.ready_file.exists()


async def test_program_that_ends_before_it_is_ready_is_told_with_its_last_words(
    tmp_path: Path,
) -> None:
    supervisor = Supervisor(print)
    child = await supervisor.start(program(tmp_path, "one", "raise SystemExit('Error: no room')"))
    with pytest.raises(SuperviseError, match=r"one did not start: no room \(log: "):
        await child.ready()
    await supervisor.stop()


async def test_program_that_hangs_is_told(tmp_path: Path) -> None:
    supervisor = Supervisor(print)
    child = await supervisor.start(
        program(tmp_path, "one", "import sys; sys.stdin.read()", ready_s=0.1)
    )
    with pytest.raises(SuperviseError, match=r"one was not ready after 0 s"):
        await child.ready()
    await supervisor.stop()


async def test_killed_program_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    child = await supervisor.start(program(tmp_path, "one", WAITS))
    first = (await child.ready())["pid"]
    watching = asyncio.create_task(supervisor.watch())
    os.kill(first, signal.SIGKILL)
    await asyncio.wait_for(until(lambda: len(said) == 2), 90)
    assert said == ["one ended (signal SIGKILL); starting it again.", "one is back."]
    second = json.loads(child.program.ready_file.read_text())["pid"]
    assert second != first
    watching.cancel()
    await supervisor.stop()
    assert not alive(second)


async def test_program_that_keeps_ending_is_given_up(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    await supervisor.start(program(tmp_path, "one", "raise SystemExit('broken')"))
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(supervisor.watch(), 120)
    assert "one keeps ending: broken" in str(caught.value.exceptions[0])
    assert sum("starting it again" in line for line in said) == Restarts().limit


async def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to clean up: the closed pipe must be enough."""
    script = f"""
import asyncio, pathlib, sys
from tabgrid_server.cli.supervise import Program, Supervisor
async def main():
    ready = pathlib.Path({str(tmp_path)!r}) / "child.json"
    command = (sys.executable, "-c", {WAITS!r}, str(ready))
    supervisor = Supervisor(print)
    child = await supervisor.start(Program("child", command, ready, ready.with_suffix(".log")))
    print((await child.ready())["pid"], flush=True)
    await supervisor.watch()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    child = int(await asyncio.wait_for(process.stdout.readline(), 90))
    assert alive(child)
    process.kill()
    await process.wait()
    await asyncio.wait_for(until(lambda: not alive(child)), 90)


def test_restarts_are_bounded_within_a_window() -> None:
    restarts = Restarts(limit=2, within_s=10)
    assert [restarts.allow(now) for now in (0, 1, 2)] == [True, True, False]
    assert restarts.allow(20)
