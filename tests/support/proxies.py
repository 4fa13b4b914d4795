"""RPCs on real sockets before one local chain: honest ones, and ones that lie, lag or fail.

Each forwards to the chain and changes what comes back, so a lie has the form of an answer.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tabgrid_server.chain.localnet.server import _Server

FAR = 100_000
_FAILED = {"InstructionError": [5, {"Custom": 1}]}
_MADE_UP = "5" * 87

#: Changes the answer to one request; None leaves it.
Lie = Callable[[str, list[Any], Any], Any]


def _status(slot: int, error: Any) -> dict[str, Any]:
    told = {"Ok": None} if error is None else {"Err": error}
    return {
        "slot": slot,
        "confirmations": None,
        "err": error,
        "status": told,
        "confirmationStatus": "finalized",
    }


def _verdict(error: Any) -> Lie:
    """Everything that is asked after is final, with this error."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "getSignatureStatuses":
            slot = result["context"]["slot"]
            result["value"] = [_status(slot, error) for _ in params[0]]
        if method == "getMultipleAccounts":
            mark = {"lamports": 890_880, "owner": "1" * 32, "data": ["", "base64"]}
            mark |= {"executable": False, "rentEpoch": 0, "space": 0}
            result["value"] = [mark if error is None else None for _ in params[0]]
        if method == "getSignaturesForAddress":
            rows = [{"signature": _MADE_UP, "slot": 1, "err": error, "memo": None}]
            return rows if error is None else []
        return result

    return lie


def lost(method: str, params: list[Any], result: Any) -> Any:
    """Nothing ever landed, and it is far too late for it now."""
    if method == "getSignatureStatuses":
        result["value"] = [None for _ in params[0]]
        result["context"]["slot"] += FAR
    if method == "getEpochInfo":
        result["blockHeight"] += FAR
        result["absoluteSlot"] += FAR
    if method == "getLatestBlockhash":
        result["value"]["lastValidBlockHeight"] = 1
    if method == "getMultipleAccounts":
        result["value"] = [None for _ in params[0]]
        result["context"]["slot"] += FAR
    if method == "getSignaturesForAddress":
        return []
    return None if method == "getTransaction" else result


def mad(rng: random.Random) -> Lie:
    """Another lie each time, or an answer of another form."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        chosen = rng.choice([_verdict(None), _verdict(_FAILED), lost, None, None])
        if chosen is not None:
            return chosen(method, params, result)
        if rng.random() < 0.5 and isinstance(result, dict):
            result.pop(rng.choice(sorted(result)))
            return result
        return rng.choice([[], {}, 7, "x", None, {"context": {"slot": "9"}, "value": [1, 2]}])

    return lie


LIES: dict[str, Lie] = {"paid": _verdict(None), "failed": _verdict(_FAILED), "lost": lost}


class Proxy:
    """One RPC. ``mood``: honest, lying, lagging, busy, garbage, silent."""

    def __init__(self, chain: str, now: Callable[[], float]) -> None:
        self.url = ""
        self._chain = chain
        self._now = now
        self.mood = "honest"
        self.lie: Lie = lost
        #: Seconds that a lagging one is behind.
        self.lag = 0.0
        #: It takes transactions and brings them nowhere.
        self.drops = False
        self.asked: list[str] = []
        self._said: dict[str, list[tuple[float, Any]]] = {}

    def app(self, http: httpx.AsyncClient) -> Starlette:
        async def post(request: Request) -> Response:
            return await self._answer(http, json.loads(await request.body()))

        return Starlette(routes=[Route("/{rest:path}", post, methods=["POST"])])

    async def _answer(self, http: httpx.AsyncClient, asked: Any) -> Response:
        """To one request, or to a batch of them."""
        requests = asked if isinstance(asked, list) else [asked]
        self.asked += [each["method"] for each in requests]
        if self.mood == "busy":
            return Response("slow down", 429, {"retry-after": "1"})
        if self.mood == "garbage":
            return Response("<html>Bad gateway</html>")
        if self.mood == "silent":
            await asyncio.Future()  # for as long as it is asked
        told = [await self._told(http, each) for each in requests]
        return JSONResponse(told if isinstance(asked, list) else told[0])

    async def _told(self, http: httpx.AsyncClient, request: dict[str, Any]) -> Any:
        method, params = request["method"], request.get("params") or []
        if method == "sendTransaction" and self.drops:
            return {"jsonrpc": "2.0", "id": request["id"], "result": _MADE_UP}
        told = (await http.post(self._chain, json=request)).json()
        if self.mood == "lying" and "result" in told:
            told["result"] = self.lie(method, params, told["result"])
        if self.mood == "lagging" and method != "sendTransaction":
            told = self._earlier(f"{method} {params}", told) | {"id": request["id"]}
        return told

    def _earlier(self, key: str, told: Any) -> Any:
        """What it said ``lag`` ago; that it is behind, where it was not asked then."""
        said = self._said.setdefault(key, [])
        said.append((self._now(), copy.deepcopy(told)))
        old = [each for at, each in said if at <= self._now() - self.lag]
        behind = {"code": -32005, "message": "Node is behind", "data": {"numSlotsBehind": 50}}
        return old[-1] if old else {"jsonrpc": "2.0", "id": 0, "error": behind}


@asynccontextmanager
async def proxies(
    chain: str, now: Callable[[], float], count: int = 3
) -> AsyncIterator[list[Proxy]]:
    """``count`` RPCs before ``chain``, each on a port of its own."""
    made = [Proxy(chain, now) for _ in range(count)]
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        for each in made:
            each.url = await stack.enter_async_context(serving(each.app(http)))
        yield made


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        await server.up.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.force_exit = True  # a silent one would be waited for
        server.should_exit = True
        await task
        listener.close()
