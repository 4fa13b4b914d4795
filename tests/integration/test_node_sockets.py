"""Nodes that break rules, lie, stall or vanish: each against a real coordinator."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tabgrid_server.bench.client import RawNode, hello, sign_in
from tabgrid_wire import messages as wire
from tabgrid_wire.errors import CloseCode
from tests.integration.conftest import PATIENCE_S, EchoGrid, assigned

JOB = {"model": "echo", "input": {"text": "hello"}}


async def open_node(grid: EchoGrid, device: str = "test-device") -> RawNode:
    wallet, worker = Keypair(), Keypair()
    token = await sign_in(grid.url, wallet, worker, device)
    return await RawNode.open(grid.url, token, wallet, worker)


async def closed(node: RawNode) -> tuple[int, str]:
    """The close code and reason that the coordinator gives."""
    async with asyncio.timeout(PATIENCE_S):
        await node.socket.wait_closed()
    return node.socket.close_code or 0, node.socket.close_reason or ""


async def frame(grid: EchoGrid, *frames: bytes | str) -> tuple[int, str]:
    """How the coordinator ends a joined node's socket after these frames."""
    node = await open_node(grid)
    await node.join("bench", device="test-device")
    # Of a frame too large the head is enough: the socket may end while the rest is on its way.
    with suppress(ConnectionClosed):
        for each in frames:
            await node.socket.send(each)
    return await closed(node)


async def test_malformed_frames_close_the_socket_with_a_reason(echo_grid: EchoGrid) -> None:
    for bad in (b"", b"\xc1", b"\x93\x01\x02", b"not msgpack at all", "text"):
        code, reason = await frame(echo_grid, bad)
        assert code == CloseCode.BAD_FRAME, bad
        assert reason


async def test_frames_of_another_version_are_refused(echo_grid: EchoGrid) -> None:
    unknown = msgspec.msgpack.encode({"type": "teleport"})
    assert (await frame(echo_grid, unknown))[0] == CloseCode.VERSION
    extra = msgspec.msgpack.encode({"type": "bye", "reason": "x", "mood": "fine"})
    assert (await frame(echo_grid, extra))[0] == CloseCode.VERSION


async def test_an_oversized_frame_ends_the_socket(echo_grid: EchoGrid) -> None:
    code, _ = await frame(echo_grid, b"x" * (wire.MAX_FRAME + 1))
    assert code == CloseCode.TOO_LARGE
    code, _ = await frame(echo_grid, b"x" * (wire.MAX_FRAME * 2))
    assert code == 1009  # larger than is read at all


async def test_a_frame_out_of_order_is_refused(echo_grid: EchoGrid) -> None:
    node = await open_node(echo_grid)
    await node.socket.send(msgspec.msgpack.encode(wire.Ready(())))
    assert (await closed(node))[0] == CloseCode.OUT_OF_ORDER
    again = msgspec.msgpack.encode(hello("test-device", ("bench",)))
    assert (await frame(echo_grid, again))[0] == CloseCode.OUT_OF_ORDER


async def test_a_grid_that_is_not_here_is_named(echo_grid: EchoGrid) -> None:
    node = await open_node(echo_grid)
    await node.send(hello("test-device", ("atlantis",)))
    _, reason = await closed(node)
    assert "atlantis" in reason


async def test_without_a_session_the_socket_says_so(echo_grid: EchoGrid) -> None:
    url = echo_grid.url.replace("http", "ws") + "/ws/node"
    async with connect(url, subprotocols=[wire.SUBPROTOCOL]) as socket:  # type: ignore[list-item]
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == CloseCode.NOT_SIGNED_IN


async def test_another_protocol_version_is_told(echo_grid: EchoGrid) -> None:
    wallet, worker = Keypair(), Keypair()
    token = await sign_in(echo_grid.url, wallet, worker, "test-device")
    url = echo_grid.url.replace("http", "ws") + "/ws/node"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(url, additional_headers=headers) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == CloseCode.VERSION


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        (wire.SUBPROTOCOLS, "tabgrid.v1.1"),
        (("tabgrid.v1", "tabgrid.v1.1"), "tabgrid.v1.1"),
        (("tabgrid.v1",), "tabgrid.v1"),
        (("tabgrid.v9", "tabgrid.v1"), "tabgrid.v1"),
    ],
)
async def test_the_newest_that_both_sides_speak_is_spoken(
    echo_grid: EchoGrid, offered: tuple[str, ...], spoken: str
) -> None:
    wallet, worker = Keypair(), Keypair()
    token = await sign_in(echo_grid.url, wallet, worker, "test-device")
    node = await RawNode.open(echo_grid.url, token, wallet, worker, offered)
    assert node.socket.subprotocol == spoken
    assert isinstance(await node.join("bench", device="test-device"), wire.Welcome)
    await node.close()


async def test_pages_of_other_sites_cannot_open_a_socket(echo_grid: EchoGrid) -> None:
    wallet, worker = Keypair(), Keypair()
    token = await sign_in(echo_grid.url, wallet, worker, "test-device")
    node = await RawNode.open(echo_grid.url, token, wallet, worker, Origin="https://evil.example")
    assert (await closed(node))[0] == CloseCode.NOT_SIGNED_IN


async def test_the_same_device_again_replaces_the_older_socket(echo_grid: EchoGrid) -> None:
    wallet, worker = Keypair(), Keypair()
    token = await sign_in(echo_grid.url, wallet, worker, "the-laptop")
    first = await RawNode.open(echo_grid.url, token, wallet, worker)
    await first.join("bench", device="the-laptop")
    second = await RawNode.open(echo_grid.url, token, wallet, worker)
    await second.join("bench", device="the-laptop")
    assert (await closed(first))[0] == CloseCode.DUPLICATE_DEVICE
    await second.close()


async def test_signing_out_ends_the_socket(echo_grid: EchoGrid) -> None:
    wallet, worker = Keypair(), Keypair()
    token = await sign_in(echo_grid.url, wallet, worker, "the-laptop")
    node = await RawNode.open(echo_grid.url, token, wallet, worker)
    await node.join("bench", device="the-laptop")
    async with echo_grid.client(token) as client:
        assert (await client.delete("/api/auth/session")).status_code == 204
        assert (await client.get("/api/auth/session")).status_code == 401
    assert (await closed(node))[0] == CloseCode.NOT_SIGNED_IN


async def test_too_many_frames_a_second_end_the_socket(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(limits="node_frames_per_s = 50")
    grid.start()
    node = await open_node(grid)
    await node.join("bench", device="test-device")
    flood = msgspec.msgpack.encode(wire.Paused("owner"))
    # As many as it takes to be faster than that; the socket may end while more is on its way.
    with suppress(ConnectionClosed):
        for _ in range(20_000):
            await node.socket.send(flood)
    assert (await closed(node))[0] == CloseCode.TOO_MANY_FRAMES


async def test_an_address_has_a_limited_number_of_nodes(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(limits="nodes_per_address = 2")
    grid.start()
    nodes = [await open_node(grid, f"device-{n}") for n in range(3)]
    for number, node in enumerate(nodes[:2]):
        await node.join("bench", device=f"device-{number}")
    assert (await closed(nodes[2]))[0] == CloseCode.TOO_MANY_NODES
    for node in nodes[:2]:
        await node.close()


def wrong_shape(node: RawNode, assign: wire.Assign) -> wire.Result:
    return node.result(assign, msgspec.msgpack.encode({"vector": [1.0]}))


def wrong_answer(node: RawNode, assign: wire.Assign) -> wire.Result:
    return node.result(assign, msgspec.msgpack.encode({"text": "something else"}))


def wrong_digest(node: RawNode, assign: wire.Assign) -> wire.Result:
    good = node.result(assign, assign.input)
    return msgspec.structs.replace(good, nonce=bytes(16))


def wrong_key(node: RawNode, assign: wire.Assign) -> wire.Result:
    node.worker = Keypair()
    return node.result(assign, assign.input)


@pytest.mark.parametrize("lie", [wrong_shape, wrong_answer, wrong_digest, wrong_key])
async def test_a_wrong_result_is_not_paid_and_the_job_goes_elsewhere(
    echo_grid: EchoGrid, lie: Callable[[RawNode, wire.Assign], wire.Result]
) -> None:
    async with (
        echo_grid.client(await echo_grid.make_key()) as client,
        echo_grid.node("liar") as liar,
    ):
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=WAIT))
        assign = await assigned(liar)
        async with echo_grid.node("honest") as honest:
            await liar.send(lie(liar, assign))
            answer = await liar.receive()
            assert isinstance(answer, wire.Error)
            assert answer.code == "invalid_result"
            second = await assigned(honest)
            assert second.job == assign.job
            await honest.send(honest.result(second, second.input))
            done = (await asked).json()
        assert done["state"] == "done"
        assert done["wallet"] == honest.wallet
        assert (await client.get(f"/api/wallets/{liar.wallet}")).json()["earned"] == 0


async def test_nobody_can_answer_for_another(echo_grid: EchoGrid) -> None:
    async with (
        echo_grid.client(await echo_grid.make_key()) as client,
        echo_grid.node("worker") as worker,
    ):
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=WAIT))
        assign = await assigned(worker)
        async with echo_grid.node("thief") as thief:
            await thief.send(thief.result(assign, assign.input))
            answer = await thief.receive()
            assert isinstance(answer, wire.Error)
            assert answer.code == "stale_lease"
            await worker.send(worker.result(assign, assign.input))
            assert (await asked).json()["wallet"] == worker.wallet


async def test_a_node_that_says_nothing_loses_the_job_to_another(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    grid = make_echo_grid(hedge_min_s=1)
    grid.start()
    async with (
        grid.client(await grid.make_key()) as client,
        # In this order: who was free first is given the job.
        grid.node("silent") as silent,
        grid.node("awake") as awake,
    ):
        asked = asyncio.create_task(client.post("/api/jobs", json=JOB, headers=WAIT))
        assign = await assigned(silent)
        second = await assigned(awake)
        assert second.job == assign.job
        await awake.send(awake.result(second, second.input))
        assert (await asked).json()["wallet"] == awake.wallet
        cancel = await silent.receive()
        assert isinstance(cancel, wire.Cancel)


async def test_a_node_that_vanishes_loses_the_job_at_once(echo_grid: EchoGrid) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client:
        async with echo_grid.node("gone") as gone:
            job = (await client.post("/api/jobs", json=JOB)).json()
            await assigned(gone)
            gone.socket.transport.abort()  # no close frame: as when the power fails
        async with echo_grid.node("stays") as stays:
            assign = await assigned(stays)
            assert assign.job == job["id"]
            await stays.send(stays.result(assign, assign.input))
            await echo_grid.wait_for(f"/api/jobs/{job['id']}", lambda j: j["state"] == "done")


async def test_a_client_that_leaves_frees_the_node(echo_grid: EchoGrid) -> None:
    """Closing the connection is the only cancel that stock clients have."""
    body = {"model": "echo", "input": {"text": "x"}}
    async with echo_grid.node() as node:
        async with echo_grid.client(await echo_grid.make_key()) as client:
            job = (await client.post("/api/jobs", json=body)).json()
            assign = await assigned(node)
            await client.post(f"/api/jobs/{job['id']}/cancel")
        assert await node.receive() == wire.Cancel(assign.lease, "Cancelled by its owner.")


async def test_failing_nodes_use_up_the_attempts_and_the_money_comes_back(
    echo_grid: EchoGrid,
) -> None:
    async with echo_grid.client(await echo_grid.make_key()) as client, echo_grid.node() as node:
        job = (await client.post("/api/jobs", json=JOB)).json()

        async def fail_all() -> None:
            while True:
                assign = await assigned(node)
                failed = wire.Failed(assign.lease, assign.job, "bad_input", "No such thing.")
                await node.send(failed)

        failing = asyncio.create_task(fail_all())
        ended: Any = await echo_grid.wait_for(
            f"/api/jobs/{job['id']}", lambda j: j["state"] == "failed"
        )
        failing.cancel()
        assert "No such thing." in ended["error"]
        assert (await client.get("/api/keys/current")).json()["credit"] == 1_000_000


WAIT = {"Prefer": "wait=60"}


async def test_a_fast_node_is_not_cut_off_when_a_commit_was_slow(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    """All that it did meanwhile is settled at once: it reads as fast as it is told."""
    grid = make_echo_grid()
    grid.start()
    async with grid.client(await grid.make_key()) as client, grid.node() as node:
        submitted = await asyncio.gather(*(client.post("/api/jobs", json=JOB) for _ in range(200)))
        assert {answer.status_code for answer in submitted} == {202}
        settled: list[str] = []
        async with asyncio.timeout(60):
            with closing(sqlite3.connect(grid.folder / "data" / "tabgrid.db")) as database:
                database.execute("BEGIN IMMEDIATE")  # as a slow disk: nobody else can commit
                for _ in range(200):
                    assign = await node.receive()
                    assert isinstance(assign, wire.Assign)
                    await node.send(node.result(assign, assign.input))
                database.rollback()
            while len(settled) < 200:
                message = await node.receive()
                assert isinstance(message, wire.Settled)
                settled.append(message.job)
    assert len(set(settled)) == 200
