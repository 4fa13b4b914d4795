"""Pictures of how far a job is: who gets them, and which are passed on."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tabgrid_models import png
from tabgrid_server.bench.client import RawNode
from tabgrid_server.coordinator.previews import EVERY_S
from tabgrid_wire import messages as wire
from tests.integration.conftest import PATIENCE_S, EchoGrid, assigned
from tests.support.paper import MODEL, SMALL, draw, make_library, preview


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EchoGrid]:
    library = make_library(tmp_path_factory.mktemp("library"))
    folder = tmp_path_factory.mktemp("pictures")
    grid = EchoGrid(folder, model=MODEL, library=library)
    grid.start()
    yield grid
    grid.programs.stop()


class Follower:
    """One reader of a job's events."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, Any]:
        name = ""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith("event:"):
                    name = line[6:].strip()
                if line.startswith("data:"):
                    return name, json.loads(line[5:])
        raise AssertionError("the events ended")

    async def picture(self) -> bytes:
        """The next thing that is told, which is one."""
        name, value = await self.next()
        assert name == "preview", value
        return base64.b64decode(value["png"])

    async def rest(self) -> list[tuple[str, Any]]:
        """What comes until the job's end."""
        told = [await self.next()]
        while told[-1][1].get("state") != "done":
            told.append(await self.next())
        return told


@asynccontextmanager
async def followed(
    grid: EchoGrid, *keys: str, owner: str, **request: Any
) -> AsyncIterator[tuple[RawNode, wire.Assign, list[Follower]]]:
    """A running job of ``owner``, and who follows it with these keys ("": with none)."""
    body = {"model": MODEL, "input": {"prompt": "a red ball", **SMALL}, **request}
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(grid.node())
        client = await stack.enter_async_context(grid.client(owner))
        job = (await client.post("/api/jobs", json=body)).json()["id"]
        assign = await assigned(node)
        followers = []
        for key in keys:
            reader = await stack.enter_async_context(grid.client(key))
            stream = reader.stream("GET", f"/api/jobs/{job}/events")
            events = await stack.enter_async_context(stream)
            followers.append(Follower(events.aiter_lines()))
            assert (await followers[-1].next())[1]["state"] == "running"
        yield node, assign, followers


async def finish(grid: EchoGrid, node: RawNode, assign: wire.Assign) -> None:
    await node.send(node.result(assign, draw(Path(grid.library), assign)))


def shown(told: list[tuple[str, Any]]) -> list[bytes]:
    return [base64.b64decode(value["png"]) for name, value in told if name == "preview"]


async def test_the_owner_sees_them_and_others_do_not(pictures: EchoGrid) -> None:
    owner, stranger = await pictures.make_key(), await pictures.make_key()
    async with followed(pictures, owner, stranger, "", owner=owner) as (node, assign, readers):
        first, second = preview(), preview()
        for number, picture in enumerate((first, second)):
            await node.send(wire.Chunk(assign.lease, number, picture))
            assert await readers[0].picture() == picture
            await asyncio.sleep(EVERY_S)
        await finish(pictures, node, assign)
        own, others, nobodys = [await reader.rest() for reader in readers]
    assert shown(own) == shown(others) == shown(nobodys) == []


async def test_of_a_public_job_everybody_sees_them(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    async with followed(pictures, "", owner=key, public=True) as (node, assign, readers):
        picture = preview()
        await node.send(wire.Chunk(assign.lease, 0, picture))
        assert await readers[0].picture() == picture
        await finish(pictures, node, assign)
        assert shown(await readers[0].rest()) == []


async def test_a_job_that_shows_nothing_shows_nothing(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    hidden = {"owner": key, "show_preview": False}
    async with followed(pictures, key, **hidden) as (node, assign, readers):
        await node.send(wire.Chunk(assign.lease, 0, preview()))
        await finish(pictures, node, assign)
        assert shown(await readers[0].rest()) == []


async def test_what_is_no_small_picture_is_not_passed_on(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    bomb = png.encode(512, 512, bytes(4 * 512 * 512), {})
    async with followed(pictures, key, owner=key) as (node, assign, readers):
        for number, data in enumerate((b"", os.urandom(1000), preview()[:-1], bomb)):
            await node.send(wire.Chunk(assign.lease, number, data))
            await node.send(wire.Progress(assign.lease, number + 1, 9, "steps"))
            # What comes after it is told, and it is not.
            name, told = await readers[0].next()
            assert (name, told["progress"]["done"]) == ("job", number + 1)
            await asyncio.sleep(EVERY_S)
        good = preview()
        await node.send(wire.Chunk(assign.lease, 9, good))
        await finish(pictures, node, assign)
        assert shown(await readers[0].rest()) == [good]


async def test_a_flood_is_thinned_out(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    async with followed(pictures, key, owner=key) as (node, assign, readers):
        began = time.monotonic()
        for number in range(300):
            await node.send(wire.Chunk(assign.lease, number, preview()))
        await finish(pictures, node, assign)
        told = shown(await readers[0].rest())
        assert 1 <= len(told) <= 1 + (time.monotonic() - began) / EVERY_S


async def test_only_who_has_the_job_shows_how_far_it_is(pictures: EchoGrid) -> None:
    key = await pictures.make_key()
    async with followed(pictures, key, owner=key) as (node, assign, readers):
        async with pictures.node("another") as other:
            await other.send(wire.Chunk(assign.lease, 0, preview()))
            await other.send(wire.Chunk("lease_" + "0" * 26, 0, preview()))
            await asyncio.sleep(0.3)
        await finish(pictures, node, assign)
        assert shown(await readers[0].rest()) == []
