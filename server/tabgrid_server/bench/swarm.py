"""``python -m tabgrid_server.bench.swarm URL GRID COUNT [SECRET]``: nodes that answer at once.

They echo, so that all the time between submit and answer is the grid's own. Each has a
wallet, a signed-in session and a real socket; every result is signed. SECRET is a wallet of
theirs all, in base58.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import msgspec
import uvloop
from solders.keypair import Keypair
from websockets.exceptions import ConnectionClosed

from tabgrid_wire import messages as wire

from .client import RawNode, sign_in

#: Sign-ins at a time: enough to be quick, not so many that one waits for its turn too long.
JOINING = 16


async def serve(
    url: str, grid: str, number: int, joined: asyncio.Semaphore, secret: str
) -> RawNode:
    wallet = Keypair.from_base58_string(secret) if secret else Keypair()
    worker, device = Keypair(), f"bench-device-{number}"
    async with joined:
        token = await sign_in(url, wallet, worker, device)
        node = await RawNode.open(url, token, wallet, worker)
        await node.join(grid, device=device)
    return node


async def answer(node: RawNode) -> None:
    """The output of echo is its input, so the very bytes can go back."""
    with suppress(ConnectionClosed):
        while True:
            message = await node.receive()
            if isinstance(message, wire.Assign):
                await node.send(node.result(message, message.input))


async def main(url: str, grid: str, count: int, secret: str = "") -> None:
    joined = asyncio.Semaphore(JOINING)
    nodes = await asyncio.gather(*(serve(url, grid, n, joined, secret) for n in range(count)))
    sys.stdout.write(msgspec.json.encode({"joined": len(nodes)}).decode() + "\n")
    sys.stdout.flush()
    await asyncio.gather(*(answer(node) for node in nodes))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
