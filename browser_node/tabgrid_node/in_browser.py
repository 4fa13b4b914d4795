"""The node's host in a tab: Pyodide in a Web Worker, ONNX Runtime Web beside it.

The only file that knows JavaScript. It talks to ``web/src/worker/bridge.ts`` through the
protocols below, which say what crosses: numbers, strings and JSON as they are, bytes as
``Uint8Array`` (one copy, since Python and ONNX Runtime have a memory each), tensors as
handles that stay on the other side.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from pyodide.ffi import JsException, create_proxy, to_js  # type: ignore[import-not-found]

from tabgrid_models.calibration import Calibration, readable
from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_models.runtime import Runtime, Tensor, Tokenizer
from tabgrid_wire.messages import SUBPROTOCOLS

from .hosts import (
    CannotRun,
    ConnectionLost,
    Device,
    DeviceLost,
    DownloadProgress,
    NodeStatus,
    OutOfMemory,
    UploadRefused,
    closed,
)
from .node import Node


class JsBytes(Protocol):
    """A ``Uint8Array``."""

    def to_bytes(self) -> bytes: ...


class JsTensor(Protocol):
    """An ``ort.Tensor``."""

    type: str
    dims: Iterable[int]

    def dispose(self) -> None: ...


class JsSocket(Protocol):
    closeCode: int  # noqa: N815 - JavaScript's name
    closeReason: str  # noqa: N815

    async def pull(self) -> JsBytes | None: ...

    async def push(self, frame: JsBytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class JsModel(Protocol):
    """One loaded variant."""

    def tensor(self, dtype: str, shape: Any, data: JsBytes) -> JsTensor: ...

    async def run(self, graph: str, names: Any, tensors: Any) -> Iterable[tuple[str, JsTensor]]: ...

    async def read(self, tensor: JsTensor) -> JsBytes: ...

    def hasTokenizer(self) -> bool: ...  # noqa: N802 - JavaScript's name

    def encode(self, texts: Any, max_tokens: int) -> str: ...

    async def close(self) -> None: ...


class Bridge(Protocol):
    """``worker/bridge.ts``."""

    def version(self) -> str: ...

    def device(self) -> str: ...

    async def connect(self, protocols: Any) -> JsSocket: ...

    async def fetch(self, path: str) -> JsBytes | None: ...

    async def upload(self, path: str, data: JsBytes) -> None: ...

    async def sign(self, message: JsBytes) -> JsBytes: ...

    def report(self, status: str) -> None: ...

    def show(self, job: str, grid: str, preview: JsBytes) -> None: ...

    def downloadLimit(self) -> float: ...  # noqa: N802 - JavaScript's name

    async def missing(self, files: str) -> float: ...

    async def recall(self, name: str) -> str | None: ...

    async def remember(self, name: str, value: str) -> None: ...

    async def load(self, wanted: str, progress: Callable[[int, int], None]) -> JsModel: ...


#: How engines word a heap or a GPU that is full. They have no common error type for it.
OUT_OF_MEMORY = ("out of memory", "bad_alloc", "allocation failed", "array buffer allocation")


def translate(error: Exception) -> Exception:
    """A JavaScript error as the Python error that the node program knows."""
    text = getattr(error, "message", "") or str(error)
    if getattr(error, "name", "") == "DeviceLost":
        return DeviceLost(text)
    if any(sign in text.lower() for sign in OUT_OF_MEMORY):
        return MemoryError(text)
    return RuntimeError(text)


class BrowserTensor:
    """A handle to an ``ort.Tensor``, in WebAssembly memory or on the GPU."""

    def __init__(self, model: JsModel, handle: JsTensor) -> None:
        self._model = model
        self.handle = handle
        self.dtype = handle.type
        self.shape = tuple(handle.dims)
        self._disposed = False

    async def read(self) -> bytes:
        try:
            return (await self._model.read(self.handle)).to_bytes()
        except JsException as error:
            raise translate(error) from error

    def dispose(self) -> None:
        if not self._disposed:
            self._disposed = True
            self.handle.dispose()


class BrowserTokenizer:
    """The JavaScript tokeniser that the tab loaded with the model."""

    def __init__(self, model: JsModel) -> None:
        self._model = model

    def encode(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        ids: list[list[int]] = msgspec.json.decode(
            self._model.encode(to_js(list(texts)), max_tokens), type=list[list[int]]
        )
        return ids


class BrowserRuntime:
    """``Runtime`` over one loaded variant."""

    def __init__(self, model: JsModel) -> None:
        self._model = model

    def tensor(self, dtype: str, shape: Sequence[int], data: bytes) -> Tensor:
        try:
            handle = self._model.tensor(dtype, to_js(list(shape)), to_js(data))
        except JsException as error:
            raise ValueError(error.message) from error
        return BrowserTensor(self._model, handle)

    async def run(self, graph: str, feeds: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        handles = [_handle(tensor) for tensor in feeds.values()]
        try:
            outputs = await self._model.run(graph, to_js(list(feeds)), to_js(handles))
        except JsException as error:
            raise translate(error) from error
        return {name: BrowserTensor(self._model, handle) for name, handle in outputs}

    def tokenizer(self) -> Tokenizer:
        if not self._model.hasTokenizer():
            raise LookupError("the model's manifest names no tokenizer")
        return BrowserTokenizer(self._model)

    async def close(self) -> None:
        await self._model.close()


def _handle(tensor: Tensor) -> JsTensor:
    if not isinstance(tensor, BrowserTensor):
        raise TypeError("a tensor of another runtime")
    return tensor.handle


class BrowserTransport:
    """``Transport`` over ``worker/socket.ts``."""

    def __init__(self, socket: JsSocket) -> None:
        self._socket = socket

    async def send(self, frame: bytes) -> None:
        try:
            await self._socket.push(to_js(frame))
        except JsException as error:
            raise self._lost() from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (frame := await self._socket.pull()) is not None:
            yield frame.to_bytes()
        raise self._lost()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self._socket.close(code, reason)

    def _lost(self) -> ConnectionLost:
        return closed(self._socket.closeCode or 1006, self._socket.closeReason)


class BrowserSigner:
    """The tab's non-extractable Ed25519 key (``worker/keys.ts``)."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def sign(self, message: bytes) -> bytes:
        return (await self._bridge.sign(to_js(message))).to_bytes()


#: A status crosses to JavaScript and on to the page: 0.1 ms each, twice a job. Twenty a second
#: are all that an eye can follow, and the newest is always among them.
REPORT_EVERY_S = 0.05


class BrowserHost:
    """``Host`` in a tab."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._unreported: NodeStatus | None = None
        self._loaded: dict[str, BrowserRuntime] = {}
        self.device = msgspec.json.decode(bridge.device(), type=Device)
        self.signer = BrowserSigner(bridge)

    async def connect(self) -> BrowserTransport:
        try:
            return BrowserTransport(await self._bridge.connect(to_js(list(SUBPROTOCOLS))))
        except JsException as error:
            raise closed(1006, error.message) from error

    async def fetch_manifest(self, digest: str) -> Manifest:
        try:
            content = await self._bridge.fetch(f"/api/models/{digest}")
        except JsException as error:
            raise ConnectionLost(error.message) from error
        if content is None:
            raise CannotRun("The coordinator does not know this model any more.", "bad_model")
        try:
            return msgspec.json.decode(content.to_bytes(), type=Manifest)
        except msgspec.DecodeError as error:
            raise CannotRun(f"The model's manifest is malformed: {error}", "bad_model") from error

    async def fetch_calibration(self, digest: str) -> Calibration | None:
        try:
            content = await self._bridge.fetch(f"/api/models/{digest}/calibration")
        except JsException as error:
            raise ConnectionLost(error.message) from error
        return None if content is None else readable(content.to_bytes())

    async def missing(self, files: Sequence[File]) -> int:
        return int(await self._bridge.missing(msgspec.json.encode(files).decode()))

    async def recall(self, name: str) -> bytes | None:
        kept = await self._bridge.recall(name)
        return None if kept is None else kept.encode()

    async def remember(self, name: str, value: bytes) -> None:
        await self._bridge.remember(name, value.decode())

    async def load(
        self, manifest: Manifest, variant: Variant, progress: DownloadProgress
    ) -> Runtime:
        self._check_limit(manifest, variant)
        wanted = {
            "graphs": variant.graphs,
            "files": variant.files,
            "shared": manifest.shared,
            "tokenizer": manifest.config.get("tokenizer"),
        }
        listener = create_proxy(progress)
        try:
            model = await self._bridge.load(msgspec.json.encode(wanted).decode(), listener)
        except JsException as error:
            raise _load_error(error) from error
        finally:
            listener.destroy()
        runtime = self._loaded[manifest.digest()] = BrowserRuntime(model)
        return runtime

    def _check_limit(self, manifest: Manifest, variant: Variant) -> None:
        limit = self._bridge.downloadLimit()
        size = sum(file.size for file in (*variant.files, *manifest.shared))
        if limit and size > limit:
            raise CannotRun(
                f"It needs a download of {size / 1e6:.0f} MB; your limit is {limit / 1e6:.0f} MB.",
                "download_limit",
            )

    async def unload(self, digest: str) -> None:
        if runtime := self._loaded.pop(digest, None):
            await runtime.close()

    async def upload(self, path: str, data: bytes) -> None:
        try:
            await self._bridge.upload(path, to_js(data))
        except JsException as error:
            known = UploadRefused if error.name == "UploadRefused" else ConnectionLost
            raise known(error.message) from error

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def monotonic(self) -> float:
        return time.monotonic()

    def random(self, count: int) -> bytes:
        return os.urandom(count)

    def report(self, status: NodeStatus) -> None:
        if self._unreported is None:
            asyncio.get_running_loop().call_later(REPORT_EVERY_S, self._report_newest)
        self._unreported = status

    def show(self, job: str, grid: str, preview: bytes) -> None:
        # A picture never comes before the status that names its job.
        self._report_newest()
        self._bridge.show(job, grid, to_js(preview))

    def _report_newest(self) -> None:
        status, self._unreported = self._unreported, None
        if status is not None:
            self._bridge.report(msgspec.json.encode(status).decode())


def _load_error(error: Any) -> Exception:
    if error.name == "DownloadFailed":
        return ConnectionLost(error.message)
    known = translate(error)
    if isinstance(known, MemoryError):
        return OutOfMemory("This device has not enough memory for the model.")
    # Bytes that are not what the manifest says: no fault of this device.
    return CannotRun(str(known), "bad_model" if error.name == "DamagedFile" else "fails")


def control(bridge: Bridge, grids: str, wallet: str) -> Node:
    """The node of this tab; ``grids`` is a JSON list. The worker calls run, pause, resume, stop."""
    wanted = msgspec.json.decode(grids, type=list[str])
    return Node(BrowserHost(bridge), wanted, wallet, agent=f"tabgrid-tab/{bridge.version()}")
