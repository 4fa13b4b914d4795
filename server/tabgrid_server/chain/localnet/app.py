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

from .machine import Machine
from .methods import Methods, RpcError
from .subscriptions import Subscriptions

#: Agave's own limit; a batch of a hundred transactions is far below it.
MAX_BODY = 50 * 1024
#: Requests in one batch.
MAX_BATCH = 100


def create_app(machine: Machine, slot_s: float) -> Starlette:
    """``slot_s``: how often subscribers are told, in seconds."""
    methods = Methods(machine)
    subscriptions = Subscriptions(machine, slot_s)

    async def post(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return Response(status_code=413)
        return _json(answer(methods, bytes(body)))

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(subscriptions.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return Starlette(
        routes=[
            Route("/", post, methods=["POST"]),
            Route("/health", health),
            WebSocketRoute("/", subscriptions.serve),
        ],
        # Any page may speak to it, as to a public cluster: there is nothing to steal.
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


def _json(told: Any) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json")
