"""``signatureSubscribe`` and ``slotSubscribe``: what clients wait for a confirmation with."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import msgspec
from solders.signature import Signature
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..panics import foreign
from .machine import Machine
from .methods import INVALID_PARAMS, RpcError

#: Per connection; a client holds one for each transaction that it waits for.
MAX_SUBSCRIPTIONS = 1_000


class Subscriptions:
    """All sockets of one chain. Looks at the chain once a slot and tells who waits."""

    def __init__(self, machine: Machine, slot_s: float) -> None:
        self._machine = machine
        self._slot_s = slot_s
        self._ids = count(1)
        self._sockets: dict[WebSocket, dict[int, tuple[str, str]]] = {}

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        self._sockets[socket] = {}
        try:
            while True:
                told = msgspec.json.decode(await socket.receive_text())
                await socket.send_text(_text(self._answer(socket, told)))
        except (WebSocketDisconnect, msgspec.MsgspecError, KeyError):
            pass  # gone, or not speaking JSON-RPC: nothing to tell them
        finally:
            self._sockets.pop(socket, None)

    async def run(self) -> None:
        """Tell subscribers, for ever."""
        while True:
            await asyncio.sleep(self._slot_s)
            await self.tell()

    async def tell(self) -> None:
        slot = self._machine.slot()
        for socket, waiting in list(self._sockets.items()):
            for id, (kind, what) in list(waiting.items()):
                note = self._slot(slot) if kind == "slot" else self._signature(slot, what)
                if note is None:
                    continue
                if kind == "signature":
                    waiting.pop(id, None)
                body = {"result": note, "subscription": id}
                name = f"{kind}Notification"
                try:
                    await socket.send_text(
                        _text({"jsonrpc": "2.0", "method": name, "params": body})
                    )
                except (WebSocketDisconnect, RuntimeError):
                    self._sockets.pop(socket, None)  # closed while we wrote
                    break

    def _answer(self, socket: WebSocket, told: Any) -> dict[str, Any]:
        if not isinstance(told, dict):
            told = {}
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": told.get("id")}
        try:
            reply["result"] = self._call(socket, told.get("method"), told.get("params") or [])
        except RpcError as error:
            reply["error"] = {"code": error.code, "message": error.message}
        return reply

    def _call(self, socket: WebSocket, name: Any, params: list[Any]) -> Any:
        waiting = self._sockets[socket]
        if name in ("signatureUnsubscribe", "slotUnsubscribe"):
            return waiting.pop(params[0] if params else 0, None) is not None
        if len(waiting) >= MAX_SUBSCRIPTIONS:
            raise RpcError(INVALID_PARAMS, "Too many subscriptions")
        id = next(self._ids)
        if name == "slotSubscribe":
            waiting[id] = ("slot", "")
        elif name == "signatureSubscribe":
            with foreign(lambda reason: RpcError(INVALID_PARAMS, f"Invalid params: {reason}")):
                signature = str(Signature.from_string(params[0]))
                options = params[1] if len(params) > 1 else {}
                wanted = options.get("commitment", "finalized")
            waiting[id] = ("signature", f"{wanted} {signature}")
        else:
            raise RpcError(-32601, f"Method not found: {name}")
        return id

    def _slot(self, slot: int) -> dict[str, int]:
        return {"slot": slot, "parent": slot - 1, "root": self._machine.finalized()}

    def _signature(self, slot: int, what: str) -> dict[str, Any] | None:
        wanted, _, signature = what.partition(" ")
        record = self._machine.record(signature)
        if record is None or (wanted == "finalized" and record.slot > self._machine.finalized()):
            return None
        return {"context": {"slot": slot}, "value": {"err": record.error}}


def _text(told: Any) -> str:
    return msgspec.json.encode(told).decode()
