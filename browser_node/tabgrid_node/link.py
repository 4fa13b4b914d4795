"""One connection to the coordinator: messages in and out over a host's transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from tabgrid_wire import messages as m
from tabgrid_wire.errors import ProtocolError, SendError
from tabgrid_wire.protocol import Connection, Turn

from .hosts import ConnectionLost, Transport

log = logging.getLogger(__name__)


class Link:
    """``say`` never waits: a connector reports from inside its loop. ``write`` sends."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._connection = Connection("node")
        #: None ends the conversation. Bounded by what a node has to say: some progress
        #: five times a second and one answer per job.
        self._outbox: asyncio.Queue[m.FromNode | None] = asyncio.Queue()
        #: Whether we closed it, after all that was said before.
        self.left = False

    @property
    def welcomed(self) -> bool:
        return self._connection.turn in (Turn.WELCOMED, Turn.SERVING)

    def say(self, message: m.FromNode) -> None:
        if not self.left:
            self._outbox.put_nowait(message)

    def leave(self, bye: m.Bye) -> None:
        """Say Bye and close, after everything that was said before."""
        if not self.left:
            self.say(bye)
            self._outbox.put_nowait(None)
            self.left = True

    async def write(self) -> None:
        """Send what is said, until we leave."""
        while (message := await self._outbox.get()) is not None:
            try:
                frame = self._connection.send(message)
            except SendError as error:
                # Crossed with the end of a turn (Paused after Bye): it has no meaning there.
                log.warning("Not sent: %s", error)
                continue
            await self._transport.send(frame)
        await self._transport.close(1000, "bye")

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Messages (``ToNode``) until the connection ends, by ConnectionLost or ProtocolError."""
        async for frame in self._transport:
            try:
                message = self._connection.receive(frame)
            except ProtocolError as error:
                await self._transport.close(error.code, error.reason)
                raise
            yield message
        raise ConnectionLost("The connection ended.")

    async def close(self) -> None:
        await self._transport.close()
