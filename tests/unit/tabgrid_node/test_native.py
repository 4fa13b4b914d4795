"""The native host's socket against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve

from tabgrid_node import native
from tabgrid_node.hosts import ConnectionLost
from tabgrid_node.native import NativeHost, SocketTransport, device_id_of
from tabgrid_wire.errors import STOP_CODES, CloseCode
from tabgrid_wire.messages import MAX_FRAME

Handler = Callable[[ServerConnection], Awaitable[None]]


def url_of(server: Server) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    return f"127.0.0.1:{port}"


async def keep(transport: SocketTransport, frames: list[bytes]) -> None:
    async for frame in transport:
        frames.append(frame)


async def frames_and_end(handler: Handler) -> tuple[list[bytes], ConnectionLost, list[str]]:
    """What a transport yields of a server's doing, how it ends, and whether it signed out."""
    signed_out: list[str] = []
    frames: list[bytes] = []
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        socket = await connect(
            f"ws://{url_of(server)}", max_size=MAX_FRAME, proxy=None, compression=None
        )
        transport = SocketTransport(socket, lambda: signed_out.append("out"))
        with pytest.raises(ConnectionLost) as lost:
            await keep(transport, frames)
        await transport.close()
        with pytest.raises(ConnectionLost):
            await transport.send(b"too late")
    return frames, lost.value, signed_out


async def test_frames_then_the_close_code() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(b"one")
        await socket.send("text")
        await socket.close(CloseCode.DUPLICATE_DEVICE, "again")

    frames, lost, signed_out = await frames_and_end(handler)
    assert frames == [b"one", b"text"]
    assert lost.code == CloseCode.DUPLICATE_DEVICE
    assert str(lost) == STOP_CODES[CloseCode.DUPLICATE_DEVICE]
    assert not signed_out


async def test_the_end_of_a_session_is_no_reason_to_stop() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.close(CloseCode.NOT_SIGNED_IN)

    _, lost, signed_out = await frames_and_end(handler)
    assert lost.code not in STOP_CODES
    assert signed_out


async def test_a_frame_too_large_ends_the_connection() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(bytes(MAX_FRAME + 1))
        await socket.wait_closed()

    frames, lost, _ = await frames_and_end(handler)
    assert frames == []
    assert lost.code == 1009


async def test_a_grid_that_takes_nothing_any_more_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SEND_S", 0.5)
    monkeypatch.setattr(native, "CLOSE_S", 0.5)

    async def handler(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await over.wait()
        socket.transport.abort()

    over = asyncio.Event()
    async with serve(handler, "127.0.0.1", 0, ping_interval=None) as server:
        url = f"ws://{url_of(server)}"
        sockets = [await connect(url, proxy=None, compression=None) for _ in range(2)]
        sending, leaving = [SocketTransport(socket, lambda: None) for socket in sockets]
        try:
            async with asyncio.timeout(60):
                with pytest.raises(ConnectionLost):
                    await fill(sending)
                await sending.close()
                filling = asyncio.create_task(fill(leaving))
                while not sockets[1].paused:
                    await asyncio.sleep(0)
                filling.cancel()
                await leaving.close()
        finally:
            for socket in sockets:
                socket.transport.abort()
            over.set()


async def fill(transport: SocketTransport) -> None:
    while True:
        await transport.send(bytes(MAX_FRAME))


async def test_another_protocol_is_another_version(tmp_path: Path) -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.wait_closed()

    def select(socket: ServerConnection, offered: object) -> None:
        """Accept without a subprotocol, as a server does that knows none of ours."""

    server = await serve(handler, "127.0.0.1", 0, select_subprotocol=select)
    async with server:
        host = NativeHost(f"http://{url_of(server)}", Keypair(), tmp_path)
        with pytest.raises(ConnectionLost) as lost:
            await host._open()
        await host.close()
    assert lost.value.code == CloseCode.VERSION


async def test_nobody_there(tmp_path: Path) -> None:
    host = NativeHost("http://127.0.0.1:1", Keypair(), tmp_path)
    with pytest.raises(ConnectionLost, match="cannot be reached"):
        await host.connect()
    await host.close()


def test_a_device_is_known_by_its_name_or_by_its_cache(tmp_path: Path) -> None:
    kept = device_id_of("", tmp_path)
    assert device_id_of("", tmp_path) == kept != device_id_of("", tmp_path / "other")
    assert device_id_of("desk", tmp_path) == device_id_of("desk", tmp_path / "other") != kept
    assert {len(kept), len(device_id_of("desk", tmp_path))} == {32}
