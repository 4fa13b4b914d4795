"""Weights that break off, are damaged, or vanish, against a real HTTP server in this process."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_node.hosts import CannotRun, ConnectionLost
from tabgrid_node.weights import WeightCache

WEIGHTS = bytes(range(256)) * 1024
NAME = hashlib.sha256(WEIGHTS).hexdigest()
FILE = File("folder/model.onnx", len(WEIGHTS), NAME)
VARIANT = Variant("only", "fp32", {"model": FILE.path}, (FILE,), 1)
MANIFEST = Manifest("m", "echo", "M", "", "MIT", "here", {}, (VARIANT,))


class Server:
    """Serves ``content``, and stops in the middle of it where told."""

    def __init__(self) -> None:
        self.content = WEIGHTS
        self.stop_at: int | None = None
        self.ranges_work = True
        self.status = 200
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:-2])
        asked = lines.get("range", "")
        self.asked.append(asked)
        start = int(asked[6:-1]) if asked and self.ranges_work else 0
        status = 206 if start else self.status
        body = self.content[start:]
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body if self.stop_at is None else body[: self.stop_at])
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    serving = Server()
    listener = await asyncio.start_server(serving, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        serving.url = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
        yield serving


@pytest.fixture
async def cache(server: Server, tmp_path: Path) -> AsyncIterator[WeightCache]:
    url = server.url  # type: ignore[attr-defined]
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield WeightCache(tmp_path, http)


async def fetch(cache: WeightCache) -> tuple[bytes, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    folder = await cache.fetch(MANIFEST, VARIANT, lambda done, total: told.append((done, total)))
    return (folder / FILE.path).read_bytes(), told


async def test_fetched_once_and_kept(cache: WeightCache, server: Server) -> None:
    content, told = await fetch(cache)
    assert content == WEIGHTS
    assert told[-1] == (FILE.size, FILE.size)
    assert told == sorted(told)
    assert (await fetch(cache))[0] == WEIGHTS
    assert server.asked == [""]


async def test_goes_on_where_it_broke_off(cache: WeightCache, server: Server) -> None:
    server.stop_at = 1000
    with pytest.raises(ConnectionLost, match="broke off"):
        await fetch(cache)
    server.stop_at = None
    assert (await fetch(cache))[0] == WEIGHTS
    assert server.asked == ["", "bytes=1000-"]


async def test_starts_again_where_ranges_do_not_work(cache: WeightCache, server: Server) -> None:
    server.stop_at = 1000
    with pytest.raises(ConnectionLost):
        await fetch(cache)
    server.stop_at, server.ranges_work = None, False
    assert (await fetch(cache))[0] == WEIGHTS


async def test_a_damaged_kept_file_is_fetched_again(
    cache: WeightCache, server: Server, tmp_path: Path
) -> None:
    await fetch(cache)
    (tmp_path / "weights" / NAME).write_bytes(WEIGHTS[:-1] + b"x")
    assert (await fetch(cache))[0] == WEIGHTS
    assert server.asked == ["", ""]


async def test_a_damaged_part_is_fetched_again(
    cache: WeightCache, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{NAME}.part").write_bytes(b"x" * 1000)
    assert (await fetch(cache))[0] == WEIGHTS
    assert server.asked == ["bytes=1000-", ""]


@pytest.mark.parametrize("content", [WEIGHTS[:-1] + b"x", WEIGHTS + b"x"])
async def test_a_damaged_file_on_the_server_is_a_reason(
    cache: WeightCache, server: Server, content: bytes, tmp_path: Path
) -> None:
    server.content = content
    with pytest.raises(CannotRun, match="serves a corrupted file"):
        await fetch(cache)
    assert not (tmp_path / "weights" / NAME).exists()
    server.content = WEIGHTS
    assert (await fetch(cache))[0] == WEIGHTS


@pytest.mark.parametrize(("status", "error"), [(404, CannotRun), (503, ConnectionLost)])
async def test_a_server_that_does_not_give_it(
    cache: WeightCache, server: Server, status: int, error: type[Exception]
) -> None:
    server.status = status
    with pytest.raises(error, match=f"HTTP {status}"):
        await fetch(cache)


async def test_no_room_is_a_reason(cache: WeightCache, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file where a folder must be")
    with pytest.raises(CannotRun, match="cannot be kept"):
        await fetch(cache)


async def test_two_at_once_take_turns(cache: WeightCache, server: Server) -> None:
    results = await asyncio.gather(*(fetch(cache) for _ in range(4)))
    assert all(content == WEIGHTS for content, _ in results)
    assert server.asked == [""]


async def test_who_waits_for_another_process_can_end(
    cache: WeightCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    lock = fcntl.flock

    def flock(*of: Any) -> None:
        asked.set()
        lock(*of)

    (tmp_path / "weights").mkdir()
    with (tmp_path / "weights" / f"{NAME}.part").open("a+b") as anothers:
        lock(anothers, fcntl.LOCK_EX)
        monkeypatch.setattr(fcntl, "flock", flock)
        waiting = asyncio.create_task(fetch(cache))
        while not asked.is_set():
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # As a process does at its end.
        async with asyncio.timeout(60):
            await asyncio.get_running_loop().shutdown_default_executor()
