"""Floods of frames, bytes and sockets: whoever floods is cut off, and everybody else is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tabgrid_server.bench.client import RawNode
from tabgrid_wire import messages as wire
from tabgrid_wire.errors import CloseCode
from tests.integration.conftest import EchoGrid
from tests.support.bad_nodes import attacks

JOB = {"model": "echo", "input": {"text": "answer me"}}
#: Sockets that the grid lets in from one address.
PLACES = 12
#: Sockets that say nothing, all at once; each is let in or refused before one must say Hello.
MUTE = 4 * PLACES
#: Jobs that users must get done while a flood goes on.
SERVED = 25


@pytest.fixture
def grid(make_echo_grid: Callable[..., EchoGrid]) -> EchoGrid:
    made = make_echo_grid(limits=f"nodes_per_address = {PLACES}\nnode_frames_per_s = 200")
    made.start()
    return made


async def echo(node: RawNode) -> None:
    with suppress(ConnectionClosed):
        while True:
            message = await node.receive()
            if isinstance(message, wire.Assign):
                await node.send(node.result(message, message.input))


@asynccontextmanager
async def honest_nodes(grid: EchoGrid, count: int = 2) -> AsyncIterator[list[RawNode]]:
    nodes = [await attacks.Stranger(grid.url, f"honest-{n}").join("bench") for n in range(count)]
    working = [asyncio.create_task(echo(node)) for node in nodes]
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.close()
        await asyncio.gather(*working)


async def ask(client: httpx.AsyncClient, count: int = SERVED) -> None:
    for _ in range(count):
        answer = await client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=60"})
        assert answer.status_code == 200, answer.text
        row = answer.json()
        assert (row["state"], row["output"]) == ("done", JOB["input"]), row


async def closed(node: RawNode) -> int:
    async with asyncio.timeout(60):
        await node.socket.wait_closed()
    return node.socket.close_code or 0


async def test_frames_and_bytes_end_the_flooders_own_socket(grid: EchoGrid) -> None:
    async with grid.client(await grid.make_key()) as client, honest_nodes(grid) as honest:
        flooders = [
            await attacks.Stranger(grid.url, f"flooder-{n}").join("bench") for n in range(4)
        ]
        floods = [attacks.flood_of_frames(node) for node in flooders[:2]]
        floods += [attacks.flood_of_bytes(node) for node in flooders[2:]]
        await asyncio.gather(*floods, ask(client))
        codes = [await closed(node) for node in flooders]
        assert codes[:2] == [CloseCode.TOO_MANY_FRAMES] * 2
        # 1009: larger than is read at all. The socket may be gone before it says so.
        assert set(codes[2:]) <= {1009, 1006}
        await ask(client, 3)
        assert all(node.socket.close_code is None for node in honest)


async def test_sockets_that_say_nothing_take_no_places_of_others(grid: EchoGrid) -> None:
    """All at once: each must not see the last place free before the others have taken it."""
    async with grid.client(await grid.make_key()) as client, honest_nodes(grid) as honest:
        token = await attacks.Stranger(grid.url, "mute-device").sign_in()
        async with attacks.mute_sockets(grid.url, token, MUTE) as opened:
            await ask(client)
            async with asyncio.timeout(60):
                while sum(socket.close_code is None for socket in opened) > PLACES - len(honest):
                    await asyncio.sleep(0.1)
            refused = [s for s in opened if s.close_code == CloseCode.TOO_MANY_NODES]
            assert len(refused) >= MUTE - (PLACES - len(honest))
            assert all(node.socket.close_code is None for node in honest)
        # They are gone, and there is room again.
        async with asyncio.timeout(60):
            while not await attacks.Stranger(grid.url, "late-device").try_join("bench"):
                await asyncio.sleep(0.2)
