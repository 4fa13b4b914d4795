"""The chain over HTTP, and the two subscriptions that clients wait with, over WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from .machine import Machine
from .methods import Methods, RpcError
from .subscriptions import Subscriptions

#: Agave's own limit; a batch of a hundred transactions is far below it.
MAX_BODY = 50 * 1024
#: Requests in one batch.
MAX_BATCH = 100


def create_app(machine: Machine, slot_s: float) -> ASGIApp:
    """``slot_s``: how often subscribers are told, in seconds."""
    methods = Methods(machine)
    return Front(methods, _others(machine, slot_s))


class Front:
    """Requests for the chain, without what a framework does for each; ``others`` has the rest."""

    def __init__(self, methods: Methods, others: ASGIApp) -> None:
        self._methods = methods
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/":
            await self._others(scope, receive, send)
            return
        body, more = bytearray(), True
        while more and len(body) <= MAX_BODY:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # nobody reads it
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            await _send(send, 413, b"")
            return
        await _send(send, 200, msgspec.json.encode(answer(self._methods, bytes(body))))


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # Any page may speak to it, as to a public cluster: there is nothing to steal.
        (b"access-control-allow-origin", b"*"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _others(machine: Machine, slot_s: float) -> Starlette:
    subscriptions = Subscriptions(machine, slot_s)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(subscriptions.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return Starlette(
        routes=[Route("/health", health), WebSocketRoute("/", subscriptions.serve)],
        # A page asks first whether it may post.
        middleware=[
            Middleware(
                CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
            )
        ],
        lifespan=lifespan,
    )


def answer(methods: Methods, body: bytes) -> Any:
    """The JSON for one request, or for a batch of them."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _error(None, RpcError(-32700, "Parse error"))
    if isinstance(told, list):
        if not 0 < len(told) <= MAX_BATCH:
            return _error(None, RpcError(-32600, f"A batch has 1 to {MAX_BATCH} requests"))
        return [_one(methods, each) for each in told]
    return _one(methods, told)


def _one(methods: Methods, told: Any) -> dict[str, Any]:
    name = told.get("method") if isinstance(told, dict) else None
    params = (told.get("params") or []) if isinstance(told, dict) else None
    if not isinstance(name, str) or not isinstance(params, list):
        return _error(None, RpcError(-32600, "Invalid request"))
    try:
        return {"jsonrpc": "2.0", "result": methods.call(name, params), "id": told.get("id")}
    except RpcError as error:
        return _error(told.get("id"), error)


def _error(id: Any, error: RpcError) -> dict[str, Any]:
    told = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "error": told, "id": id}
