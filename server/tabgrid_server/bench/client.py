"""A wallet, a node and an HTTP client without overhead: what benches and fault tests drive.

The node speaks the real protocol over a real socket; what it answers is up to its user.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import httptools
import httpx
import msgspec
from solders.keypair import Keypair
from websockets.asyncio.client import ClientConnection, connect

from tabgrid_wire import messages as wire
from tabgrid_wire.commitment import output_digest, result_message
from tabgrid_wire.protocol import Connection

#: A grid that is as busy as a bench can make it lets a node in for all that.
OPEN_S = 60


async def sign_in(url: str, wallet: Keypair, worker: Keypair | str, device: str) -> str:
    """Sign in with ``wallet``, binding ``worker`` (its public key will do); the session's token."""
    async with httpx.AsyncClient(base_url=url, timeout=OPEN_S) as client:
        asked = {
            "address": str(wallet.pubkey()),
            "worker_key": worker if isinstance(worker, str) else str(worker.pubkey()),
            "device_id": device,
        }
        challenge = (await client.post("/api/auth/challenge", json=asked)).raise_for_status()
        text = challenge.json()["message"].encode()
        signed = {
            "nonce": challenge.json()["nonce"],
            "address": str(wallet.pubkey()),
            "signed_message": base64.b64encode(text).decode(),
            "signature": base64.b64encode(bytes(wallet.sign_message(text))).decode(),
        }
        session = (await client.post("/api/auth/verify", json=signed)).raise_for_status()
        return str(session.json()["token"])


class RawNode:
    """One node's socket, message by message."""

    def __init__(self, url: str, socket: ClientConnection, wallet: str, worker: Keypair) -> None:
        self.url = url
        self.socket = socket
        self.wallet = wallet
        self.worker = worker
        self.connection = Connection("node")

    @classmethod
    async def open(
        cls,
        url: str,
        token: str,
        wallet: Keypair,
        worker: Keypair,
        subprotocols: Sequence[str] = (wire.SUBPROTOCOL,),
        **headers: str,
    ) -> Self:
        parts = urlsplit(url)
        socket = await connect(
            f"ws://{parts.netloc}/ws/node",
            subprotocols=subprotocols,  # type: ignore[arg-type]
            additional_headers={"Authorization": f"Bearer {token}", **headers},
            compression=None,
            max_size=wire.MAX_FRAME + 1024,
            open_timeout=OPEN_S,
        )
        return cls(url, socket, str(wallet.pubkey()), worker)

    async def send(self, message: wire.FromNode) -> None:
        await self.socket.send(self.connection.send(message))

    async def receive(self) -> Any:
        frame = await self.socket.recv()
        assert isinstance(frame, bytes)
        return self.connection.receive(frame)

    async def join(
        self, *grids: str, device: str, ready: bool = True, device_class: str = "cpu:bench"
    ) -> wire.Welcome:
        """Hello, and Ready for the first variant of everything that is offered."""
        await self.send(hello(device, grids, device_class))
        welcome = await self.receive()
        assert isinstance(welcome, wire.Welcome), welcome
        if ready:
            models = [await first_variant(self.url, model.digest) for model in welcome.models]
            await self.send(wire.Ready(tuple(models)))
        return welcome

    def result(
        self, assign: wire.Assign, output: bytes, root: bytes | None = None, trace: bytes = b""
    ) -> wire.Result:
        """``output`` as the signed answer to ``assign``."""
        nonce = os.urandom(16)
        message = result_message(assign.job, self.wallet, nonce, output_digest(output), root)
        signature = bytes(self.worker.sign_message(message))
        lease, job = assign.lease, assign.job
        return wire.Result(lease, job, output, nonce, signature, 0, root=root, trace=trace)

    async def close(self) -> None:
        await self.socket.close()


#: By digest: a thousand nodes of one process ask once.
_VARIANTS: dict[str, wire.LoadedModel] = {}


async def first_variant(url: str, digest: str) -> wire.LoadedModel:
    """What a node says that holds the model's first variant, and is fast."""
    if digest not in _VARIANTS:
        async with httpx.AsyncClient(base_url=url, timeout=OPEN_S) as client:
            manifest = (await client.get(f"/api/models/{digest}")).raise_for_status().json()
        first = manifest["variants"][0]
        _VARIANTS[digest] = wire.LoadedModel(digest, first["id"], first["dtype"], 1e6)
    return _VARIANTS[digest]


def hello(device: str, grids: tuple[str, ...], device_class: str = "cpu:bench") -> wire.Hello:
    return wire.Hello(
        agent="tabgrid-bench",
        host="native",
        backend="cpu",
        device="bench",
        device_class=device_class,
        device_id=device,
        memory_mib=0,
        grids=grids,
    )


class Http(asyncio.Protocol):
    """One keep-alive connection that costs about 40 µs a request, so that the client does
    not become what is measured. One request at a time."""

    def __init__(self) -> None:
        self._parser: Any = None
        self._body: list[bytes] = []
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: Any = None
        self._head = b""

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str]) -> Http:
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(cls, parts.hostname or "", parts.port or 80)
        lines = [f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
        client._head = "\r\n".join([*lines, "Content-Type: application/json", ""]).encode()
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._body)))

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        self._parser = httptools.HttpResponseParser(self)
        self._body = []
        self._answer = asyncio.get_running_loop().create_future()
        head = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n".encode()
        self._transport.write(head + self._head + b"\r\n" + body)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


async def new_key(url: str) -> str:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        answer = await client.post("/api/keys", json={"label": "bench"})
        return str(answer.raise_for_status().json()["key"])


def job_body(model: str, **input: object) -> bytes:
    return msgspec.json.encode({"model": model, "input": input})
