"""The node program's host under CPython: websockets, onnxruntime, a folder of weights."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import onnxruntime
from solders.keypair import Keypair
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tabgrid_models.calibration import Calibration, readable
from tabgrid_models.catalogue import InvalidManifest, parse
from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_models.runtime import Runtime
from tabgrid_wire.errors import CloseCode
from tabgrid_wire.messages import MAX_FRAME, SUBPROTOCOLS

from .hosts import (
    CannotRun,
    ConnectionLost,
    Device,
    DownloadProgress,
    NodeStatus,
    Transport,
    UploadRefused,
    closed,
)
from .keys import KeySigner
from .native_runtime import NativeRuntime
from .notes import Notes
from .sign_in import sign_in
from .weights import WeightCache, check_status

#: Opening anything: a grid that needs longer is as good as gone.
OPEN_S = 10.0
#: What the grid's server may take to write an uploaded answer down, on a disk or elsewhere.
STORE_S = 60.0
#: Statuses of HTTP that say "not now".
NOT_NOW = (408, 425, 429)
#: A silent line is found dead within two of these.
PING_S = 20.0
#: What a close handshake may take, so that leaving never hangs.
CLOSE_S = 5.0
#: What a frame may take to leave, the largest over the slowest line. One that the grid does not
#: take keeps back our pings too, so nothing else would find that line dead.
SEND_S = 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: HTTP answers to the WebSocket handshake that mean what a close code means.
HANDSHAKE = {
    409: CloseCode.DUPLICATE_DEVICE,
    426: CloseCode.VERSION,
    503: CloseCode.DRAINING,
}


class SocketTransport:
    """A ``Transport`` over the websockets library.

    A session that ends is no reason for this host to stop, since it holds the wallet's key:
    ``signed_out`` hears of it, and the connection counts as lost for no special reason.
    """

    def __init__(self, socket: ClientConnection, signed_out: Callable[[], None]) -> None:
        self._socket = socket
        self._signed_out = signed_out

    async def send(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send(frame)
        except TimeoutError as error:
            self._socket.transport.abort()
            raise ConnectionLost("The grid takes nothing any more.") from error
        except ConnectionClosed as error:
            raise self._lost(error) from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                # A text frame is no frame of ours: as bytes it fails the protocol's decoding.
                frame = await self._socket.recv(decode=False)
                yield frame
        except ConnectionClosed as error:
            raise self._lost(error) from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._socket.close(code, reason)
        except TimeoutError:  # not even the handshake could be sent
            self._socket.transport.abort()

    def _lost(self, error: ConnectionClosed) -> ConnectionLost:
        """Why, in the close code's words. Ours counts where the peer gave none."""
        frame = error.rcvd or error.sent
        code, reason = (frame.code, frame.reason) if frame else (1006, "")
        if code == CloseCode.NOT_SIGNED_IN:
            self._signed_out()
            return ConnectionLost("The session has ended.")
        return closed(code, reason)


class NativeHost:
    """One process, one wallet, one grid's address."""

    def __init__(
        self,
        url: str,
        wallet: Keypair,
        cache: Path,
        *,
        threads: int = 0,
        device_name: str = "",
        domain: str = "",
        on_status: Callable[[NodeStatus], None] = lambda status: None,
    ) -> None:
        parts = urlsplit(url)
        self.device = find_device(threads, device_id_of(device_name, cache))
        self.signer = KeySigner()
        self._wallet = wallet
        self._domain = domain or parts.netloc
        self._threads = threads
        self._on_status = on_status
        self._token = ""
        # A proxy of the environment never leads to this machine itself.
        self._local = parts.hostname in LOOPBACK
        self._socket_url = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws/node"
        self._http = httpx.AsyncClient(
            base_url=f"{parts.scheme}://{parts.netloc}", timeout=OPEN_S, trust_env=not self._local
        )
        self._cache = WeightCache(cache, self._http)
        self._notes = Notes(cache / "notes")

    async def connect(self) -> Transport:
        if not self._token:
            await self._sign_in()
        return await self._open()

    async def _sign_in(self) -> None:
        session = await sign_in(
            self._http,
            self._wallet,
            worker_key=self.signer.public,
            device_id=self.device.device_id,
            domain=self._domain,
        )
        self._token = session.token

    async def _open(self) -> Transport:
        try:
            socket = await connect(
                self._socket_url,
                subprotocols=SUBPROTOCOLS,  # type: ignore[arg-type]
                additional_headers={"Authorization": f"Bearer {self._token}"},
                compression=None,
                max_size=MAX_FRAME,
                open_timeout=OPEN_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=CLOSE_S,
                proxy=None if self._local else True,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status == httpx.codes.UNAUTHORIZED:
                self._sign_out()
            code = HANDSHAKE.get(status, 1006)
            raise closed(code, f"HTTP {status}") from error
        except (InvalidHandshake, OSError, TimeoutError) as error:
            raise ConnectionLost("The grid cannot be reached.") from error
        if socket.subprotocol not in SUBPROTOCOLS:
            await socket.close()
            raise closed(CloseCode.VERSION)
        return SocketTransport(socket, self._sign_out)

    def _sign_out(self) -> None:
        self._token = ""

    async def fetch_manifest(self, digest: str) -> Manifest:
        try:
            response = await self._http.get(f"/api/models/{digest}")
        except httpx.TransportError as error:
            raise ConnectionLost("The grid cannot be reached.") from error
        check_status(response, "the model's manifest")
        try:
            return parse(response.content)
        except InvalidManifest as error:
            raise CannotRun(str(error), "bad_model") from error

    async def fetch_calibration(self, digest: str) -> Calibration | None:
        try:
            response = await self._http.get(f"/api/models/{digest}/calibration")
        except httpx.TransportError as error:
            raise ConnectionLost("The grid cannot be reached.") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        check_status(response, "the model's calibration")
        return readable(response.content)

    async def missing(self, files: Sequence[File]) -> int:
        return await asyncio.to_thread(self._cache.missing, files)

    async def recall(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._notes.read, name)

    async def remember(self, name: str, value: bytes) -> None:
        await asyncio.to_thread(self._notes.write, name, value)

    async def load(
        self, manifest: Manifest, variant: Variant, progress: DownloadProgress
    ) -> Runtime:
        folder = await self._cache.fetch(manifest, variant, progress)
        return await asyncio.to_thread(NativeRuntime, manifest, variant, folder, self._threads)

    async def unload(self, digest: str) -> None:
        """Sessions end with their last reference."""

    async def upload(self, path: str, data: bytes) -> None:
        timeout = httpx.Timeout(OPEN_S, read=STORE_S)
        try:
            response = await self._http.put(path, content=data, timeout=timeout)
        except httpx.TransportError as error:
            raise ConnectionLost("The grid cannot be reached.") from error
        if response.is_success:
            return
        reason = f"The grid answered {response.status_code} to the upload: {response.text[:200]}"
        if response.is_server_error or response.status_code in NOT_NOW:
            raise ConnectionLost(reason)
        raise UploadRefused(reason)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def monotonic(self) -> float:
        return time.monotonic()

    def random(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def report(self, status: NodeStatus) -> None:
        self._on_status(status)

    def show(self, job: str, grid: str, preview: bytes) -> None:
        """A process has nobody who watches."""

    async def close(self) -> None:
        await self._http.aclose()


def find_device(threads: int, device_id: str) -> Device:
    machine = platform.machine() or "unknown"
    count = threads or os.cpu_count() or 1
    return Device(
        host="native",
        backend="cpu",
        name=f"{machine}, {count} threads",
        device_class=f"cpu:{machine}",
        device_id=device_id,
        memory_mib=memory_mib(),
        runtime=f"onnxruntime {onnxruntime.__version__}",
    )


def memory_mib() -> int:
    """Main memory of this machine; 0 where it cannot be known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError):
        return 0


def device_id_of(name: str, cache: Path) -> str:
    """From the name its owner gave it; else random, made once per cache.

    So two processes that share a cache and have no names are one device.
    """
    if name:
        return hashlib.sha256(b"tabgrid/device/" + name.encode()).hexdigest()[:32]
    path = cache / "device-id"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(secrets.token_hex(16))
        new.rename(path)
    return path.read_text().strip()
