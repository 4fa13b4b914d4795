"""A host inside one process, for tests of the node program and of whoever builds on it.

Not a mock: it implements the same protocols as a tab and a process do, with queues for a
socket and a clock that moves when somebody sleeps on it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from tabgrid_models.calibration import Calibration
from tabgrid_models.catalogue import files
from tabgrid_models.manifest import File, Manifest, Variant
from tabgrid_models.runtime import Runtime, Tensor, Tokenizer
from tabgrid_wire.messages import FromNode, ToNode
from tabgrid_wire.protocol import Connection

from .hosts import (
    CannotRun,
    ConnectionLost,
    Device,
    DownloadProgress,
    NodeStatus,
    Signer,
    Transport,
    UploadRefused,
    closed,
)

DEVICE = Device("native", "cpu", "a test", "cpu:test", "test-device", 1024)


class LocalTransport:
    """One end of a socket made of two queues; ``pair`` makes both."""

    def __init__(
        self, inbox: asyncio.Queue[bytes | int], outbox: asyncio.Queue[bytes | int]
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._closed = False

    @classmethod
    def pair(cls) -> tuple[LocalTransport, LocalTransport]:
        one: asyncio.Queue[bytes | int] = asyncio.Queue()
        other: asyncio.Queue[bytes | int] = asyncio.Queue()
        return cls(one, other), cls(other, one)

    async def send(self, frame: bytes) -> None:
        if self._closed:
            raise ConnectionLost("This end is closed.")
        self._outbox.put_nowait(frame)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while isinstance(frame := await self._inbox.get(), bytes):
            yield frame
        self._closed = True
        raise closed(frame)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends both directions, after what was sent before."""
        if not self._closed:
            self._closed = True
            self._outbox.put_nowait(code)
            self._inbox.put_nowait(code)


class Peer:
    """The coordinator's end of one connection, one message at a time."""

    def __init__(self, transport: LocalTransport) -> None:
        self._transport = transport
        self._frames = transport.__aiter__()
        self._connection = Connection("coordinator")

    async def send(self, message: ToNode) -> None:
        await self._transport.send(self._connection.send(message))

    async def send_frame(self, frame: bytes) -> None:
        await self._transport.send(frame)

    async def receive(self) -> FromNode:
        """The node's next message. Raises ConnectionLost with its close code."""
        message: FromNode = self._connection.receive(await anext(self._frames))
        return message

    async def close(self, code: int = 1006) -> None:
        await self._transport.close(code)


class LocalHost:
    """``peers`` yields the coordinator's end of every connection that the node makes.

    ``answers`` says how the next tries to connect end: an error is raised, None connects.
    The clock moves by what is slept; ``slept`` keeps every wait.
    """

    def __init__(
        self,
        signer: Signer,
        manifests: Sequence[Manifest] = (),
        *,
        device: Device = DEVICE,
        runtime: Callable[[Manifest, Variant], Runtime] | None = None,
    ) -> None:
        self.device = device
        self.signer = signer
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.answers: list[ConnectionLost | None] = []
        self.reports: list[NodeStatus] = []
        #: Job, grid and picture of every preview.
        self.shown: list[tuple[str, str, bytes]] = []
        self.on_report: Callable[[NodeStatus], None] = lambda status: None
        self.now = 0.0
        self.slept: list[float] = []
        self.loads: list[tuple[str, str]] = []
        #: What was uploaded, by path; and how the next uploads end, as ``answers``.
        self.uploads: dict[str, bytes] = {}
        self.upload_answers: list[ConnectionLost | UploadRefused | None] = []
        #: What was measured, by model; the files that are here; what is remembered.
        self.calibrations: dict[str, Calibration] = {}
        self.stored: set[str] = set()
        self.notes: dict[str, bytes] = {}
        self.manifests = {manifest.digest(): manifest for manifest in manifests}
        self.runtime = runtime or (lambda manifest, variant: NoRuntime())

    async def connect(self) -> Transport:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        ours, theirs = LocalTransport.pair()
        self.peers.put_nowait(Peer(theirs))
        return ours

    async def fetch_manifest(self, digest: str) -> Manifest:
        try:
            return self.manifests[digest]
        except KeyError:
            raise CannotRun("The grid has no such model.") from None

    async def fetch_calibration(self, digest: str) -> Calibration | None:
        return self.calibrations.get(digest)

    async def missing(self, files: Sequence[File]) -> int:
        return sum(file.size for file in files if file.sha256 not in self.stored)

    async def recall(self, name: str) -> bytes | None:
        return self.notes.get(name)

    async def remember(self, name: str, value: bytes) -> None:
        self.notes[name] = value

    async def load(
        self, manifest: Manifest, variant: Variant, progress: DownloadProgress
    ) -> Runtime:
        self.loads.append((manifest.id, variant.id))
        self.stored.update(file.sha256 for file in files(manifest, variant))
        progress(1, 1)
        return self.runtime(manifest, variant)

    async def unload(self, digest: str) -> None:
        self.loads.append((digest, "unloaded"))

    async def upload(self, path: str, data: bytes) -> None:
        answer = self.upload_answers.pop(0) if self.upload_answers else None
        if answer is not None:
            raise answer
        self.uploads[path] = data

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        return self.now

    def random(self, count: int) -> bytes:
        return os.urandom(count)

    def report(self, status: NodeStatus) -> None:
        self.reports.append(status)
        self.on_report(status)

    def show(self, job: str, grid: str, preview: bytes) -> None:
        self.shown.append((job, grid, preview))


class NoRuntime:
    """For connectors that compute nothing (echo)."""

    def tensor(self, dtype: str, shape: Sequence[int], data: bytes) -> Tensor:
        raise LookupError("This model has no tensors.")

    async def run(self, graph: str, feeds: Mapping[str, Tensor]) -> Mapping[str, Any]:
        raise LookupError("This model has no graphs.")

    def tokenizer(self) -> Tokenizer:
        raise LookupError("This model has no tokeniser.")
