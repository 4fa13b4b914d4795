"""A bug of ours that ends a node's socket is told: else the node alone would know."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import NoReturn

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tabgrid_server.bench.client import hello
from tabgrid_server.chain.localnet.server import _Server
from tabgrid_server.coordinator import Coordinator
from tabgrid_server.node_socket import NodeSocket
from tabgrid_server.store import Session
from tabgrid_wire import messages as wire
from tabgrid_wire.protocol import Connection
from tests.support.desk import open_desk

SESSION = Session(
    token_hash="h",
    wallet="W",
    worker_key="K",
    device_id="device-1",
    created_at=0.0,
    expires_at=time.time() + 3_600,
)


class BrokenDoor:
    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator

    def welcome(self, link: NodeSocket, hello: wire.Hello) -> NoReturn:
        raise ZeroDivisionError

    def forget(self, link: NodeSocket, node: object) -> None:
        raise AssertionError("it never came in")


async def test_a_bug_behind_a_socket_is_told(tmp_path: Path) -> None:
    async with open_desk(tmp_path, f"sqlite:///{tmp_path / 'books.db'}") as desk:

        async def node(socket: WebSocket) -> None:
            await socket.accept(wire.SUBPROTOCOL)
            await NodeSocket(
                BrokenDoor(desk.coordinator), socket, SESSION, wire.SUBPROTOCOL
            ).serve()

        app = Starlette(routes=[WebSocketRoute("/", node)])
        listener = socket.create_server(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
        serving = asyncio.create_task(server.serve([listener]))
        await server.up.wait()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        with capture_logs() as logs:
            async with connect(url, subprotocols=[wire.SUBPROTOCOL], proxy=None) as peer:  # type: ignore[list-item]
                await peer.send(Connection("node").send(hello("device-1", ("text",), "cpu:a")))
                with pytest.raises(ConnectionClosed):
                    await peer.recv()
            server.should_exit = True
            await serving
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "a node's socket failed"
    ]
