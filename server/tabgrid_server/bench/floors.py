"""What the same machine does without us, in the same minute: the floor under our figures."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from websockets.asyncio.client import ClientConnection, connect

from .memory import resident

ECHO = """
import socket, sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, ws="websockets-sansio", ws_per_message_deflate=False,
                        log_level="error", lifespan="off")
uvicorn.Server(config).run([listener])
"""
CONNECTIONS = 32


def websocket_echo(seconds: float) -> float:
    """Messages per second that a bare uvicorn process echoes over 32 sockets."""
    command = [sys.executable, "-c", ECHO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return uvloop.run(_echo(port, seconds))
        finally:
            server.terminate()


def idle_socket(count: int) -> float:
    """Bytes that a bare uvicorn process holds per idle WebSocket."""
    command = [sys.executable, "-c", ECHO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return uvloop.run(_idle(port, count, lambda: resident(server.pid)))
        finally:
            server.terminate()


async def _idle(port: int, count: int, memory: Callable[[], int]) -> float:
    before = memory()
    gate = asyncio.Semaphore(CONNECTIONS)

    async def one() -> ClientConnection:
        async with gate:
            return await connect(f"ws://127.0.0.1:{port}/", compression=None, ping_interval=None)

    sockets = await asyncio.gather(*(one() for _ in range(count)))
    each = (memory() - before) / count
    for socket in sockets:
        socket.transport.abort()
    return each


async def _echo(port: int, seconds: float) -> float:
    done = 0

    async def one(end: float) -> None:
        nonlocal done
        async with connect(f"ws://127.0.0.1:{port}/", compression=None) as socket:
            while time.perf_counter() < end:
                await socket.send(b"x" * 200)
                await socket.recv()
                done += 1

    started = time.perf_counter()
    await asyncio.gather(*(one(started + seconds) for _ in range(CONNECTIONS)))
    return done / (time.perf_counter() - started)


def sqlite_commits(seconds: float) -> float:
    """Durable single-row commits per second (WAL, synchronous=FULL), as the store makes them."""
    with tempfile.TemporaryDirectory(prefix="tabgrid-bench-") as folder:
        database = sqlite3.connect(Path(folder, "floor.db"), isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)")
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO t (b) VALUES (?)", (b"x" * 400,))
            database.execute("COMMIT")
            done += 1
        rate = done / (time.perf_counter() - started)
        database.close()
        return rate
