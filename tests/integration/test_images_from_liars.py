"""What whoever asked for pictures gets when nodes answer with something else."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tabgrid_models import png, trace
from tabgrid_models.drawing import TextToImageInput, TextToImageOutput
from tabgrid_server.bench.client import RawNode
from tabgrid_wire import messages as wire
from tests.integration.conftest import EchoGrid, assigned
from tests.support.paper import MODEL, draw, make_library

Answer = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[EchoGrid]:
    made = EchoGrid(
        tmp_path_factory.mktemp("grid"),
        model=MODEL,
        library=library,
        lease_min_s=60,
        scheduling="strikes = 100\nattempts = 2",
    )
    made.start()
    yield made
    made.programs.stop()


@pytest.fixture
async def node(grid: EchoGrid) -> AsyncIterator[RawNode]:
    async with grid.node() as node:
        yield node


def with_image(change: Callable[[png.Picture], bytes]) -> Answer:
    """A right answer whose picture is made anew."""

    def answer(right: bytes) -> bytes:
        output = msgspec.msgpack.decode(right, type=TextToImageOutput)
        picture = png.decode(output.image, 2**20)
        return msgspec.msgpack.encode(msgspec.structs.replace(output, image=change(picture)))

    return answer


def blank(picture: png.Picture) -> bytes:
    pixels = bytes([9, 9, 9, 255]) * (picture.width * picture.height)
    return png.encode(picture.width, picture.height, pixels, picture.text)


def larger(picture: png.Picture) -> bytes:
    pixels = bytes(range(256)) * (picture.width * picture.height // 16)
    return png.encode(2 * picture.width, 2 * picture.height, pixels, picture.text)


def of_another_prompt(picture: png.Picture) -> bytes:
    pixels = bytes(range(256)) * (picture.width * picture.height // 64)
    return png.encode(picture.width, picture.height, pixels, {**picture.text, "prompt": "cats"})


def bomb(picture: png.Picture) -> bytes:
    """100 MB of nothing in 100 kB, where a few kilobytes of pixels belong."""
    whole = blank(picture)
    start = whole.index(b"IDAT") - 4
    data = zlib.compress(bytes(100_000_000), 9)
    chunk = len(data).to_bytes(4, "big") + b"IDAT" + data
    chunk += zlib.crc32(b"IDAT" + data).to_bytes(4, "big")
    return whole[:start] + chunk + whole[-12:]


async def credit(grid: EchoGrid, key: str) -> dict[str, Any]:
    async with grid.client(key) as client:
        found: dict[str, Any] = (await client.get("/api/keys/current")).json()
        return found


@pytest.mark.parametrize(
    "lie",
    [
        with_image(blank),
        with_image(larger),
        with_image(of_another_prompt),
        with_image(bomb),
        with_image(lambda picture: b"not a picture"),
        lambda right: b"",
        lambda right: right[:-1],
    ],
    ids=["blank", "larger", "another prompt", "bomb", "no picture", "nothing", "cut"],
)
async def test_a_wrong_picture_is_never_delivered_nor_charged(
    grid: EchoGrid, node: RawNode, library: Path, lie: Answer
) -> None:
    key = await grid.make_key()
    async with grid.client(key) as client:
        body = {"prompt": "a red ball", "seed": 3}
        asked = asyncio.create_task(client.post("/v1/images/generations", json=body))
        for _ in range(2):  # attempts
            assign = await assigned(node)
            await send(node, assign, lie(draw(library, assign)))
        answer = await asked
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "job_failed")
    assert "nothing was charged" in answer.json()["error"]["message"]
    assert await credit(grid, key) | {"held": 0, "spent": 0} == await credit(grid, key)


STATE = 4 * 4 * 8 * 8


@pytest.mark.parametrize(
    ("root", "content", "said"),
    [
        (bytes(32), bytes(5 * STATE), "root is not of the steps"),
        (trace.root([bytes(STATE)] * 5), bytes(range(256)) * (5 * STATE // 256), "root is not"),
        (trace.root([bytes(STATE)] * 4), bytes(4 * STATE), "bytes; 5120 belong"),
        (trace.root([b""] * 5), b"", "bytes; 5120 belong"),
        (None, bytes(5 * STATE), "does not commit"),
    ],
    ids=["no root", "another root", "fewer steps", "no steps", "no commitment"],
)
async def test_steps_that_are_not_those_that_were_signed_are_refused(
    grid: EchoGrid, node: RawNode, library: Path, root: bytes | None, content: bytes, said: str
) -> None:
    async with grid.client(await grid.make_key()) as client:
        body = {"prompt": "a red ball", "seed": 3}
        asked = asyncio.create_task(client.post("/v1/images/generations", json=body))
        for _ in range(2):  # attempts
            assign = await assigned(node)
            right = draw(library, assign)
            await node.send(node.result(assign, right, root, content))
            refused = await node.receive()
            assert isinstance(refused, wire.Error)
            assert (refused.code, said in refused.message) == ("invalid_result", True), refused
        answer = await asked
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "job_failed")


async def test_a_model_without_steps_takes_no_root(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(lease_min_s=60)
    grid.start()
    async with grid.client(await grid.make_key()) as client, grid.node() as node:
        await client.post("/api/jobs", json={"model": "echo", "input": {"text": "Hi"}})
        assign = await assigned(node)
        await node.send(node.result(assign, msgspec.msgpack.encode({"text": "Hi"}), bytes(32)))
        refused = await node.receive()
    assert isinstance(refused, wire.Error)
    assert "its model has none" in refused.message


async def test_of_two_pictures_the_right_one_is_delivered_and_paid(
    grid: EchoGrid, node: RawNode, library: Path
) -> None:
    key = await grid.make_key()
    async with grid.client(key) as client:
        body = {"prompt": "a red ball", "seed": 3, "n": 2, "response_format": "b64_json"}
        asked = asyncio.create_task(client.post("/v1/images/generations", json=body))
        for _ in range(3):
            assign = await assigned(node)
            right = draw(library, assign)
            seed = msgspec.msgpack.decode(assign.input, type=TextToImageInput).seed
            await send(node, assign, right if seed == 4 else with_image(blank)(right))
        answer = (await asked).json()
    assert [picture["seed"] for picture in answer["data"]] == [4]
    (why,) = answer["tabgrid"]["failed"]
    assert "blank" in why
    spent = (await credit(grid, key))["spent"]
    assert spent == answer["tabgrid"]["price"] > 0


async def send(node: RawNode, assign: wire.Assign, output: bytes) -> None:
    await node.send(node.result(assign, output))
