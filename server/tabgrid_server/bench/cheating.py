"""``python -m tabgrid_server.bench.cheating URL GRID COUNT``: nodes that do all but work.

By turns one floods, lies, replays a commitment, answers for others, refuses, or sits on its job.
They come back when they are cut off, as somebody would who means it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import cycle, islice

import msgspec
import uvloop
from solders.keypair import Keypair
from websockets.exceptions import ConnectionClosed

from tabgrid_wire import messages as wire
from tabgrid_wire.ids import new_id

from .client import RawNode, sign_in

#: Frames a second of a node that floods: it stays under what would end its socket.
FLOOD = 200
#: After the grid has hung up.
AGAIN_S = 1.0

Way = Callable[[RawNode], Awaitable[None]]


async def _assignments(node: RawNode, answer: Callable[[wire.Assign], wire.FromNode]) -> None:
    while True:
        message = await node.receive()
        if isinstance(message, wire.Assign):
            await node.send(answer(message))


async def lie(node: RawNode) -> None:
    wrong = msgspec.msgpack.encode({"text": "something else"})
    await _assignments(node, lambda work: node.result(work, wrong))


async def refuse(node: RawNode) -> None:
    await _assignments(
        node, lambda work: wire.Failed(work.lease, work.job, "internal", "I would rather not.")
    )


async def replay(node: RawNode) -> None:
    """Every answer under the commitment to the first one."""
    first: list[wire.Result] = []

    def answer(work: wire.Assign) -> wire.Result:
        mine = node.result(work, work.input)
        first.append(mine)
        return msgspec.structs.replace(mine, nonce=first[0].nonce, signature=first[0].signature)

    await _assignments(node, answer)


async def sit(node: RawNode) -> None:
    """Takes jobs, and answers those that were taken from it."""
    held: dict[str, wire.Assign] = {}
    while True:
        message = await node.receive()
        if isinstance(message, wire.Assign):
            held[message.lease] = message
        elif isinstance(message, wire.Cancel) and message.lease in held:
            work = held.pop(message.lease)
            await node.send(node.result(work, work.input))


async def answer_for_others(node: RawNode) -> None:
    await _while_it_hears(node, lambda: _made_up(node))


async def flood(node: RawNode) -> None:
    await _while_it_hears(node, lambda: wire.Paused("owner"))


async def _while_it_hears(node: RawNode, say: Callable[[], wire.FromNode]) -> None:
    async def hear() -> None:
        while True:
            await node.receive()

    hearing = asyncio.create_task(hear())
    try:
        while not hearing.done():
            await node.send(say())
            await asyncio.sleep(1 / FLOOD)
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError, ConnectionClosed):
            await hearing


def _made_up(node: RawNode) -> wire.Result:
    lease, job = (new_id(kind, 0, os.urandom(10)) for kind in ("lease", "job"))
    return node.result(wire.Assign(lease, job, "bench", "a" * 64, b"", 0), b"\x80")


WAYS: tuple[Way, ...] = (lie, flood, replay, answer_for_others, refuse, sit)


async def live(url: str, grid: str, number: int, way: Way, joined: asyncio.Event) -> None:
    """One wallet that cheats for as long as it is let in."""
    wallet, worker, device = Keypair(), Keypair(), f"cheat-device-{number}"
    while True:
        with suppress(ConnectionClosed, OSError):
            token = await sign_in(url, wallet, worker, device)
            node = await RawNode.open(url, token, wallet, worker)
            await node.join(grid, device=device)
            joined.set()
            await way(node)
        await asyncio.sleep(AGAIN_S)


async def main(url: str, grid: str, count: int) -> None:
    ways = islice(cycle(WAYS), count)
    told = [asyncio.Event() for _ in range(count)]
    lives = [live(url, grid, n, way, told[n]) for n, way in enumerate(ways)]
    async with asyncio.TaskGroup() as group:
        for one in lives:
            group.create_task(one)
        for event in told:
            await event.wait()
        sys.stdout.write(msgspec.json.encode({"joined": count}).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
