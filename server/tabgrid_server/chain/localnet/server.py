"""Running the local chain: in its own process, or beside a test in the same loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from .app import create_app
from .journal import Journal
from .machine import WINDOW, Machine

#: What a slot takes on a cluster.
CLUSTER_SLOT_MS = 400


def window_for(slot_ms: int) -> int:
    """Blocks that a blockhash lives for, so that people have a cluster's minute to sign
    however fast the slots are."""
    return max(WINDOW, WINDOW * CLUSTER_SLOT_MS // slot_ms)


@asynccontextmanager
async def serving(
    *,
    port: int = 0,
    data: Path | None = None,
    slot_ms: int = CLUSTER_SLOT_MS,
    window: int = WINDOW,
    host: str = "127.0.0.1",
    now: Callable[[], float] = time.time,
) -> AsyncIterator[str]:
    """Serve a chain while the block runs; yields its URL. ``data``: None keeps nothing.

    Raises ``OSError`` if the port is taken and ``JournalError`` if it cannot go on.
    """
    journal = Journal(data / "chain.jsonl" if data else None)
    listener = socket.create_server((host, port), backlog=512)
    try:
        machine = Machine(journal, now, slot_ms=slot_ms, window=window)
        config = uvicorn.Config(
            create_app(machine, slot_ms / 1000),
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            await server.up.wait()
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
    finally:
        listener.close()
        journal.close()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop, and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()
