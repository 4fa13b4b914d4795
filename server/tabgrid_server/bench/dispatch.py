"""Durable no-op jobs per second through the HTTP API and real node sockets, and what the
grid adds to one job's latency."""

from __future__ import annotations

import asyncio
import time

import click
import uvloop

from . import floors
from .client import Http, job_body, new_key
from .programs import coordinator, swarm
from .report import Figure, against, percentile

#: Requests in flight: enough to keep 64 nodes busy, as 128 users would.
IN_FLIGHT = 128
WAIT = {"Prefer": "wait=30"}


def run(seconds: float, nodes: tuple[int, ...], database: str) -> list[Figure]:
    figures = []
    echo_rate = floors.websocket_echo(seconds / 4)
    commits = floors.sqlite_commits(seconds / 4)
    for count in nodes:
        with coordinator(database) as (url, pid), swarm(url, count):
            jobs, latency, cpu = uvloop.run(_measure(url, pid, seconds))
        name = f"{count} nodes"
        rate = Figure("dispatch", f"{name}: jobs", jobs, "jobs/s", aim="≥ 1,000 jobs/s")
        figures.append(against(rate, "bare WebSocket echoes/s", echo_rate))
        p50, p99 = percentile(latency, 50), percentile(latency, 99)
        added = Figure("dispatch", f"{name}: added p50, one at a time", p50, "ms", aim="≤ 8 ms")
        added = against(added, "two SQLite commits, ms", 2000 / commits)
        figures.append(added)
        figures.append(Figure("dispatch", f"{name}: added p99, one at a time", p99, "ms"))
        figures.append(Figure("dispatch", f"{name}: coordinator CPU per job", 1000 * cpu, "ms CPU"))
    return figures


async def _measure(url: str, pid: int, seconds: float) -> tuple[float, list[float], float]:
    headers = {"Authorization": f"Bearer {await new_key(url)}", **WAIT}
    body = job_body("echo", text="a job that computes nothing")
    clients = [await Http.open(url, headers) for _ in range(IN_FLIGHT)]
    latency = await _one_at_a_time(clients[0], body, seconds / 2)
    await _flood(clients, body, seconds / 4)  # warm: caches, connections, branch predictors
    before = _cpu_seconds(pid)
    done, took = await _flood(clients, body, seconds)
    cpu = (_cpu_seconds(pid) - before) / done
    for client in clients:
        client.close()
    return done / took, latency, cpu


async def _one_at_a_time(client: Http, body: bytes, seconds: float) -> list[float]:
    milliseconds = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        await _job(client, body)
        milliseconds.append(1000 * (time.perf_counter() - started))
    return milliseconds


async def _flood(clients: list[Http], body: bytes, seconds: float) -> tuple[int, float]:
    done = 0
    started = time.perf_counter()

    async def one(client: Http) -> None:
        nonlocal done
        while time.perf_counter() - started < seconds:
            await _job(client, body)
            done += 1

    await asyncio.gather(*(one(client) for client in clients))
    return done, time.perf_counter() - started


async def _job(client: Http, body: bytes) -> None:
    status, answer = await client.post("/api/jobs", body)
    if status != 200:
        raise click.ClickException(f"A job was answered with {status}: {answer[:300]!r}")


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100
