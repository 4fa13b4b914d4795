"""The coordinator dies or stops in the middle of work: nothing is lost, nothing charged twice."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tabgrid_server.bench.client import RawNode
from tabgrid_wire import messages as wire
from tests.integration.conftest import EchoGrid, assigned

JOB = {"model": "echo", "input": {"text": "hello"}}
JOBS = 200
PRICE = 100


async def work(node: RawNode, answered: list[str]) -> None:
    """Answer everything until the socket closes."""
    try:
        while True:
            message = await node.receive()
            if isinstance(message, wire.Assign):
                answered.append(message.job)
                await node.send(node.result(message, message.input))
    except ConnectionClosed:
        return


def audit(grid: EchoGrid) -> None:
    """The books themselves say that nothing was lost or booked twice."""
    command = [sys.executable, "-m", "tabgrid_server", "audit", "--local"]
    command += ["--data", str(grid.folder / "data")]
    command += ["--database", grid.database] if grid.database else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def submit(client: httpx.AsyncClient, count: int) -> list[str]:
    answers = await asyncio.gather(*(client.post("/api/jobs", json=JOB) for _ in range(count)))
    assert {answer.status_code for answer in answers} == {202}
    return [answer.json()["id"] for answer in answers]


async def all_done(client: httpx.AsyncClient, jobs: list[str]) -> None:
    async with asyncio.timeout(60):
        for job in jobs:
            while (await client.get(f"/api/jobs/{job}")).json()["state"] != "done":
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_killed_while_200_jobs_run_all_end_and_each_is_charged_once(
    make_echo_grid: Callable[..., EchoGrid], engine: str, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue("postgres_url") if engine == "postgres" else ""
    grid = make_echo_grid(database=database)
    coordinator = grid.start()
    key = await grid.make_key()
    answered: list[str] = []
    async with grid.client(key) as client:
        async with grid.node("worker") as node:
            jobs = await submit(client, JOBS)
            working = asyncio.create_task(work(node, answered))
            while len(answered) < JOBS // 4:
                await asyncio.sleep(0.005)
            os.kill(coordinator.pid, signal.SIGKILL)
            await working
        assert len(answered) < JOBS, "it was killed too late to show anything"
    coordinator.process.wait()
    grid.start()
    async with grid.client(key) as client:
        async with grid.node("worker-2") as node:
            working = asyncio.create_task(work(node, answered))
            await all_done(client, jobs)
            working.cancel()
        credit = (await client.get("/api/keys/current")).json()
    assert credit["credit"] == 1_000_000 - JOBS * PRICE
    assert credit["held"] == 0
    audit(grid)


async def test_sigterm_lets_running_jobs_end_and_keeps_queued_ones(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(drain_s=60)
    coordinator = grid.start()
    key = await grid.make_key()
    async with grid.client(key) as client, grid.node("worker") as node:
        running, queued = await submit(client, 1), await submit(client, 2)
        assign = await assigned(node)
        assert assign.job == running[0]
        os.kill(coordinator.pid, signal.SIGTERM)
        drain = await node.receive()
        assert isinstance(drain, wire.Drain)
        refused = await client.post("/api/jobs", json=JOB)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        await node.send(node.result(assign, assign.input))
        assert isinstance(await node.receive(), wire.Settled)
    assert await asyncio.to_thread(coordinator.ended) == 0
    grid.start()
    async with grid.client(key) as client, grid.node("worker-2") as node:
        assert (await client.get(f"/api/jobs/{running[0]}")).json()["state"] == "done"
        working = asyncio.create_task(work(node, []))
        await all_done(client, queued)
        working.cancel()
    audit(grid)


async def test_a_full_disk_refuses_jobs_and_loses_none(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    """A limit on the size of files is as good as a full disk: writes fail with an error."""
    grid = make_echo_grid()
    coordinator = grid.start()
    key = await grid.make_key()
    async with grid.client(key) as client, grid.node("worker") as node:
        held = await submit(client, 1)
        assign = await assigned(node)
        limit_files(coordinator.pid, largest(grid.folder / "data"))
        refused = await client.post("/api/jobs", json=JOB)
        assert refused.status_code == 503, refused.text
        assert "nothing was charged" in refused.json()["error"]["message"]
        await node.send(node.result(assign, assign.input))
        limit_files(coordinator.pid, resource.RLIM_INFINITY)
        await all_done(client, held)
        assert (await client.post("/api/jobs", json=JOB)).status_code == 202
    coordinator.stop()
    audit(grid)


def limit_files(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.rglob("tabgrid.db*"))


async def test_what_was_answered_is_on_disk(make_echo_grid: Callable[..., EchoGrid]) -> None:
    grid = make_echo_grid()
    coordinator = grid.start()
    async with grid.client(await grid.make_key()) as client, grid.node() as node:
        working = asyncio.create_task(work(node, []))
        answer: Any = await client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=60"})
        os.kill(coordinator.pid, signal.SIGKILL)
        await working
    with sqlite3.connect(grid.folder / "data" / "tabgrid.db") as database:
        found = database.execute("SELECT state FROM jobs WHERE id = ?", [answer.json()["id"]])
        assert found.fetchone() == ("done",)
