"""Nodes that break the protocol on purpose, frame by frame, each with a wallet of its own.

An attack says what it sends; the tests say what the grid must make of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import msgspec
from solders.keypair import Keypair
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_wire import messages as wire

#: All of them are let in or refused, however busy the machine is.
OPEN_S = 60


def with_commitment_of(other: wire.Result, mine: wire.Result) -> wire.Result:
    """My answer under the nonce and the signature of another one."""
    return msgspec.structs.replace(mine, nonce=other.nonce, signature=other.signature)


def for_job(result: wire.Result, job: str) -> wire.Result:
    return msgspec.structs.replace(result, job=job)


def for_lease(result: wire.Result, lease: str) -> wire.Result:
    return msgspec.structs.replace(result, lease=lease)


class Stranger:
    """A wallet with a session and no node yet."""

    def __init__(self, url: str, device: str = "stranger-device") -> None:
        self.url = url
        self.device = device
        self.wallet, self.worker = Keypair(), Keypair()

    async def sign_in(self) -> str:
        return await sign_in(self.url, self.wallet, self.worker, self.device)

    async def join(self, grid: str, **options: str) -> RawNode:
        token = await self.sign_in()
        node = await RawNode.open(self.url, token, self.wallet, self.worker)
        await node.join(grid, device=self.device, **options)  # type: ignore[arg-type]
        return node

    async def try_join(self, grid: str) -> bool:
        """Whether there was room for it; it leaves again."""
        try:
            node = await self.join(grid)
        except ConnectionClosed:
            return False
        await node.close()
        return True


# --- floods --------------------------------------------------------------------------


async def flood_of_frames(node: RawNode, frames: int = 20_000) -> None:
    """As many as go out before the grid hangs up: each asks for a little work."""
    frame = msgspec.msgpack.encode(wire.Paused("owner"))
    with suppress(ConnectionClosed):
        for _ in range(frames):
            await node.socket.send(frame)


async def flood_of_bytes(node: RawNode) -> None:
    """A frame of 64 MiB; nobody has to read what is beyond the limit."""
    with suppress(ConnectionClosed):
        await node.socket.send([os.urandom(1024 * 1024)] * 64)


@asynccontextmanager
async def mute_sockets(url: str, token: str, count: int) -> AsyncIterator[list[ClientConnection]]:
    """Sockets that are opened and say nothing, not even Hello; those that were let in."""
    opened: list[ClientConnection] = []

    async def one() -> None:
        with suppress(InvalidHandshake, OSError, TimeoutError):
            opened.append(
                await connect(
                    f"ws://{urlsplit(url).netloc}/ws/node",
                    subprotocols=[wire.SUBPROTOCOL],  # type: ignore[list-item]
                    additional_headers={"Authorization": f"Bearer {token}"},
                    compression=None,
                    open_timeout=OPEN_S,
                )
            )

    await asyncio.gather(*(one() for _ in range(count)))
    try:
        yield opened
    finally:
        await asyncio.gather(*(socket.close() for socket in opened))
