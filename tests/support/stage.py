"""A small real server for tests of the tab's worker: static files, weights, one socket.

It speaks the grid's own protocol with the project's own sans-IO ``Connection``, so that the
tab is tested without accounts, money or a scheduler. What it can do that a coordinator would
not: serve a damaged file, break a download off, and count bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tabgrid_models.calibration import Calibration, parse
from tabgrid_models.connectors import connector
from tabgrid_models.manifest import Manifest
from tabgrid_server.static_files import DIST, StaticAssets
from tabgrid_wire import messages as m
from tabgrid_wire.ids import new_id
from tabgrid_wire.protocol import Connection, Turn
from tests.support.stage_scripts import SCRIPTS

WALLET = "11111111111111111111111111111111"
GRID = "text"
#: The pages' own policy, word for word: what does not run under it does not run at all.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}
RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
#: Small enough that a download can break off in the middle of the tokeniser.
CHUNK = 64 * 1024
PAGE = """<!doctype html><title>Stage</title>
<script type="application/json" id="assets">{assets}</script>
<script type="module" src="/stage.js"></script>"""


class Stage:
    """``with Stage(model folder) as stage:`` serves on ``stage.url`` from a thread."""

    def __init__(self, model: Path, *others: Path) -> None:
        self.model = model
        #: By digest, the first one being what jobs are of unless they say so.
        self.manifests: dict[str, Manifest] = {}
        self.calibrations: dict[str, Calibration] = {}
        self.files: dict[str, Path] = {}
        for folder in (model, *others):
            self._add(folder)
        self.digest, self.manifest = next(iter(self.manifests.items()))
        self.connector = connector(self.manifest.connector)
        self.reset()
        config = uvicorn.Config(self._app(), port=0, log_level="warning", ws="websockets-sansio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def _add(self, folder: Path) -> None:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        self.manifests[manifest.digest()] = manifest
        files = (*manifest.shared, *(f for v in manifest.variants for f in v.files))
        if (measured := folder / "calibration.json").exists():
            self.calibrations[manifest.digest()] = parse(measured.read_bytes())
        self.files |= {file.sha256: folder / file.path for file in files}

    def reset(self) -> None:
        """Forget what a test made of it."""
        #: Path to bytes sent, as they are on the wire.
        self.sent: Counter[str] = Counter()
        #: The ``Range`` headers of requests for weights.
        self.ranges: list[str] = []
        #: SHA-256 of files that are served with one byte changed.
        self.damaged: set[str] = set()
        #: SHA-256 to the number of bytes after which the next download breaks off.
        self.cut: dict[str, int] = {}
        #: Logical names of built files that are not found.
        self.missing: set[str] = set()
        self.hellos: list[m.Hello] = []
        self.readies: list[m.Ready] = []
        self.results: dict[str, Future[m.Result]] = {}
        #: What was uploaded, by digest; and the statuses that the next uploads are answered with.
        self.uploads: dict[str, bytes] = {}
        self.upload_answers: list[int] = []
        #: Chunks and progress, in order.
        self.reported: list[m.Chunk | m.Progress] = []
        self._socket: tuple[WebSocket, Connection] | None = None
        #: The connected node said Ready; its page may show so before the frame is here.
        self._ready = threading.Event()

    def __enter__(self) -> Stage:
        self._thread.start()
        until = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < until, "the stage did not start"
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)

    def assign(
        self, input: dict[str, Any], packed: bytes | None = None, **options: Any
    ) -> m.Result:
        """Let the connected node do one job; its signed result. ``options`` of ``Assign``.

        ``packed`` is sent in place of the input, where the task is another than to answer it.
        """
        _, future = self.begin(input, packed, **options)
        return future.result(150)

    def begin(
        self, input: dict[str, Any], packed: bytes | None = None, **options: Any
    ) -> tuple[str, Future[m.Result]]:
        """The lease of a job that the node has been given, and its result to come."""
        self.last_ready()
        value = msgspec.convert(input, self.connector.Input)
        job, lease = _identifier("job"), _identifier("lease")
        encoded = msgspec.msgpack.encode(value) if packed is None else packed
        fields = {"model": self.digest, "deadline_ms": 600_000, **options}
        assign = m.Assign(lease=lease, job=job, grid=GRID, input=encoded, **fields)
        self.results[job] = future = Future()
        self.say(assign)
        return lease, future

    def last_ready(self) -> m.Ready:
        """What the connected node said of its models; its page may have shown so before."""
        assert self._ready.wait(30), "no node is ready"
        return self.readies[-1]

    def say(self, message: m.ToNode) -> None:
        asyncio.run_coroutine_threadsafe(self._say(message), self._loop).result(30)

    def output(self, result: m.Result) -> Any:
        return msgspec.msgpack.decode(result.output, type=self.connector.Output)

    # --- the server -------------------------------------------------------------------

    def _app(self) -> ASGIApp:
        routes = [
            Route("/", self._page),
            Route("/{script}.js", self._script),
            Route("/api/models/{digest}", self._manifest),
            Route("/api/models/{digest}/calibration", self._calibration),
            Route("/weights/{sha256}", self._weights),
            Route("/api/blobs/{digest}", self._upload, methods=["PUT"]),
            WebSocketRoute("/ws/node", self._node),
            Mount("/static/dist", StaticAssets(DIST)),
        ]
        return self._observed(Starlette(routes=routes, lifespan=self._lifespan))

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        yield

    def _observed(self, app: ASGIApp) -> ASGIApp:
        """The pages' headers on every answer, and a count of what goes out."""

        async def observed(scope: Scope, receive: Receive, send: Send) -> None:
            async def counted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], *RAW_HEADERS]
                if message["type"] == "http.response.body":
                    self.sent[scope["path"]] += len(message.get("body", b""))
                await send(message)

            if scope.get("path") in {assets()[name] for name in self.missing}:
                await PlainTextResponse("missing", 404)(scope, receive, counted)
            else:
                await app(scope, receive, counted if scope["type"] == "http" else send)

        return observed

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(PAGE.format(assets=json.dumps(assets())))

    async def _script(self, request: Request) -> Response:
        text = SCRIPTS[request.path_params["script"]]
        return Response(
            text.replace("{worker}", assets()["worker.js"]), media_type="text/javascript"
        )

    async def _manifest(self, request: Request) -> Response:
        manifest = self.manifests.get(request.path_params["digest"])
        if manifest is None:
            return PlainTextResponse("no such model", 404)
        return Response(manifest.canonical())

    async def _calibration(self, request: Request) -> Response:
        found = self.calibrations.get(request.path_params["digest"])
        return Response(found.encoded()) if found else PlainTextResponse("none", 404)

    async def _weights(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        content = bytearray(self.files[sha256].read_bytes())
        if sha256 in self.damaged:
            content[len(content) // 2] ^= 1
        wanted = request.headers.get("range", "")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if wanted:
            self.ranges.append(wanted)
        headers = {"content-length": str(len(content) - start), "accept-ranges": "bytes"}
        if start:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = self._body(bytes(content[start:]), self.cut.pop(sha256, None))
        return StreamingResponse(body, 206 if start else 200, headers)

    async def _upload(self, request: Request) -> Response:
        content = await request.body()
        status = self.upload_answers.pop(0) if self.upload_answers else 204
        if status == 204:
            self.uploads[request.path_params["digest"]] = content
        return Response(status_code=status)

    async def _body(self, content: bytes, cut: int | None) -> AsyncIterator[bytes]:
        for at in range(0, len(content), CHUNK):
            if cut is not None and at >= cut:
                raise ConnectionResetError("the stage was told to break this download off")
            yield content[at : at + CHUNK]

    async def _node(self, socket: WebSocket) -> None:
        """The coordinator's side: welcome whoever comes, keep what it says."""
        await socket.accept(subprotocol=m.SUBPROTOCOL)
        connection = Connection("coordinator")
        self._ready.clear()
        self._socket = socket, connection
        try:
            while True:
                self._heard(connection.receive(await socket.receive_bytes()))
                if connection.turn is Turn.GREETED:
                    await self._say(self._welcome())
        except WebSocketDisconnect:
            return

    def _welcome(self) -> m.Welcome:
        offered = tuple(
            m.OfferedModel(GRID, manifest.id, digest) for digest, manifest in self.manifests.items()
        )
        return m.Welcome(_identifier("node"), WALLET, offered, heartbeat_s=30)

    def _heard(self, message: object) -> None:
        match message:
            case m.Hello():
                self.hellos.append(message)
            case m.Ready():
                self.readies.append(message)
                self._ready.set()
            case m.Chunk() | m.Progress():
                self.reported.append(message)
            case m.Result():
                self.results[message.job].set_result(message)
            case m.Failed():
                self.results[message.job].set_exception(RuntimeError(message.message))

    async def _say(self, message: m.ToNode) -> None:
        assert self._socket, "no node is connected"
        socket, connection = self._socket
        await socket.send_bytes(connection.send(message))


def assets() -> dict[str, str]:
    """Logical name to URL of everything that was built."""
    names: dict[str, str] = json.loads((DIST / "manifest.json").read_text())
    return {logical: f"/static/dist/{name}" for logical, name in names.items()}


def _identifier(prefix: str) -> str:
    return new_id(prefix, int(time.time() * 1000), os.urandom(10))
