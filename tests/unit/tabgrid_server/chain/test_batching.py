"""Requests that share a POST: each gets its own answer, or one of the errors; none is lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solana.exceptions import SolanaRpcException

from tabgrid_server.chain import batching
from tabgrid_server.chain.batching import LANES, MOST, MOST_BYTES, Batching


class Server:
    """An RPC's side of the wire. ``mood`` says how it takes batches."""

    def __init__(self, mood: str = "honest", order: int = 0) -> None:
        self.mood, self.order = mood, order
        self.posts: list[Any] = []
        self.at_once = self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()

    async def make_request_unparsed(self, body: Any) -> str:
        told = json.loads(body.to_json())
        assert len(body.to_json()) <= MOST_BYTES + 2_000
        self.posts.append(told)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            return self.answer(told)
        finally:
            self.at_once -= 1

    def answer(self, told: Any) -> str:
        if not isinstance(told, list):
            return json.dumps(self.one(told))
        answers = [self.one(each) for each in told]
        answers = answers[self.order % len(answers) :] + answers[: self.order % len(answers)]
        match self.mood:
            case "honest":
                return json.dumps(answers)
            case "busy":
                return '{"jsonrpc":"2.0","error":{"code":429,"message":"slow down"}}'
            case "refusing":
                return '{"jsonrpc":"2.0","error":{"code":-32600,"message":"no batches"}}'
            case "garbage":
                return "<html>"
            case "short":
                return json.dumps(answers[1:])
            case "double":
                return json.dumps([answers[0], *answers[:-1]])
            case "numbers":
                return json.dumps(list(range(len(answers))))
            case "down" | "forbidden":
                status = 403 if self.mood == "forbidden" else 502
                request = httpx2.Request("POST", "http://rpc")
                error = httpx2.HTTPStatusError(
                    "no", request=request, response=httpx2.Response(status)
                )
                raise SolanaRpcException(error, _named, self, told) from error
        raise AssertionError(self.mood)

    @staticmethod
    def one(request: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": request["id"], "result": request["params"]}


def _named() -> None: ...


def batched(server: Server, timeout: float = 5) -> Batching:
    return Batching(server, timeout, lambda: None, lambda error: None)


def request(number: int, size: int = 0) -> str:
    return json.dumps({"method": "echo", "jsonrpc": "2.0", "id": 0, "params": [number, "x" * size]})


async def ask(way: Batching, number: int, size: int = 0) -> int:
    answer = json.loads(await way.ask(request(number, size)))
    return int(answer["result"][0])


async def fill(way: Batching, lanes: int = LANES) -> list[asyncio.Task[int]]:
    """A question in each of so many lanes, numbered from 0."""
    asked = []
    for number in range(lanes):
        asked.append(asyncio.create_task(ask(way, number)))
        for _ in range(3):
            await asyncio.sleep(0)
    return asked


async def test_alone_it_is_asked_at_once_and_as_it_came() -> None:
    server = Server()
    assert await ask(batched(server), 7) == 7
    assert server.posts == [json.loads(request(7))]


async def test_what_comes_meanwhile_shares_the_next_post() -> None:
    server = Server()
    server.open.clear()
    way = batched(server)
    asked = await fill(way)
    assert len(server.posts) == LANES
    asked += [asyncio.create_task(ask(way, LANES + number)) for number in range(30)]
    await asyncio.sleep(0)
    server.open.set()
    assert await asyncio.gather(*asked) == list(range(LANES + 30))
    assert len(server.posts) == LANES + 1
    assert server.most_at_once == LANES


#: What becomes of requests in a batch: an answer to each, or an error to each.
ANSWERED = ("honest", "refusing", "garbage", "short", "double", "numbers", "forbidden")


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9_000), min_size=1, max_size=150),
    st.sampled_from([*ANSWERED, "busy", "down"]),
    st.integers(0, 50),
)
def test_everybody_gets_their_own_answer_or_an_error(
    sizes: list[int], mood: str, order: int
) -> None:
    async def play() -> None:
        server = Server(mood, order)
        way = batched(server)
        asked = (ask(way, number, size) for number, size in enumerate(sizes))
        told = await asyncio.gather(*asked, return_exceptions=True)
        for number, answer in enumerate(told):
            if mood in ANSWERED:
                assert answer == number
            elif answer != number:
                assert isinstance(answer, SolanaRpcException | KeyError), answer
        assert all(len(each) <= MOST for each in server.posts if isinstance(each, list))
        await way.close()

    asyncio.run(play())


async def test_who_has_gone_is_not_asked_for_and_holds_nobody_up() -> None:
    server = Server()
    server.open.clear()
    way = batched(server)
    first = await fill(way)
    gone = asyncio.create_task(ask(way, 98))
    stays = asyncio.create_task(ask(way, 99))
    await asyncio.sleep(0)
    gone.cancel()
    server.open.set()
    assert await stays == 99
    assert await asyncio.gather(*first) == list(range(LANES))
    assert 98 not in [each["params"][0] for each in server.posts if isinstance(each, dict)]


async def test_silence_ends_for_all_of_a_post_and_is_noted_once() -> None:
    server, failures = Server(), []
    server.open.clear()
    way = Batching(server, 0.05, lambda: None, failures.append)
    asked = await fill(way)
    asked += [asyncio.create_task(ask(way, number)) for number in range(20)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, TimeoutError) for each in told)
    assert len(failures) == LANES + 1


async def test_closing_ends_every_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LANES", 1)
    server = Server()
    server.open.clear()
    way = batched(server)
    asked = [asyncio.create_task(ask(way, number)) for number in range(5)]
    await asyncio.sleep(0.01)
    await way.close()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, ConnectionError) for each in told)


async def test_who_asks_again_as_all_lanes_end_is_answered() -> None:
    server = Server()
    server.open.clear()
    way = batched(server)

    async def twice() -> list[int]:
        return [await ask(way, 0), await ask(way, LANES)]

    first = asyncio.create_task(twice())
    for _ in range(3):
        await asyncio.sleep(0)
    others = await fill(way, LANES - 1)
    assert len(server.posts) == LANES
    server.open.set()  # all of them end in the same turn of the loop
    async with asyncio.timeout(10):
        assert await first == [0, LANES]
    await asyncio.gather(*others)
