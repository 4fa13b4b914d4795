"""An RPC that behaves as badly as RPCs do, in front of the real methods, without a socket.

It stands where solana-py's HTTP provider stands, so everything above it is what production
runs: solana-py, solders' parsers, our ``Rpc``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from solana.rpc.async_http_provider import _parse_raw

from tabgrid_server.chain.localnet.app import answer
from tabgrid_server.chain.localnet.methods import Methods

from .forks import Network

Checkpoint = Callable[[], Awaitable[None]]
_FAILED = {"InstructionError": [4, {"Custom": 1}]}


class Faults:
    """Chances, of 1, of each way in which a request goes wrong."""

    def __init__(self, each: float = 0.0, lies: float = 0.0) -> None:
        self.each = each
        self.lies = lies


class FaultyProvider:
    """``checkpoint`` is awaited before and after each effect: there a process may die."""

    def __init__(
        self, network: Network, rng: random.Random, faults: Faults, checkpoint: Checkpoint
    ) -> None:
        self._methods = Methods(network.machine)
        self._network = network
        self._rng = rng
        self._faults = faults
        self._checkpoint = checkpoint
        #: What was answered before, for nodes that lag behind.
        self._old: dict[str, Any] = {}

    async def make_request(self, body: Any, parser: Any) -> Any:
        await self._checkpoint()
        request = json.loads(body.to_json())
        raw = self._answer(request)
        await self._checkpoint()
        return _parse_raw(raw, parser)

    async def close(self) -> None:
        pass

    def _answer(self, request: dict[str, Any]) -> str:
        fault = self._fault()
        if fault == "unreachable":
            raise OSError("connection refused")
        if fault == "busy":
            return '{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":0}'
        if fault == "bare":
            return '{"error":{"code":429}}'
        if fault == "garbage":
            return "<html>502 Bad Gateway</html>"
        told = self._told(request)
        if fault == "late":
            raise TimeoutError  # it was done, and nobody heard of it
        name = json.dumps([request["method"], request["params"]])
        if fault == "lagging" and name in self._old:
            told = self._old[name]
        self._old[name] = told
        return json.dumps(told)

    def _fault(self) -> str:
        if self._rng.random() >= self._faults.each:
            return ""
        return self._rng.choice(["unreachable", "busy", "bare", "garbage", "late", "lagging"])

    def _told(self, request: dict[str, Any]) -> Any:
        if request["method"] == "sendTransaction":
            txid = self._network.take(request["params"][0])
            return {"jsonrpc": "2.0", "result": txid, "id": 0}
        told = answer(self._methods, json.dumps(request).encode())
        if request["method"] == "getSignatureStatuses" and "result" in told:
            told["result"]["value"] = [self._lie(each) for each in told["result"]["value"]]
        return told

    def _lie(self, status: Any) -> Any:
        """What an RPC must never say of a transaction, and some did."""
        if self._rng.random() >= self._faults.lies:
            return status
        slot = self._methods.machine.finalized()
        made_up = {"slot": slot, "confirmations": None, "err": None, "status": {"Ok": None}}
        final = made_up | {"confirmationStatus": "finalized"}
        failed = final | {"err": _FAILED, "status": {"Err": _FAILED}}
        seen = made_up | {"confirmations": 1, "confirmationStatus": "confirmed"}
        return self._rng.choice([None, final, failed, seen])
