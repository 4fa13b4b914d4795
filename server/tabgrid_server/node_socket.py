"""One node's socket: reads into the coordinator, writes what is queued, ends once.

Frames go through the sans-IO ``Connection``. Nothing here decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Protocol

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tabgrid_wire import messages as wire
from tabgrid_wire.errors import CloseCode, ProtocolError, SendError
from tabgrid_wire.protocol import Connection

from . import metrics
from .auth import client_address
from .coordinator import Coordinator
from .coordinator.live import LiveNode
from .store import Session
from .store.group_commit import MAX_BATCH

log = structlog.get_logger("tabgrid.sockets")

#: A peer that opens a socket and says nothing holds 20 KiB for nothing.
HELLO_S = 10
#: RFC 6455: never sent, only reported; the peer is not there to read anything.
GONE = 1006
#: Messages waiting for one reader. A commit settles up to MAX_BATCH jobs in one moment, and a
#: fast node can have answered all of them; besides those it has at most 16 jobs in hand, so
#: more means that it is stuck.
OUTGOING = MAX_BATCH + 64


class Gone(Exception):
    """The peer closed the socket or vanished."""


class Frames:
    """Counts frames per second, so that one node cannot keep the process busy."""

    __slots__ = ("_count", "_limit", "_second")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._count = 0

    def take(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > self._limit:
            raise ProtocolError(
                CloseCode.TOO_MANY_FRAMES, f"More than {self._limit} frames in a second."
            )


class Door(Protocol):
    """Whoever lets nodes in, and is told when they leave."""

    @property
    def coordinator(self) -> Coordinator: ...

    def welcome(self, link: NodeSocket, hello: wire.Hello) -> LiveNode:
        """Raises ``ProtocolError`` for one that cannot come in."""

    def forget(self, link: NodeSocket, node: LiveNode) -> None: ...


class NodeSocket:
    """One conversation, from Hello to the close code."""

    def __init__(self, door: Door, socket: WebSocket, session: Session, subprotocol: str) -> None:
        self.address = client_address(socket)
        self.session = session
        self._door = door
        self._coordinator = door.coordinator
        self._limits = door.coordinator.settings.limits
        self._socket = socket
        self.minor = wire.minor_of(subprotocol)
        self._connection = Connection("coordinator", minor=self.minor)
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._node: LiveNode | None = None

    def send(self, message: wire.ToNode) -> None:
        """Queue one message. A reader too slow for that is cut off."""
        if self._closing:
            return
        if isinstance(message, wire.Standing) and not self.minor:
            if message.state in ("probation", "proven"):
                return
            # An older node shows its owner what an Error says, and goes on.
            message = wire.Error("standing", message.reason)
        if len(self._outgoing) >= OUTGOING:
            self.close(CloseCode.SLOW_READER, "You read too slowly.")
            return
        try:
            self._outgoing.append(self._connection.send(message))
        except SendError as error:
            # Between Hello and Ready there is little that may be said; nothing is lost by it.
            log.debug("not sent", why=str(error))
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """End the conversation, after what is queued. Only the first reason counts."""
        self._closing = self._closing or (code, reason)
        self._wake.set()

    async def serve(self) -> None:
        expiry = asyncio.get_running_loop().call_later(
            max(0.0, self.session.expires_at - time.time()),
            self.close, CloseCode.NOT_SIGNED_IN, "Your session has expired; sign in again.",
        )  # fmt: skip
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            expiry.cancel()
            reader.cancel()
            self.close(1000, "")
            self._leave()
            for ended in await asyncio.gather(reader, writer, return_exceptions=True):
                if isinstance(ended, Exception):  # a bug of ours: the node only sees us hang up
                    log.error("a node's socket failed", exc_info=ended)

    # --- reading ----------------------------------------------------------------------

    async def _read(self) -> None:
        """Hear the node until it leaves; a broken rule becomes its close code."""
        try:
            node = await self._greet()
            if node is not None:
                await self._listen(node)
        except ProtocolError as error:
            log.info("protocol error", wallet=self.session.wallet, why=str(error))
            self.close(error.code, error.reason)
        except Gone:
            self.close(GONE, "gone")

    async def _greet(self) -> LiveNode | None:
        try:
            async with asyncio.timeout(HELLO_S):
                hello = self._connection.receive(await self._frame())
        except TimeoutError:
            raise ProtocolError(CloseCode.IDLE, f"No Hello within {HELLO_S} s.") from None
        if not isinstance(hello, wire.Hello):
            return None
        self._node = self._door.welcome(self, hello)
        return self._node

    async def _listen(self, node: LiveNode) -> None:
        frames = Frames(self._limits.node_frames_per_s)
        receive = self._connection.receive
        while True:
            frame = await self._frame()
            frames.take(time.monotonic())
            message = receive(frame)
            if isinstance(message, wire.Bye):
                return
            hear(self._coordinator, node, message)

    async def _frame(self) -> bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise Gone
        data: bytes | None = message.get("bytes")
        if data is None:
            raise ProtocolError(CloseCode.BAD_FRAME, "Frames are binary.")
        return data

    # --- writing ----------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            while self._outgoing:
                if not await self._send_in_time(self._outgoing.popleft()):
                    return
            if self._closing:
                await self._close_socket(*self._closing)
                return
            self._wake.clear()
            await self._wake.wait()

    async def _send_in_time(self, frame: bytes) -> bool:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await self._socket.send_bytes(frame)
        except TimeoutError:
            self.close(CloseCode.SLOW_READER, "You read too slowly.")
            self._outgoing.clear()
        except (WebSocketDisconnect, RuntimeError):
            return False
        return True

    async def _close_socket(self, code: int, reason: str) -> None:
        metrics.SOCKETS_CLOSED.labels(code).inc()
        if code == GONE or self._socket.application_state is not WebSocketState.CONNECTED:
            return
        with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(self._limits.send_timeout_s):
                await self._socket.close(code, reason)

    def _leave(self) -> None:
        if self._node is not None:
            code, reason = self._closing or (1000, "")
            self._coordinator.node_events.left(self._node, reason or str(code))
            self._door.forget(self, self._node)


def hear(coordinator: Coordinator, node: LiveNode, message: wire.FromNode) -> None:
    """One message of a welcomed node."""
    if isinstance(message, wire.Result):
        coordinator.results.returned(node, message)
    elif isinstance(message, wire.Progress):
        coordinator.node_events.job_progressed(node, message)
    elif isinstance(message, wire.Chunk):
        coordinator.node_events.job_previewed(node, message)
    elif isinstance(message, wire.Ready):
        coordinator.node_events.ready(node, message)
    elif isinstance(message, wire.Failed):
        coordinator.node_events.job_failed(node, message)
    elif isinstance(message, wire.Paused):
        coordinator.node_events.paused(node)
