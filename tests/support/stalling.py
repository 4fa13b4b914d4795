"""A line that goes dead: both ends stay open, and nothing comes through any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.engine import make_url


class Line:
    """Stands before a server on this machine; ``url`` leads through it."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._flows = asyncio.Event()
        self._flows.set()
        self._carrying: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        for each in (self._carry(reader, far_writer), self._carry(far_reader, writer)):
            task = asyncio.create_task(each)
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65_536):
                    await self._flows.wait()
                    writer.write(data)
                    await writer.drain()
                await self._flows.wait()
        finally:
            writer.close()

    async def close(self) -> None:
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[tuple[Line, str]]:
    """A line to the server of this SQLAlchemy URL, and the URL that leads through it."""
    parsed = make_url(url)
    assert parsed.host
    assert parsed.port
    line = Line(parsed.host, parsed.port)
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield line, parsed.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    finally:
        server.close()
        await line.close()
