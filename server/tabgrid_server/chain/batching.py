"""Requests to one RPC: those that come while others are under way share the next POST.

A POST costs more than most answers, and as much for one question as for fifty. So a few go out
at once, and whatever is asked meanwhile, or in the same turn of the loop, waits for one of them
and goes with the next, as a batch of JSON-RPC. There is no timer: an RPC that nobody else is
asking is asked at once, by itself. An RPC that takes no batches is asked one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from solana.exceptions import SolanaRpcException

log = structlog.get_logger("tabgrid.rpc")

#: POSTs at a time: enough that a slow answer keeps few others waiting.
LANES = 3
#: Questions in one POST, and their bytes: Agave takes 50 KiB, and some services a hundred.
MOST, MOST_BYTES = 50, 48_000
#: How long an RPC that did not understand a batch gets none: it may have been a bad moment.
ALONE_S = 600.0


class Provider(Protocol):
    """solana-py's HTTP client, as far as it is used here."""

    async def make_request_unparsed(self, body: Any) -> str: ...


class Text(msgspec.Struct, frozen=True):
    """A request that is JSON already, for a provider that wants to make JSON of it."""

    json: str

    def to_json(self) -> str:
        return self.json


class _Asked(msgspec.Struct):
    json: str
    answer: asyncio.Future[str]


class _Request(msgspec.Struct):
    """``params`` as they came; ``id`` is ours, to find the answer by."""

    method: str
    params: msgspec.Raw = msgspec.Raw(b"[]")
    id: int = 0
    jsonrpc: str = "2.0"


class _Named(msgspec.Struct):
    id: int


class _NoBatches(Exception):
    """The RPC answered a batch with something that is no answer to one."""


class Batching:
    """``timeout`` in seconds, of one POST. ``failed`` and ``worked`` hear of each POST once."""

    def __init__(
        self,
        provider: Provider,
        timeout: float,
        worked: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.provider = provider
        self._timeout = timeout
        self._worked = worked
        self._failed = failed
        self._waiting: deque[_Asked] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        #: Until then it is asked one by one: a time of the loop's clock.
        self._alone_until = 0.0

    async def ask(self, json: str) -> str:
        """The answer's JSON. Raises what the provider raises, ``TimeoutError``."""
        asked = _Asked(json, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if len(self._lanes) < LANES:
            lane = asyncio.create_task(self._drive())
            self._lanes.add(lane)
        return await asked.answer

    async def close(self) -> None:
        """Whoever still waits is told that there will be no answer."""
        lanes = list(self._lanes)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        _end(self._waiting)
        self._waiting.clear()

    async def _drive(self) -> None:
        """One lane: a POST after the other, while somebody waits."""
        try:
            while taken := self._take():
                try:
                    await self._answer_all(taken)
                except BaseException:
                    _end(taken)
                    raise
        finally:
            # At once: whoever asks before a task's callbacks run would wait for a lane that ended.
            self._lanes.discard(_this_task())

    def _take(self) -> list[_Asked]:
        taken: list[_Asked] = []
        alone = asyncio.get_running_loop().time() < self._alone_until
        size, most = 0, 1 if alone else MOST
        while self._waiting and len(taken) < most:
            size += len(self._waiting[0].json)
            if taken and size > MOST_BYTES:
                break
            asked = self._waiting.popleft()
            if not asked.answer.done():  # its caller has gone
                taken.append(asked)
        return taken

    async def _answer_all(self, taken: Sequence[_Asked]) -> None:
        if len(taken) > 1:
            try:
                return _hand_out(taken, await self._post(_batch(taken)))
            except _NoBatches as why:
                log.info("an RPC takes no batches; asking one by one", why=str(why))
                self._alone_until = asyncio.get_running_loop().time() + ALONE_S
            except Exception as error:
                return self._give_up(taken, error)
        for asked in taken:
            try:
                _set(asked, await self._post(asked.json))
            except Exception as error:
                self._give_up([asked], error)
        return None

    async def _post(self, json: str) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                raw = await self.provider.make_request_unparsed(Text(json))
        except SolanaRpcException as error:
            if json[:1] == "[" and _refuses(error):
                raise _NoBatches(str(_status(error))) from error
            raise
        self._worked()
        return raw

    def _give_up(self, taken: Sequence[_Asked], error: Exception) -> None:
        self._failed(error)
        for asked in taken:
            if not asked.answer.done():
                asked.answer.set_exception(error)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _end(waiting: Iterable[_Asked]) -> None:
    for asked in waiting:
        if not asked.answer.done():
            asked.answer.set_exception(ConnectionError("The connection to the RPC was closed."))


def _batch(taken: Sequence[_Asked]) -> str:
    requests = [msgspec.json.decode(each.json, type=_Request) for each in taken]
    for place, request in enumerate(requests):
        request.id = place
    return msgspec.json.encode(requests).decode()


def _hand_out(taken: Sequence[_Asked], raw: str) -> None:
    """Each its own answer. Raises ``_NoBatches``; then nobody has one."""
    try:
        told = msgspec.json.decode(raw, type=list[msgspec.Raw] | dict[str, msgspec.Raw])
        if isinstance(told, dict):
            return _hand_out_error(taken, raw, told)
        found = {msgspec.json.decode(each, type=_Named).id: each for each in told}
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _NoBatches("no answer to a batch") from error
    if found.keys() != set(range(len(taken))):
        raise _NoBatches("answers to other questions")
    for place, asked in enumerate(taken):
        _set(asked, bytes(found[place]).decode())
    return None


#: JSON-RPC: an invalid request, an unknown method, invalid parameters, no JSON.
_NOT_UNDERSTOOD = frozenset({-32600, -32601, -32602, -32700})


class _Error(msgspec.Struct):
    code: int = 0


def _hand_out_error(taken: Sequence[_Asked], raw: str, told: dict[str, msgspec.Raw]) -> None:
    """One error for all of them, such as "too many requests"."""
    error = told.get("error")
    if error is None or msgspec.json.decode(error, type=_Error).code in _NOT_UNDERSTOOD:
        raise _NoBatches("one answer to a batch")
    for asked in taken:
        _set(asked, raw)


def _set(asked: _Asked, raw: str) -> None:
    if not asked.answer.done():
        asked.answer.set_result(raw)


def _status(error: BaseException) -> int:
    response = getattr(error.__cause__, "response", None)
    return int(getattr(response, "status_code", 0))


def _refuses(error: BaseException) -> bool:
    """HTTP says that the question cannot be answered, and not that it comes too soon, or that
    nobody is there to answer."""
    return 400 <= _status(error) <= 501 and _status(error) != 429
