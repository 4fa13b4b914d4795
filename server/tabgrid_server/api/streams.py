"""Server-sent events, under a limit per address: each open page costs a task and a queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from ..auth import client_address
from ..errors import GridError
from ..services import services

_encode = msgspec.json.Encoder().encode
#: Proxies close connections that are silent for a minute.
PING_S = 20

_open: Counter[str] = Counter()


class TooManyStreams(GridError):
    status: ClassVar[int] = 503
    code: ClassVar[str] = "too_many_streams"
    retry_after = 30


def stream_of(request: Request, events: AsyncIterator[tuple[str, Any]]) -> EventSourceResponse:
    """Send (event, JSON value) pairs until they or the reader end."""
    limits = services(request).settings.limits
    address = client_address(request)
    if _open[address] >= limits.streams_per_address or _open.total() >= limits.streams:
        raise TooManyStreams("Too many live pages are open; close one, or reload later.")
    return EventSourceResponse(_counted(address, events), ping=PING_S)


async def _counted(
    address: str, events: AsyncIterator[tuple[str, Any]]
) -> AsyncIterator[ServerSentEvent]:
    _open[address] += 1
    try:
        async for name, value in events:
            yield ServerSentEvent(_encode(value).decode(), event=name)
    finally:
        _open[address] -= 1
        if not _open[address]:
            del _open[address]
