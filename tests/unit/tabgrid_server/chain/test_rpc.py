"""The RPC boundary against servers that misbehave: one of two errors, never another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import cycle, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from tabgrid_server.chain import transactions as tx
from tabgrid_server.chain.explain import ALREADY_PAID, NO_SOL, PAUSED, REVOKED, explain
from tabgrid_server.chain.rpc import Rpc, RpcError, RpcRefused, RpcUnavailable

from .test_transactions import ISSUED

TXID = str(Keypair.from_seed(bytes(32)).sign_message(b"x"))
KEY = Keypair.from_seed(bytes(32)).pubkey()
DRAFT = VersionedTransaction.from_bytes(tx.unsigned(ISSUED))

CALLS: dict[str, Callable[[Rpc], Any]] = {
    "genesis": lambda rpc: rpc.genesis(),
    "blockhash": lambda rpc: rpc.blockhash(),
    "height": lambda rpc: rpc.height(),
    "balance": lambda rpc: rpc.balance(KEY),
    "token_account": lambda rpc: rpc.token_account(KEY),
    "mint": lambda rpc: rpc.mint(KEY),
    "rent": lambda rpc: rpc.rent(82),
    "airdrop": lambda rpc: rpc.airdrop(KEY, 1),
    "simulate": lambda rpc: rpc.simulate(DRAFT),
    "send": lambda rpc: rpc.send(bytes(DRAFT)),
    "statuses": lambda rpc: rpc.statuses([TXID]),
}

BODIES = (
    # 429 in JSON
    (200, '{"jsonrpc":"2.0","error":{"code":429,"message":"slow down"},"id":0}'),
    # 429 alone
    (200, '{"error":{"code":429}}'),
    # 429 in HTTP
    (429, "Too many requests"),
    # 502
    (502, "<html>Bad gateway</html>"),
    # html
    (200, "<html>Hello</html>"),
    # empty
    (200, ""),
    # null
    (200, "null"),
    # no result
    (200, '{"jsonrpc":"2.0","id":0}'),
    # null result
    (200, '{"jsonrpc":"2.0","result":null,"id":0}'),
    # wrong kind
    (200, '{"jsonrpc":"2.0","result":{"a":[]},"id":0}'),
    # malformed preflight
    (200, '{"jsonrpc":"2.0","error":{"code":-32002,"message":1},"id":0}'),
    # half an error
    (200, '{"jsonrpc":"2.0","error":{"code":-32002},"id":0}'),
    # unhealthy
    (
        200,
        '{"jsonrpc":"2.0","error":{"code":-32005,"message":"behind","data":{}},"id":0}',
    ),
    # half a status
    (200, '{"jsonrpc":"2.0","result":{"context":{"slot":1},"value":[]},"id":0}'),
)


class Answers:
    """What the server says next, whatever it is asked."""

    def __init__(self, status: int = 200, body: str = "") -> None:
        self.status, self.body = status, body

    def raw(self) -> bytes:
        body = self.body.encode()
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n".encode() + body


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """A server's URL; at the end, all its connections are over."""
    tasks: list[asyncio.Task[None]] = []

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()
        await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(serve_and_close(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def answering(answers: Answers) -> AsyncIterator[Rpc]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.raw())
        await writer.drain()

    async with listening(serve) as url, Rpc(url) as rpc:
        yield rpc


async def test_every_bad_answer_is_one_of_our_errors() -> None:
    answers = Answers()
    async with answering(answers) as rpc:
        for (answers.status, answers.body), call in product(BODIES, CALLS.values()):
            with pytest.raises(RpcError):
                print(answers.body, await call(rpc))


GARBAGE = st.text(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["result", "error", "value", "context", "code"]), inner)
    ),
).map(json.dumps)


@given(st.lists(GARBAGE, min_size=20, max_size=40))
@settings(max_examples=5, deadline=None)
def test_no_garbage_crashes(bodies: list[str]) -> None:
    async def ask() -> None:
        answers = Answers()
        async with answering(answers) as rpc:
            for answers.body, call in zip(bodies, cycle(("height", "statuses", "send"))):
                with pytest.raises(RpcError):
                    print(call, await CALLS[call](rpc))

    asyncio.run(ask())


async def test_a_dead_and_a_silent_server_are_unavailable() -> None:
    async with answering(Answers()) as rpc:
        (url,) = rpc.urls
    async with Rpc(url) as rpc:
        with pytest.raises(RpcUnavailable, match="cannot be reached"):
            await rpc.height()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as url, Rpc(url, timeout=0.2) as rpc:
        with pytest.raises(RpcUnavailable, match="cannot be reached"):
            await rpc.height()


async def test_a_reason_is_passed_on() -> None:
    body = '{"jsonrpc":"2.0","error":{"code":-32602,"message":"too big"},"id":0}'
    async with answering(Answers(200, body)) as rpc:
        with pytest.raises(RpcRefused, match="too big"):
            await rpc.balance(KEY)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ('"AccountNotFound"', NO_SOL),
        ('{"InsufficientFundsForRent":0}', NO_SOL),
        ('{"InstructionError":[2,{"Custom":0}]}', ALREADY_PAID),
        ('{"InstructionError":[2,{"Custom":1}]}', NO_SOL),
        ('{"InstructionError":[3,{"Custom":1}]}', NO_SOL),
        ('{"InstructionError":[5,{"Custom":1}]}', PAUSED),
        ('{"InstructionError":[5,{"Custom":4}]}', REVOKED),
    ],
)
def test_known_errors_have_sentences(error: str, sentence: str) -> None:
    assert explain(error, ISSUED) == sentence


UNKNOWN = (
    "",
    "what",
    "{}",
    "[]",
    "7",
    "null",
    '{"InstructionError":[]}',
    '{"InstructionError":[99,{"Custom":1}]}',
    '{"InstructionError":[3,"GenericError"]}',
    '{"InstructionError":[3,{"Custom":"x"}]}',
)


@pytest.mark.parametrize("error", UNKNOWN)
def test_unknown_errors_are_shown_as_they_are(error: str) -> None:
    assert error in explain(error, ISSUED)
